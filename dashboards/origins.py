"""The same runs seen through their probes, their training rollouts, or their answers to benchmarks.

Questions that were trained on but not probed have rollouts alone, those of an evaluation its answers alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import streamlit as st

from relift.analysis.runs.counts import Cube, read_counts
from relift.dashboards.runs import Choice, RunInfo, cube
from relift.errors import ReliftError
from relift.store import RunReader

ORIGINS = {
    "probed": "probe",
    "trained on": "rollout",
    "evaluated": "benchmark",
}  # what an address and a page say: the origin in the tables
NAMES = {origin: name for name, origin in ORIGINS.items()}
NOTE = (
    "Training rollouts are made of the questions whose turn it was, at the temperature of training: compare one "
    "question with itself, not means over questions."
)


def of_origin(choice: Choice, origin: str) -> Choice:
    """The choice as it is ("probe"), or its runs with attempts of another origin, these in place of probes."""
    if origin == "probe":
        return choice
    runs = tuple(run for run in (seen_through(run, origin) for run in choice.runs) if run.probe_steps)
    return replace(choice, runs=runs, splits=())


def able_origins(choice: Choice) -> list[str]:
    """Names (of ORIGINS) of the origins that any of the runs has attempts of."""
    return [name for name, origin in ORIGINS.items() if any(r.probe_steps for r in of_origin(choice, origin).runs)]


def seen_through(run: RunInfo, origin: str) -> RunInfo:
    """The run with attempts of an origin as what is looked at; without any, its `probe_steps` are empty."""
    if origin == run.origin and run.probe_steps:
        return run
    steps = _steps(str(run.folder), origin, run.fingerprint)
    return replace(run, origin=origin, probe_steps=steps, base_draws=(), n_rows=0)


@st.cache_resource(max_entries=64, show_spinner=False)
def _steps(folder: str, origin: str, marks: tuple[int, ...]) -> tuple[int, ...]:  # noqa: ARG001
    try:
        return tuple(RunReader(Path(folder)).steps("attempts", origin=origin))
    except ReliftError:  # said where the runs are chosen
        return ()


def cube_of(run: RunInfo, *, draw: int = 0) -> Cube:
    """`runs.cube`; of an evaluation, which keeps no trajectories, counted from its attempts. StoreError if damaged."""
    if run.origin != "benchmark":
        return cube(run, draw=draw)
    return _counted(str(run.folder), run.fingerprint, draw)


@st.cache_resource(max_entries=16, show_spinner="Counting")
def _counted(folder: str, marks: tuple[int, ...], draw: int) -> Cube:  # noqa: ARG001
    counts = read_counts([folder], origin="benchmark", source="attempts", draws=[draw])
    correct_QP, attempts_QP = counts.count_QP["n_correct"], counts.count_QP["n_attempts"]
    decided_QP = attempts_QP - counts.count_QP["n_undecided"]
    return Cube(correct_QP, decided_QP, counts.probes["step"].to_numpy(np.int64), np.arange(len(counts.question_ids)))
