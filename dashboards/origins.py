"""Look at runs through their probes, their training rollouts, or their answers to benchmarks.

Questions that were trained on but not probed have rollouts alone, those of an evaluation its answers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from relift.dashboards.kept import kept
from relift.dashboards.runs import Choice, RunInfo
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
    """Return the choice as it is ("probe"), or its runs with attempts of another origin in place of probes."""
    if origin == "probe":
        return choice
    runs = tuple(run for run in (seen_through(run, origin) for run in choice.runs) if run.probe_steps)
    return replace(choice, runs=runs, splits=())


def able_origins(choice: Choice) -> list[str]:
    """Name the origins (of ORIGINS) that any of the runs has attempts of."""
    return [name for name, origin in ORIGINS.items() if any(r.probe_steps for r in of_origin(choice, origin).runs)]


def seen_through(run: RunInfo, origin: str) -> RunInfo:
    """Return the run with the attempts of an origin in place of its probes; without any, `probe_steps` is empty."""
    if origin == run.origin and run.probe_steps:
        return run
    steps = _steps(run, origin)
    return replace(run, origin=origin, probe_steps=steps, base_draws=(), n_rows=0)


@kept(64)
def _steps(run: RunInfo, origin: str) -> tuple[int, ...]:
    try:
        return tuple(RunReader(run.folder).steps("attempts", origin=origin))
    except ReliftError:  # said where the runs are chosen
        return ()


def choose_origin(label: str, able: Sequence[str], *, key: str = "origin", help: str | None = None) -> str | None:
    """Offer the origins of these names (of ORIGINS) where there are several; the origin chosen, None of none."""
    if len(able) < 2:
        return ORIGINS[able[0]] if able else None
    chosen = st.segmented_control(label, able, default=able[0], key=key, bind="query-params", help=help)
    return ORIGINS[chosen or able[0]]
