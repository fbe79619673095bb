"""Make figures and tables of relift.analysis for the runs chosen, once for all sessions, or say why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from relift.analysis.report.catalogue import FIGURES, TABLES
from relift.analysis.report.loaded import Loaded
from relift.dashboards.cubes import loaded
from relift.dashboards.kept import kept
from relift.dashboards.runs import Choice
from relift.errors import InputError, StoreError

MOST_DAMAGE = 40  # files that one figure goes on without
_PROBE = re.compile(r"/trajectories/step-(\d+)\.probe\b")
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
    left_out: tuple[str, ...] = ()  # what a damaged file took away, a line each
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
    left_out: tuple[str, ...] = ()


def make(name: str, choice: Choice) -> Ready | Unavailable:
    """Make a figure or table of the catalogue (see relift.analysis.report.catalogue) by its name.

    The column `run` holds the names that the dashboard uses.
    """
    figure = FIGURES.get(name)
    if figure is None:
        return compute(name, choice, TABLES[name].data)
    return compute(name, choice, figure.frame_of, caption=figure.caption, draw=figure.draw)


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

    A damaged file leaves out its probe, else its run, and is named in `left_out`; the rest is made. What analysis
    refuses (InputError) and what storage lost of all runs (StoreError) become Unavailable, which is kept too.
    """
    left_out: list[str] = []
    while True:
        try:
            frame = with_names(data(loaded(choice)), choice)
            return Ready(name, frame, caption(frame) if caption else "", draw, left_out=tuple(left_out))
        except InputError as error:
            return Unavailable(name, " ".join(str(error).split()), left_out=tuple(left_out))
        except StoreError as error:
            reason = " ".join(str(error).split())
            rest = without_damage(choice, reason)
            if rest is None or len(left_out) >= MOST_DAMAGE:
                return Unavailable(name, reason, damaged=True)
            left_out.append(reason)
            choice = rest


def without_damage(choice: Choice, reason: str) -> Choice | None:
    """Leave out the probe that a storage error names, else its run; None where no run would be left."""
    run = next((run for run in choice.runs if f"{run.folder}/" in reason), None)
    if run is None:
        return None
    probe = _PROBE.search(reason)
    if probe and (run.run_id, int(probe[1])) not in choice.left_out:
        return replace(choice, left_out=(*choice.left_out, (run.run_id, int(probe[1]))))
    runs = tuple(other for other in choice.runs if other is not run)
    base = choice.base if choice.base != run.run_id else None
    return replace(choice, runs=runs, base=base) if runs else None


def with_names(frame: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """Put the dashboard's names of runs into the column `run`, by run_id; "step 0" stays."""
    if "run" not in frame or "run_id" not in frame:
        return frame
    names = choice.names
    labels = zip(frame["run_id"].astype(object), frame["run"].astype(object), strict=True)
    return frame.assign(run=[names.get(run_id, str(run)) for run_id, run in labels])
