"""Trajectory rows laid out question by column, where a column is one run at one step.

Axes: Q questions (rows of the bands frame), C columns. This is where the rules hold that all measurements by
band share: one origin, joined on question_id, base bands and base measurements from different draws, and no
top-up draw in a rate.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift.errors import InputError

RATE_DRAWS = 2  # draws 0 and 1; later ones are top-ups, chosen by outcome, which would bias a rate


@dataclass(frozen=True)
class Panel:
    """Sums over the draws that count, by question and column; `columns` has run_id, run, step."""

    question_ids: pd.Index
    columns: pd.DataFrame
    sum_QC: dict[str, NDArray[np.float64]]

    def column_of(self, run_id: str, step: int) -> int | None:
        """Position of a run's step among the columns, or None."""
        found = np.flatnonzero((self.columns["run_id"] == run_id) & (self.columns["step"] == step))
        return int(found[0]) if len(found) else None


def with_labels(trajectories: pd.DataFrame) -> pd.DataFrame:
    """The frame with plain string columns run_id and run; a run without a label is called by its run_id."""
    run_id = trajectories["run_id"].astype(object)
    run = trajectories["run"].astype(object) if "run" in trajectories else run_id
    return trajectories.assign(run_id=run_id, run=run)


def one_origin(trajectories: pd.DataFrame) -> str | None:
    """The origin of all rows (None of an empty frame); InputError if there are several."""
    origins = sorted({str(o) for o in trajectories["origin"].unique()})
    if len(origins) > 1:
        raise InputError(f"trajectories of origins {', '.join(origins)} in one frame: read one origin at a time")
    return origins[0] if origins else None


def run_id_of(trajectories: pd.DataFrame, run: str | None) -> str:
    """The run_id meant by `run`: a run_id, a label that one run has, or None where there is one run."""
    named = with_labels(trajectories)[["run_id", "run"]].drop_duplicates()
    if run is None:
        meant = named
    else:
        meant = named[(named["run_id"] == run) | (named["run"] == run)]
    if len(meant) != 1:
        runs = ", ".join(f"{row.run} ({row.run_id})" for row in named.itertuples())
        asked = "the base run must be named" if run is None else f"'{run}' means {len(meant)} runs"
        raise InputError(f"{asked}; the frame holds: {runs or 'no run'}")
    return str(meant["run_id"].iloc[0])


def base_of_bands(bands: pd.DataFrame) -> tuple[str, int]:
    """run_id and draw that the bands were assigned by."""
    if bands.empty:
        raise InputError("no question has been given a band: the bands frame is empty")
    return str(bands["run_id"].iloc[0]), int(bands["draw"].iloc[0])


def check_measure_draw(bands: pd.DataFrame, measure_draw: int, *, allow_same_draw: bool) -> None:
    """InputError where the attempts that assigned the bands would also measure them."""
    if measure_draw == base_of_bands(bands)[1] and not allow_same_draw:
        raise InputError(
            f"bands were assigned by draw {measure_draw}, which cannot measure step 0 too: chance would look "
            "like change; probe step 0 once more, or pass allow_same_draw=True"
        )
    if measure_draw >= RATE_DRAWS:
        raise InputError(f"draw {measure_draw} is a top-up: it was chosen by outcome and cannot measure a rate")


def matched_questions(trajectories: pd.DataFrame) -> pd.DataFrame:
    """The rows of questions that were probed in every run and at every step of the frame.

    Some questions may be probed at the two ends alone; in a mean over questions they would look like change.
    InputError if there is no such question.
    """
    question, question_ids = pd.factorize(trajectories["question_id"])
    run, _ = pd.factorize(trajectories["run_id"])
    step, steps = pd.factorize(trajectories["step"])
    columns, column = np.unique(run * max(1, len(steps)) + step, return_inverse=True)
    shape = (len(question_ids), len(columns))
    n_rows_QC = np.bincount(question * shape[1] + column, minlength=shape[0] * shape[1]).reshape(shape)
    matched_Q = np.count_nonzero(n_rows_QC, axis=1) == shape[1]
    if len(trajectories) and not matched_Q.any():
        raise InputError("no question was probed in every run and at every step: select runs, steps or splits")
    return trajectories[matched_Q[question]]


def lay_out(trajectories: pd.DataFrame, bands: pd.DataFrame, *, sums: Sequence[str], measure_draw: int) -> Panel:
    """Sum the columns `sums` by question and (run, step): `measure_draw` at step 0, draws 0 and 1 later.

    Questions without a row in a column have sums of 0; questions that `bands` does not know are left out.
    InputError if no row is left.
    """
    one_origin(trajectories)
    step, draw = trajectories["step"].to_numpy(), trajectories["draw"].to_numpy()
    measuring = np.where(step == 0, draw == measure_draw, draw < RATE_DRAWS)
    question_ids = pd.Index(bands["question_id"].astype(object))
    row = question_ids.get_indexer(pd.Index(trajectories["question_id"].astype(object)))
    kept = with_labels(trajectories[measuring & (row >= 0)])
    row = row[measuring & (row >= 0)]
    if kept.empty:
        raise InputError(
            f"nothing measures these bands: no later step, and no draw {measure_draw} at step 0, of their questions"
        )

    return _panel(kept, row, question_ids, sums)


def lay_out_counts(trajectories: pd.DataFrame, *, draws: Collection[int] | None = None) -> Panel:
    """Sum n_correct and n_decided by question and (run, step), over all questions of the frame.

    `draws`: None pools those that rates may use, 0 and 1; a top-up was chosen by outcome and is refused.
    InputError if no row is left.
    """
    one_origin(trajectories)
    wanted = range(RATE_DRAWS) if draws is None else sorted(draws)
    if any(draw >= RATE_DRAWS for draw in wanted):
        raise InputError(f"draws {list(wanted)}: those from {RATE_DRAWS} on are top-ups and cannot measure a rate")
    kept = with_labels(trajectories[trajectories["draw"].isin(list(wanted)).to_numpy()])
    if kept.empty:
        raise InputError(f"no probe in draws {', '.join(map(str, wanted))}: nothing is measured")
    kept["n_decided"] = kept["n_attempts"].to_numpy(np.int64) - kept["n_undecided"].to_numpy(np.int64)
    row, question_ids = pd.factorize(kept["question_id"].astype(object))
    return _panel(kept, row, pd.Index(question_ids), ("n_correct", "n_decided"))


def _panel(rows: pd.DataFrame, question_N: NDArray[np.intp], question_ids: pd.Index, sums: Sequence[str]) -> Panel:
    """Columns in order of run (as they first appear) and step."""
    run_codes, _ = pd.factorize(rows["run_id"])
    key = run_codes * (int(rows["step"].max()) + 1) + rows["step"].to_numpy()
    keys, first, column = np.unique(key, return_index=True, return_inverse=True)
    columns = rows.iloc[first][["run_id", "run", "step"]].reset_index(drop=True)
    shape = (len(question_ids), len(keys))
    cell = question_N * shape[1] + column
    sum_QC = {name: _sum_by(cell, rows[name].to_numpy(float), shape) for name in sums}
    return Panel(question_ids, columns, sum_QC)


def _sum_by(cell: NDArray[np.intp], value: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    total = np.bincount(cell, weights=value, minlength=shape[0] * shape[1])
    return total.astype(float).reshape(shape)  # bincount of nothing is of integers
