"""Lay trajectory rows out question by column, where a column is one run at one step.

Axes: Q questions (rows of the bands frame), C columns. This is where the rules hold that all measurements by
band share: one origin, joined on question_id, base bands and base measurements from different draws, and no
top-up draw in a rate.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift.analysis.runs.counts import Counts
from relift.errors import InputError
from relift.suggest import hint

RATE_DRAWS = 2  # draws 0 and 1; later ones are top-ups, chosen by outcome, which would bias a rate


@dataclass(frozen=True)
class Panel:
    """Hold sums over the draws that count, by question and column; `columns` has run_id, run, step."""

    question_ids: pd.Index
    columns: pd.DataFrame
    sum_QC: dict[str, NDArray[Any]]  # numbers, as they came: small integers of Counts, else float64

    def column_of(self, run_id: str, step: int) -> int | None:
        """Return the position of a run's step among the columns, or None."""
        found = np.flatnonzero((self.columns["run_id"] == run_id) & (self.columns["step"] == step))
        return int(found[0]) if len(found) else None


def with_labels(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with plain string columns run_id and run; a run without a label is called by its run_id."""
    run_id = trajectories["run_id"].astype(object)
    run = trajectories["run"].astype(object) if "run" in trajectories else run_id
    return trajectories.assign(run_id=run_id, run=run)


def one_origin(trajectories: pd.DataFrame | Counts) -> str | None:
    """Return the origin of all rows (None of an empty frame); InputError if there are several."""
    if isinstance(trajectories, Counts):
        return trajectories.origin
    origins = sorted({str(o) for o in trajectories["origin"].unique()})
    if len(origins) > 1:
        raise InputError(f"trajectories of origins {', '.join(origins)} in one frame: read one origin at a time")
    return origins[0] if origins else None


def run_id_of(trajectories: pd.DataFrame, run: str | None) -> str:
    """Find the run_id meant by `run`: a run_id, a label that one run has, or None where there is one run."""
    named = with_labels(trajectories)[["run_id", "run"]].drop_duplicates()
    if run is None:
        meant = named
    else:
        meant = named[(named["run_id"] == run) | (named["run"] == run)]
    if len(meant) != 1:
        runs = ", ".join(f"{row.run} ({row.run_id})" for row in named.itertuples())
        labels = [str(name) for name in (*named["run"], *named["run_id"])]
        if run is None:
            asked = "the base run must be named"
        elif len(meant):
            asked = f"{run!r} is the name of {len(meant)} runs: give the run_id"
        else:
            asked = f"no run is called {run!r}{hint(run, labels)}"
        raise InputError(f"{asked}; the frame holds: {runs or 'no run'}")
    return str(meant["run_id"].iloc[0])


def base_id_of(trajectories: pd.DataFrame, run: str | None) -> str:
    """Find the run_id of the base: `run` as in `run_id_of`; None: the only run, or the only one called base."""
    named = with_labels(trajectories)[["run_id", "run"]].drop_duplicates()
    called_base = len(named) > 1 and (named["run"] == "base").sum() == 1
    return run_id_of(trajectories, "base" if run is None and called_base else run)


def base_of_bands(bands: pd.DataFrame) -> tuple[str, int]:
    """Return run_id and draw that the bands were assigned by."""
    if bands.empty:
        raise InputError("no question has been given a band: the bands frame is empty")
    return str(bands["run_id"].iloc[0]), int(bands["draw"].iloc[0])


def check_measure_draw(bands: pd.DataFrame, measure_draw: int, *, allow_same_draw: bool) -> None:
    """Raise InputError where the attempts that assigned the bands would also measure them."""
    if measure_draw == base_of_bands(bands)[1] and not allow_same_draw:
        raise InputError(
            f"bands were assigned by draw {measure_draw}, which cannot measure step 0 too: chance would look "
            "like change; probe step 0 once more, or pass allow_same_draw=True"
        )
    if measure_draw >= RATE_DRAWS:
        raise InputError(f"draw {measure_draw} is a top-up: it was chosen by outcome and cannot measure a rate")


@overload
def matched_questions(trajectories: pd.DataFrame) -> pd.DataFrame: ...
@overload
def matched_questions(trajectories: Counts) -> Counts: ...
def matched_questions(trajectories: pd.DataFrame | Counts) -> pd.DataFrame | Counts:
    """Return the rows of questions that were probed in every run and at every step of the frame.

    Some questions may be probed at the two ends alone; in a mean over questions they would look like change.
    InputError if there is no such question.
    """
    if isinstance(trajectories, Counts):
        return _matched_counts(trajectories)
    question, question_ids = codes_of_values(trajectories["question_id"])
    column, columns = _columns(trajectories)
    shape = (len(question_ids), len(columns))
    asked_QC = np.zeros(shape[0] * shape[1], bool)
    asked_QC[question * shape[1] + column] = True
    matched_Q: NDArray[np.bool_] = np.all(asked_QC.reshape(shape), axis=1)
    if len(trajectories) and not matched_Q.any():
        raise InputError(_NOT_MATCHED)
    return trajectories if matched_Q.all() else trajectories[matched_Q[question]]


_NOT_MATCHED = "no question was probed in every run and at every step: select runs, steps or splits"


def _matched_counts(counts: Counts) -> Counts:
    asked_QP = counts.count_QP["n_attempts"] > 0
    matched_Q = np.ones(len(counts.question_ids), bool)
    for _, probes in counts.probes.groupby(["run_id", "step"], sort=False):
        matched_Q &= asked_QP[:, probes.index.to_numpy()].any(axis=1)
    if not matched_Q.any():
        raise InputError(_NOT_MATCHED)
    if matched_Q.all():
        return counts
    kept = {name: count_QP[matched_Q] for name, count_QP in counts.count_QP.items()}
    return Counts(counts.question_ids[matched_Q], counts.probes, counts.origin, kept)


def codes_of_values(values: pd.Series) -> tuple[NDArray[np.intp], pd.Index]:
    """Return each value's position in an index of plain objects, and the index; of categories without reading rows."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        used, codes = np.zeros(len(values.cat.categories), bool), values.cat.codes.to_numpy()
        used[codes] = True
        place = np.cumsum(used) - 1
        return place[codes].astype(np.intp), pd.Index(values.cat.categories[used], dtype=object)
    codes, uniques = pd.factorize(values.astype(object))
    return codes, pd.Index(uniques)


def _columns(rows: pd.DataFrame) -> tuple[NDArray[np.intp], pd.DataFrame]:
    """Return the column of each row, and the columns (run_id, run, step) in order of run (first seen) and step."""
    run_codes, run_ids = pd.factorize(rows["run_id"])  # order of appearance
    step = rows["step"].to_numpy(np.int64)
    n_steps = int(step.max(initial=0)) + 1
    key = run_codes * n_steps + step
    present = np.zeros(len(run_ids) * n_steps, bool)
    present[key] = True
    keys, place = np.flatnonzero(present), np.cumsum(present) - 1
    firsts = with_labels(rows.iloc[[int((run_codes == i).argmax()) for i in range(len(run_ids))]])
    named = firsts[["run_id", "run"]].iloc[keys // n_steps].reset_index(drop=True)
    return place[key].astype(np.intp), named.assign(step=keys % n_steps)


def lay_out(
    trajectories: pd.DataFrame | Counts, bands: pd.DataFrame, *, sums: Sequence[str], measure_draw: int
) -> Panel:
    """Sum the columns `sums` by question and (run, step): `measure_draw` at step 0, draws 0 and 1 later.

    Questions without a row in a column have sums of 0; questions that `bands` does not know are left out.
    InputError if no row is left.
    """
    one_origin(trajectories)
    probes = trajectories.probes if isinstance(trajectories, Counts) else trajectories
    step, draw = probes["step"].to_numpy(), probes["draw"].to_numpy()
    measuring = np.where(step == 0, draw == measure_draw, draw < RATE_DRAWS)
    question_ids = pd.Index(bands["question_id"].astype(object))
    if isinstance(trajectories, Counts):
        panel = _panel_of_counts(trajectories.select(measuring), question_ids, sums) if measuring.any() else None
    else:
        code, known = codes_of_values(trajectories["question_id"])
        row = question_ids.get_indexer(known)[code] if len(known) else code
        kept = trajectories[measuring & (row >= 0)]
        panel = None if kept.empty else _panel(kept, row[measuring & (row >= 0)], question_ids, sums)
    if panel is None:
        raise InputError(
            f"nothing measures these bands: no later step, and no draw {measure_draw} at step 0, of their questions"
        )
    return panel


def _panel_of_counts(counts: Counts, question_ids: pd.Index, sums: Sequence[str]) -> Panel:
    row_Q = counts.question_ids.get_indexer(question_ids)
    column_P, columns = _columns(counts.probes)
    sum_QC = {}
    for name in sums:
        # a row per column first: the arrays of counts lie so in memory
        sum_CQ = np.zeros((len(columns), len(question_ids)), np.int16)
        for probe, column in enumerate(column_P):
            sum_CQ[column] += np.where(row_Q >= 0, counts.count_QP[name][row_Q, probe], 0).astype(np.int16)
        sum_QC[name] = sum_CQ.T
    return Panel(question_ids, columns, sum_QC)


def lay_out_counts(trajectories: pd.DataFrame, *, draws: Collection[int] | None = None) -> Panel:
    """Sum n_correct and n_decided by question and (run, step), over all questions of the frame.

    `draws`: None pools those that rates may use, 0 and 1; a top-up was chosen by outcome and is refused.
    InputError if no row is left.
    """
    one_origin(trajectories)
    wanted = range(RATE_DRAWS) if draws is None else sorted(draws)
    if any(draw >= RATE_DRAWS for draw in wanted):
        raise InputError(f"draws {list(wanted)}: those from {RATE_DRAWS} on are top-ups and cannot measure a rate")
    kept = trajectories[trajectories["draw"].isin(list(wanted)).to_numpy()]
    if kept.empty:
        raise InputError(f"no probe in draws {', '.join(map(str, wanted))}: nothing is measured")
    kept = kept.assign(n_decided=kept["n_attempts"].to_numpy(np.int64) - kept["n_undecided"].to_numpy(np.int64))
    row, question_ids = codes_of_values(kept["question_id"])
    return _panel(kept, row, question_ids, ("n_correct", "n_decided"))


def _panel(rows: pd.DataFrame, question_N: NDArray[np.intp], question_ids: pd.Index, sums: Sequence[str]) -> Panel:
    """Sum rows by question and column, in order of run (as they first appear) and step."""
    column, columns = _columns(rows)
    shape = (len(question_ids), len(columns))
    cell = question_N * shape[1] + column
    sum_QC = {name: _sum_by(cell, rows[name].to_numpy(float), shape) for name in sums}
    return Panel(question_ids, columns, sum_QC)


def _sum_by(cell: NDArray[np.intp], value: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    total = np.bincount(cell, weights=value, minlength=shape[0] * shape[1])
    return total.astype(float, copy=False).reshape(shape)  # bincount of nothing is of integers
