"""Give data and figures away: CSV that a spreadsheet cannot be hurt by, Parquet, PNG and SVG."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterable

import numpy as np
import pandas as pd
import streamlit as st

from relift.analysis.style import save_figure
from relift.dashboards.frames import Draw, Ready
from relift.dashboards.runs import RunInfo
from relift.inert import for_spreadsheet

MOST_NAMED = 3  # runs that a file's name holds


def file_name(name: str, runs: Iterable[str], about: str = "") -> str:
    """Name a file by what it holds and of which runs; `about`: a question, a step, a cell."""
    named = list(dict.fromkeys(runs))
    of = "-".join(named) if len(named) <= MOST_NAMED else f"{len(named)}-runs"
    return re.sub(r"[^\w.+=-]+", "_", "-".join(part for part in ("relift", name, of, about) if part))


def data_menu(frame: pd.DataFrame, name: str, runs: Iterable[RunInfo]) -> None:
    """Show a small menu that gives a frame of these runs as CSV and as Parquet."""
    with st.popover("Download", width="content"):
        data_buttons(frame, file_name(name, (run.name for run in runs)))


def downloads(made: Ready, *, about: str = "") -> None:
    """Show a small menu: data as CSV and Parquet, the figure for print as PNG and SVG, each made when asked for."""
    runs = made.frame["run"].dropna().astype(str).unique() if "run" in made.frame else ()
    name = file_name(made.name, runs, about)
    with st.popover("Download", width="content"):
        data_buttons(made.frame, name)
        if made.draw is not None:
            draw = made.draw
            for kind, mime in (("png", "image/png"), ("svg", "image/svg+xml")):
                st.download_button(
                    f"Figure, {kind.upper()}", lambda kind=kind: figure_bytes(made.frame, draw, kind),
                    file_name=f"{name}.{kind}", mime=mime, key=f"get-{name}-{kind}", on_click="ignore", width="stretch",
                )  # fmt: skip


def data_buttons(frame: pd.DataFrame, name: str) -> None:
    """Show two buttons that give a frame as CSV and as Parquet."""
    for kind, mime, convert in (
        ("csv", "text/csv", csv_bytes),
        ("parquet", "application/vnd.apache.parquet", parquet_bytes),
    ):
        st.download_button(
            f"Data, {'CSV' if kind == 'csv' else 'Parquet'}", lambda convert=convert: convert(frame),
            file_name=f"{name}.{kind}", mime=mime, key=f"get-{name}-{kind}", on_click="ignore", width="stretch",
        )  # fmt: skip


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Write CSV in UTF-8; text that a spreadsheet would take for a formula gets an apostrophe in front."""
    return for_spreadsheet(frame).to_csv(index=False, float_format="%.10g", lineterminator="\n").encode()


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """Write Parquet, values exactly as they are."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def figure_bytes(frame: pd.DataFrame, draw: Draw, kind: str) -> bytes:
    """Draw the figure for print as relift.analysis draws and saves it. InputError where that refuses."""
    axes = np.asarray(draw(frame), dtype=object).flat[0]
    with tempfile.TemporaryDirectory() as folder:
        return save_figure(axes.figure, folder, "figure", frame, formats=[kind])[0].read_bytes()
