"""Figures and tables of relift.analysis for the runs chosen: made once for all sessions, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import streamlit as st

from relift.analysis.report.catalogue import FIGURES, TABLES
from relift.analysis.report.loaded import Loaded
from relift.dashboards.runs import Choice, loaded
from relift.errors import InputError, StoreError

Draw = Callable[[pd.DataFrame], Any]


@dataclass(frozen=True)
class Made:
    """A frame with its caption and its figure for print (None: it has none). `frame` must not be changed.

    `specs` keeps what charts were made of it: building and checking one takes longer than sending it.
    """

    name: str
    frame: pd.DataFrame
    caption: str = ""
    draw: Draw | None = None
    specs: dict[Hashable, list[dict[str, Any]]] = field(default_factory=dict, compare=False, repr=False)

    def charts(self, key: Hashable, build: Callable[[], Any]) -> list[dict[str, Any]]:
        """Vega-Lite specifications of the chart or charts that `build` gives, built once; `key` names what it does."""
        if key not in self.specs:
            built = build()
            parts = built if isinstance(built, list) else [built]
            self.specs[key] = [chart.to_dict(validate=False) for chart in parts]
        return self.specs[key]


@dataclass(frozen=True)
class Missing:
    """What cannot be made of these runs, why in one line, and whether a damaged file is the cause."""

    name: str
    reason: str
    damaged: bool = False


def make(name: str, choice: Choice) -> Made | Missing:
    """A figure or table of the catalogue (see relift.analysis.report.catalogue) by its name.

    The column `run` holds the names that the dashboard uses.
    """
    figure = FIGURES.get(name)
    if figure is None:
        return compute(name, choice, TABLES[name].data)
    return compute(name, choice, figure.data, caption=figure.caption, draw=figure.draw)


def compute(
    name: str,
    choice: Choice,
    data: Callable[[Loaded], pd.DataFrame],
    *,
    caption: Callable[[pd.DataFrame], str] | None = None,
    draw: Draw | None = None,
    options: Hashable = None,
) -> Made | Missing:
    """`data` of the runs, kept under `name` and `options`: both together must say what is computed.

    What analysis refuses (InputError) and what storage lost (StoreError) become Missing, which is kept too.
    """
    return _computed(name, choice.key, options, choice, data, caption, draw)


@st.cache_resource(max_entries=64, show_spinner="Counting")
def _computed(
    name: str,
    key: tuple[Any, ...],  # noqa: ARG001
    options: Hashable,  # noqa: ARG001
    _choice: Choice,
    _data: Callable[[Loaded], pd.DataFrame],
    _caption: Callable[[pd.DataFrame], str] | None,
    _draw: Draw | None,
) -> Made | Missing:
    try:
        frame = with_names(_data(loaded(_choice)), _choice)
        return Made(name, frame, _caption(frame) if _caption else "", _draw)
    except InputError as error:
        return Missing(name, " ".join(str(error).split()))
    except StoreError as error:
        return Missing(name, " ".join(str(error).split()), damaged=True)


def with_names(frame: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """The frame with the dashboard's names of runs in `run`, by its run_id; "step 0" stays."""
    if "run" not in frame or "run_id" not in frame:
        return frame
    names = choice.names
    labels = zip(frame["run_id"].astype(object), frame["run"].astype(object), strict=True)
    return frame.assign(run=[names.get(run_id, str(run)) for run_id, run in labels])
