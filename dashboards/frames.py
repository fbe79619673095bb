"""Make figures and tables of relift.analysis for the runs chosen, once for all sessions, or say why not."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from relift.analysis.report.catalogue import FIGURES, TABLES
from relift.analysis.report.loaded import Loaded
from relift.dashboards.cubes import loaded
from relift.dashboards.kept import kept
from relift.dashboards.runs import Choice
from relift.errors import InputError, StoreError

Draw = Callable[[pd.DataFrame], Any]


@dataclass(frozen=True)
class Ready:
    """Hold a frame with its caption and its figure for print (None: it has none). `frame` must not be changed.

    `specs` keeps what charts were made of it: building and checking one takes longer than sending it.
    """

    name: str
    frame: pd.DataFrame
    caption: str = ""
    draw: Draw | None = None
    specs: dict[Hashable, list[dict[str, Any]]] = field(default_factory=dict, compare=False, repr=False)

    def charts(self, key: Hashable, build: Callable[[], Any]) -> list[dict[str, Any]]:
        """Return Vega-Lite specifications of the charts that `build` gives, built once; `key` names what it does."""
        if key not in self.specs:
            built = build()
            parts = built if isinstance(built, list) else [built]
            self.specs[key] = [chart.to_dict(validate=False) for chart in parts]
        return self.specs[key]


@dataclass(frozen=True)
class Unavailable:
    """Say what cannot be made of these runs, why in one line, and whether a damaged file is the cause."""

    name: str
    reason: str
    damaged: bool = False


def make(name: str, choice: Choice) -> Ready | Unavailable:
    """Make a figure or table of the catalogue (see relift.analysis.report.catalogue) by its name.

    The column `run` holds the names that the dashboard uses.
    """
    figure = FIGURES.get(name)
    if figure is None:
        return compute(name, choice, TABLES[name].data)
    return compute(name, choice, figure.data, caption=figure.caption, draw=figure.draw)


@kept(64, spinner="Counting")
def compute(
    name: str,
    choice: Choice,
    data: Callable[[Loaded], pd.DataFrame],
    *,
    caption: Callable[[pd.DataFrame], str] | None = None,
    draw: Draw | None = None,
    options: Hashable = None,
) -> Ready | Unavailable:
    """Make `data` of the runs, kept under `name` and `options`: both together must say what is computed.

    What analysis refuses (InputError) and what storage lost (StoreError) become Unavailable, which is kept too.
    """
    try:
        frame = with_names(data(loaded(choice)), choice)
        return Ready(name, frame, caption(frame) if caption else "", draw)
    except InputError as error:
        return Unavailable(name, " ".join(str(error).split()))
    except StoreError as error:
        return Unavailable(name, " ".join(str(error).split()), damaged=True)


def with_names(frame: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """Put the dashboard's names of runs into the column `run`, by run_id; "step 0" stays."""
    if "run" not in frame or "run_id" not in frame:
        return frame
    names = choice.names
    labels = zip(frame["run_id"].astype(object), frame["run"].astype(object), strict=True)
    return frame.assign(run=[names.get(run_id, str(run)) for run_id, run in labels])
