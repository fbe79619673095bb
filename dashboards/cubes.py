"""Read the tables of runs for figures: as frames, as counts of every question by step, and what of it is damaged."""

from __future__ import annotations

import numpy as np

from relift.analysis import Cube, LiveCube, read_counts
from relift.analysis.report.loaded import Loaded
from relift.dashboards.kept import kept
from relift.dashboards.runs import Choice, RunInfo
from relift.errors import InputError

LARGE_ROWS = 1_000_000  # rows of trajectories that are read as a frame; of larger runs evenly spaced probes are


@kept(4)
def loaded(choice: Choice) -> Loaded:
    """Open the tables of these runs (see `Loaded`), shared by all pages until one of the runs grows.

    Of large runs the trajectories are those of evenly spaced probes (see `shown_steps`). InputError where there is
    no run to read.
    """
    if not choice.runs:
        raise InputError("no run is chosen")
    paths = tuple(run.folder for run in choice.runs)
    known = [(run.run_id, step) for run in choice.runs if run.probe_steps for step in damaged(run)]
    return Loaded(
        paths, choice.base, choice.splits or None, resamples=200, steps=shown_steps(choice),
        left_out=tuple(sorted({*choice.left_out, *known})),
    )  # fmt: skip


def shown_steps(choice: Choice) -> tuple[int, ...] | None:
    """List the steps that figures show, evenly spaced where not all fit into memory; None: every one."""
    if not is_large(choice):
        return None
    steps = sorted({step for run in choice.runs for step in run.probe_steps})
    n_rows = sum(run.n_rows for run in choice.runs)
    return spaced_steps(choice, LARGE_ROWS * len(steps) // n_rows)


def is_large(choice: Choice) -> bool:
    """Tell whether the trajectories are too many to be held as rows."""
    return sum(run.n_rows for run in choice.runs) > LARGE_ROWS


def spaced_steps(choice: Choice, n: int) -> tuple[int, ...]:
    """Pick about `n` of the probed steps, evenly spaced, each run's first and last among them."""
    steps = sorted({step for run in choice.runs for step in run.probe_steps})
    ends = {step for run in choice.runs for step in (run.probe_steps[:1] + run.probe_steps[-1:])}
    return tuple(sorted({steps[round(i)] for i in np.linspace(0, len(steps) - 1, max(2, n))} | ends))


@kept(64, grows=False)
def _live_cube(run: RunInfo, draw: int) -> LiveCube:
    return LiveCube(run.folder, origin=run.origin, draw=draw)


@kept(32)
def cube(run: RunInfo, *, draw: int = 0) -> Cube:
    """Count a run's probes, Q x T, read-only and extended as the run grows; of an evaluation, its answers.

    Rows are in order of question_ix, as those of `questions_of`. A damaged probe is left out (see `damaged`); damaged
    answers of an evaluation raise StoreError.
    """
    if run.origin == "benchmark":  # an evaluation keeps no trajectories
        return _counted(run, draw)
    return _live_cube(run, draw).refresh()


def _counted(run: RunInfo, draw: int) -> Cube:
    counts = read_counts([run.folder], origin="benchmark", source="attempts", draws=[draw])
    correct_QP, attempts_QP = counts.count_QP["n_correct"], counts.count_QP["n_attempts"]
    decided_QP = attempts_QP - counts.count_QP["n_undecided"]
    return Cube(correct_QP, decided_QP, counts.probes["step"].to_numpy(np.int64), np.arange(len(counts.question_ids)))


@kept(64)
def damaged(run: RunInfo) -> dict[int, str]:
    """Find the steps whose probe cannot be read, and why; figures leave them out."""
    found: dict[int, str] = {}
    if run.origin == "benchmark":
        return found
    for draw in run.base_draws or (0,):
        live = _live_cube(run, draw)
        live.refresh()
        found |= live.damaged
    return found
