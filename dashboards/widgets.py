"""Build what every page shares: the row that chooses runs, a view with its downloads, links, states.

Text of people and of models is shown through `plain` (in Markdown) or as code, never as markup.
"""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import streamlit as st

from relift.dashboards.charts.common import Filled, RunScale, legend_of, legend_row
from relift.dashboards.made import Draw, Made, Missing
from relift.dashboards.pages import PAGES
from relift.dashboards.runs import STATES, Choice, RunInfo, fingerprint, silent, survey

POLL_SECONDS = 5


_BY_NAME = {page.name: page for page in PAGES}


def plain(text: object) -> str:
    """Text as Markdown that shows it as it is: no sign of it forms a link, an image, a directive or mathematics."""
    folded = " ".join(str(text).split())
    signs = "\\`*_{}[]<>#~$&@" + ("." if "www" in folded.lower() else "")
    shown = "".join(f"&#{ord(c)};" if c in signs else c for c in folded)
    shown = re.sub(r":(?=\S)", "&#58;", shown)  # directives, addresses
    # a list or a rule begins with one of these
    return f"&#{ord(shown[0])};{shown[1:]}" if shown[:1] in set("-+=0123456789") else shown


def start_page(name: str) -> None:
    """Heading and sentence of a page."""
    page = _BY_NAME[name]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.title(page.title, anchor=False, width="content")
        st.markdown(f":gray[{page.sentence}]")


def choose_runs(*, several: bool = True, splits: bool = True) -> Choice | None:
    """The row on top of a page: runs, the base of bands, sets of questions; all of it in the address.

    None where there is nothing to show, which is then said. Nothing chosen means every run. `several`: False offers
    one run. Also starts the watch over running runs.
    """
    runs = survey()
    if not runs:
        st.info("No run was named. Start the dashboard with the folders of runs: `relift dashboard RUN...`", icon="📂")
        return None
    watch(runs)
    for run in runs:
        if not run.readable:
            st.error(f"{plain(run.name)} cannot be read: {plain(run.problem)}", icon="⚠️")
    readable = tuple(run for run in runs if run.readable)
    if not readable:
        return None
    filled = tuple(run for run in readable if run.state != "empty")
    if not filled:
        names = ", ".join(plain(run.name) for run in readable)
        st.info(f"{names}: {STATES['empty']}.", icon="⏳")
        return None
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        chosen = _runs_row(filled, several=several)
        base = _base_row(filled)
        wanted = _splits_row(chosen) if splits else ()
    return Choice(chosen, base if any(run.run_id == base for run in chosen) else None, wanted)


def _runs_row(filled: tuple[RunInfo, ...], *, several: bool) -> tuple[RunInfo, ...]:
    if len(filled) == 1:
        return filled
    names = [run.name for run in filled]
    if not several:
        one = st.pills("Run", names, key="run", bind="query-params")
        return tuple(run for run in filled if run.name == one) or filled[:1]
    wanted = st.pills(
        "Runs", names, selection_mode="multi", key="run", bind="query-params", help="None chosen: all of them."
    )
    return tuple(run for run in filled if run.name in (wanted or names))


def _base_row(filled: tuple[RunInfo, ...]) -> str | None:
    able = [run for run in filled if 0 in run.probe_steps]
    if len(able) < 2:
        return None
    name = st.selectbox(
        "Bands by step 0 of", [run.name for run in able], index=None, key="base", bind="query-params",
        placeholder="the base model", width=210,
        help="Whose first probe sorts the questions into bands. Not chosen: the run called base, else the only one "
        "that has step 0 alone, else the first.",
    )  # fmt: skip
    return next((run.run_id for run in able if run.name == name), None)


def _splits_row(chosen: tuple[RunInfo, ...]) -> tuple[str, ...]:
    from relift.dashboards.runs import probed_splits

    found = probed_splits(Choice(chosen))
    if len(found) < 2:
        return ()
    wanted = st.pills(
        "Questions", list(found), selection_mode="multi", key="split", bind="query-params", help="None chosen: all."
    )
    return tuple(wanted or ())


@st.fragment(run_every=POLL_SECONDS)
def _watching(before: dict[str, tuple[int, ...]]) -> None:
    if any(fingerprint(Path(folder)) != marks for folder, marks in before.items()):
        st.rerun(scope="app")


def watch(runs: tuple[RunInfo, ...]) -> None:
    """Looks every few seconds whether a run that is not final has grown, and only then makes the page again."""
    live = {str(run.folder): run.fingerprint for run in runs if not run.final}
    if live:
        _watching(live)


def view(
    title: str,
    sentence: str,
    made: Made | Missing,
    chart: Callable[[pd.DataFrame], Any] | None = None,
    *,
    key: str | None = None,
    legend: Mapping[str, str] | None = None,
) -> Any:
    """A heading, a sentence, the chart of the frame, its caption, its downloads; of what cannot be made, the reason.

    `chart` gives an Altair chart, or several to stand side by side below a legend of the runs; None shows the frame
    as a table. `legend`: names and colours in place of the runs. With `key` returns what st.altair_chart gave, for
    selections.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(title, anchor=False)
        if isinstance(made, Made) and len(made.frame):
            downloads(made)
    st.markdown(sentence)
    if isinstance(made, Missing):
        missing(made)
        return None
    if made.frame.empty:
        st.info("There is nothing to show: no row of these runs belongs here.", icon="🫙")
        return None
    if chart is None:
        event = table(made.frame, key=key)
    else:
        event = _show_charts(made, chart, key=key, alt=f"{title}. {sentence}", legend=legend)
    if made.caption:
        st.caption(plain(made.caption.replace("Black", "Grey")))  # print has white paper, screens may be dark
    return event


def _show_charts(
    made: Made,
    chart: Callable[[pd.DataFrame], Any],
    *,
    key: str | None,
    alt: str,
    legend: Mapping[str, str] | None,
) -> Any:
    """The chart of a frame across the page, or its charts side by side below a legend."""
    specs = made.charts(f"{chart.__module__}.{chart.__qualname__}", lambda: chart(made.frame))
    if len(specs) == 1 and key is not None:
        return show_spec(specs[0], key=key, alt=alt)
    if legend is not None or (len(specs) > 1 or "run" in made.frame):
        show_legend(made, legend)
    for column, spec in zip(st.columns(len(specs), gap="small"), specs, strict=True):
        with column:
            show_spec(spec, alt=alt)
    return None


def show_spec(
    spec: dict[str, Any], *, alt: str, key: str | None = None, width: Literal["stretch", "content"] = "stretch"
) -> Any:
    """A specification of `Made.charts`; with `key`, what is selected in it."""
    selecting: dict[str, Any] = {} if key is None else {"key": key, "on_select": "rerun"}
    # a copy: Streamlit takes the data out of what it is given, but changes none of it
    own = copy.deepcopy({name: value for name, value in spec.items() if name != "datasets"})
    datasets = {"datasets": dict(spec["datasets"])} if "datasets" in spec else {}
    return st.vega_lite_chart(own | datasets, width=width, alt=alt, **selecting)


def show_filled(filled: Filled, *, alt: str, key: str | None = None) -> Any:
    """The same of a chart whose data are apart from it."""
    spec, data = filled
    return show_spec({**spec, "datasets": data}, alt=alt, key=key)


def show_legend(made: Made, legend: Mapping[str, str] | None = None) -> None:
    """One row that names the colours: those given, else those of the runs where there are several."""
    if legend is not None:
        spec = made.charts(("legend", tuple(legend.items())), lambda: legend_row(legend))[0]
        show_spec(spec, alt="Legend: a colour per kind.", width="content")
    elif "run" in made.frame and made.frame["run"].nunique() > 1:
        spec = made.charts("legend", lambda: legend_of(RunScale(made.frame["run"])))[0]
        show_spec(spec, alt="Legend: a colour and a dash per run.", width="content")


def missing(made: Missing) -> None:
    """Why something is not shown."""
    if made.damaged:
        st.error(f"{plain(made.reason)}. The Data page lists every damaged file.", icon="⚠️")
    else:
        st.info(f"Not shown: {plain(made.reason)}.", icon="🫙")


def table(frame: pd.DataFrame, *, key: str | None = None, **options: Any) -> Any:
    """A frame as a table, with columns that every browser and test reads: no categories, steps as whole numbers."""
    plain_frame = frame.copy(deep=False)
    for name in plain_frame.columns:
        if isinstance(plain_frame[name].dtype, pd.CategoricalDtype):
            plain_frame[name] = plain_frame[name].astype(object)
    return st.dataframe(plain_frame, hide_index=True, key=key, **options)


def downloads(made: Made) -> None:
    """A small menu: the data as CSV and Parquet, the figure for print as PNG and SVG, each made when asked for."""
    name = f"relift-{made.name}"
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
    """Two buttons: a frame as CSV and as Parquet."""
    for kind, mime, convert in (
        ("csv", "text/csv", csv_bytes),
        ("parquet", "application/vnd.apache.parquet", parquet_bytes),
    ):
        st.download_button(
            f"Data, {'CSV' if kind == 'csv' else 'Parquet'}", lambda convert=convert: convert(frame),
            file_name=f"{name}.{kind}", mime=mime, key=f"get-{name}-{kind}", on_click="ignore", width="stretch",
        )  # fmt: skip


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """CSV in UTF-8; text that a spreadsheet would take for a formula gets an apostrophe in front."""
    safe = frame.copy(deep=False)
    for name in safe.columns:
        if not (pd.api.types.is_numeric_dtype(safe[name]) or pd.api.types.is_bool_dtype(safe[name])):
            text = safe[name].astype(object)
            risky = text.map(
                lambda value: isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
            )
            safe[name] = text.where(~risky.astype(bool), "'" + text.astype(str))
    return safe.to_csv(index=False, float_format="%.10g", lineterminator="\n").encode()


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """Parquet, values exactly as they are."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def figure_bytes(frame: pd.DataFrame, draw: Draw, kind: str) -> bytes:
    """The figure for print, as relift.analysis draws and saves it. InputError where that refuses."""
    import tempfile

    from relift.analysis.style import save_figure

    axes = np.asarray(draw(frame), dtype=object).flat[0]
    with tempfile.TemporaryDirectory() as folder:
        return save_figure(axes.figure, folder, "figure", frame, formats=[kind])[0].read_bytes()


def link(page: str, label: str, *, icon: str | None = None, **parameters: object) -> None:
    """A link to a page with these parameters in its address; null ones are left out, lists are repeated."""
    st.page_link(f"pages/{page}.py", label=label, icon=icon, query_params=_parameters(parameters), width="content")


def link_to_question(question_id: str, *, run: str | None = None, step: int | None = None, label: str = "Open") -> None:
    """A link to a question, in a run (by name) and at a step."""
    link("question", label, q=question_id, run=run, step=step)


def _parameters(parameters: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: [str(v) for v in value] if isinstance(value, list | tuple) else str(value)
        for name, value in parameters.items()
        if value is not None and value != () and value != []
    }


def age_of(run: RunInfo, *, now: float) -> str:
    """How long ago the folder was last written in, as people say it."""
    seconds = max(0.0, now - run.changed_seconds)
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            n = int(seconds // length)
            return f"{n} {unit}{'s' * (n > 1)} ago"
    return "just now"


def state_text(run: RunInfo) -> str:
    """The state of a run as a phrase."""
    if silent(run):
        return "says it is running, but nothing was written for a while: if it was killed, start it again"
    return STATES[run.state]
