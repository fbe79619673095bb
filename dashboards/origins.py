"""The same runs seen through their training rollouts: questions that were trained on but not probed have no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import streamlit as st

from relift.dashboards.runs import Choice, RunInfo
from relift.errors import ReliftError
from relift.store import RunReader

ORIGINS = {"probed": "probe", "trained on": "rollout"}  # what an address and a page say: the origin in the tables
NOTE = (
    "Training rollouts are made of the questions whose turn it was, at the temperature of training: compare one "
    "question with itself, not means over questions."
)


def of_origin(choice: Choice, origin: str) -> Choice:
    """The choice as it is ("probe"), or with its training runs' rollouts in place of their probes ("rollout")."""
    if origin != "rollout":
        return choice
    runs = tuple(run for run in map(of_rollouts, choice.runs) if run.probe_steps)
    return replace(choice, runs=runs, splits=())


def of_rollouts(run: RunInfo) -> RunInfo:
    """The run with its rollouts as what is looked at; without any, its `probe_steps` are empty."""
    steps = _steps(str(run.folder), run.fingerprint)
    return replace(run, origin="rollout", probe_steps=steps, base_draws=(), n_rows=0)


@st.cache_resource(max_entries=64, show_spinner=False)
def _steps(folder: str, marks: tuple[int, ...]) -> tuple[int, ...]:  # noqa: ARG001
    try:
        return tuple(RunReader(Path(folder)).steps("trajectories", origin="rollout"))
    except ReliftError:  # said where the runs are chosen
        return ()
