"""Within reach, undetermined, beyond, from counts: the same as `reach_counts`, for runs too large for rows.

Questions with equal counts have equal posteriors, so each pair of counts is looked at once. Axes: Q questions.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.questions.capability import EPSILON_64
from relift.analysis.questions.reached import REACH
from relift.analysis.runs.counts import Counts
from relift.analysis.runs.panel import RATE_DRAWS
from relift.errors import InputError

COLUMNS = ["run_id", "run", "step", "reach", "count", "share", "low", "high", "n_questions", "n_attempts", "epsilon"]


def counted_reach(counts: Counts, *, base_id: str, epsilon: float = EPSILON_64, level: float = 0.95) -> pd.DataFrame:
    """One row per run and class of REACH, as `reach_counts`: the base at step 0, every run at its last step.

    `counts` needs the draws of those steps alone. Over the questions that were asked at all of these ends.
    InputError if the base has no step 0.
    """
    probes = counts.probes
    last = probes.groupby(["run_id", "run"], sort=False)["step"].max().reset_index()
    base = last[last["run_id"] == base_id]
    if base.empty or not ((probes["run_id"] == base_id) & (probes["step"] == 0)).any():
        raise InputError(f"run {base_id} has no probe at step 0")
    ends = pd.concat([base.assign(step=0), last[(last["run_id"] != base_id) | (last["step"] > 0)]], ignore_index=True)
    masks = [
        ((probes["run_id"] == run_id) & (probes["step"] == step)).to_numpy()
        for run_id, step in ends[["run_id", "step"]].to_numpy()
    ]
    rating = (probes["draw"] < RATE_DRAWS).to_numpy()
    asked_Q = np.logical_and.reduce([(_sum(counts, "n_attempts", mask & rating) > 0) for mask in masks])
    rows = []
    for (run_id, run, step), mask in zip(ends.itertuples(index=False), masks, strict=True):
        rated_correct_Q, rated_decided_Q = (part[asked_Q] for part in _decided(counts, mask & rating))
        prior = stats.beta_binomial_fit(rated_correct_Q, rated_decided_Q)
        correct_Q, decided_Q = (part[asked_Q] for part in _decided(counts, mask))
        found = _count(correct_Q, decided_Q, a=prior.a, b=prior.b, epsilon=epsilon, level=level)
        n, attempts = int(asked_Q.sum()), style.count_range(np.unique(decided_Q))
        for name in REACH:
            low, high = stats.wilson(found[name], n)
            rows.append(
                (
                    run_id,
                    run,
                    int(step),
                    name,
                    found[name],
                    found[name] / n,
                    float(low),
                    float(high),
                    n,
                    attempts,
                    epsilon,
                )
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def _sum(counts: Counts, name: str, mask_P: np.ndarray) -> stats.Ints:
    total = np.zeros(len(counts.question_ids), np.int64)
    for probe in np.flatnonzero(mask_P):
        total += counts.count_QP[name][:, probe]
    return total


def _decided(counts: Counts, mask_P: np.ndarray) -> tuple[stats.Ints, stats.Ints]:
    attempts_Q, undecided_Q = _sum(counts, "n_attempts", mask_P), _sum(counts, "n_undecided", mask_P)
    return _sum(counts, "n_correct", mask_P), attempts_Q - undecided_Q


def _count(
    correct_Q: stats.Ints, decided_Q: stats.Ints, *, a: float, b: float, epsilon: float, level: float
) -> dict[str, int]:
    width = int(decided_Q.max(initial=0)) + 1
    pairs, times = np.unique(decided_Q * width + correct_Q, return_counts=True)
    decided, correct = pairs // width, pairs % width
    p_below = stats.beta_below(correct, decided, a=a, b=b, epsilon=epsilon)
    sure = np.select([p_below >= level, 1 - p_below >= level], ["beyond", "within"], "undetermined")
    sure = np.where(decided > 0, sure, "undetermined")
    return {name: int(times[sure == name].sum()) for name in REACH}
