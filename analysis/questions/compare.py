"""Two runs question by question: which one solves what, and by how much, paired."""

from __future__ import annotations

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis.runs.panel import RATE_DRAWS, one_origin, run_id_of
from relift.errors import InputError


def compare_runs(trajectories: pd.DataFrame, *, a: str, b: str, step: int | None = None) -> pd.DataFrame:
    """One row per question that both runs were probed on at `step` (None: each run's last), joined on question_id.

    `a` and `b` are run_ids or labels. Columns: question_id, n_correct_a, n_decided_a, rate_a, the same of b,
    difference (rate_a - rate_b, null if a side has no decided attempt), cell: "both", "only a", "only b",
    "neither" by solved at least once, null likewise. Draws 0 and 1 are pooled. InputError if nothing is shared.
    """
    one_origin(trajectories)
    sides = [_counts(trajectories, run, step).add_suffix(f"_{side}") for side, run in (("a", a), ("b", b))]
    frame = sides[0].join(sides[1], how="inner").sort_index().rename_axis("question_id").reset_index()
    if frame.empty:
        raise InputError(f"{a} and {b} have no probed question in common")
    frame["difference"] = frame["rate_a"] - frame["rate_b"]
    solved_a, solved_b = frame["n_correct_a"] > 0, frame["n_correct_b"] > 0
    cell = np.select([solved_a & solved_b, solved_a, solved_b], ["both", "only a", "only b"], "neither").astype(object)
    frame["cell"] = pd.Series(cell, index=frame.index).where(frame["difference"].notna(), None)
    return frame


def _counts(trajectories: pd.DataFrame, run: str, step: int | None) -> pd.DataFrame:
    rows = trajectories[(trajectories["run_id"] == run_id_of(trajectories, run)) & (trajectories["draw"] < RATE_DRAWS)]
    rows = rows[rows["step"] == (rows["step"].max() if step is None else step)]
    names = ["n_attempts", "n_correct", "n_undecided"]
    counts = rows[names].astype("int64").groupby(rows["question_id"].astype(object)).sum()
    counts["n_decided"] = counts.pop("n_attempts") - counts.pop("n_undecided")
    counts["rate"] = stats.rate(counts["n_correct"], counts["n_decided"])
    return counts


def paired_difference(compared: pd.DataFrame, *, by: pd.Series | None = None) -> pd.DataFrame:
    """One row per group (`by`: group of each question_id, say its band; None: one group "all").

    Columns: group, n_questions, difference (mean of rate_a - rate_b), low, high (95 %, Student's t over
    questions, cut at -1 and 1), p_value; where every question has one attempt a side also mcnemar_p. Questions whose
    group is null are left out; groups of fewer than two questions have no interval.
    """
    rows = compared[compared["difference"].notna()]
    groups = pd.Series("all", index=rows.index) if by is None else rows["question_id"].map(by)
    found = []
    for group, members in rows.groupby(groups, sort=False):
        n = len(members)
        estimate = stats.paired_t(members["difference"]) if n > 1 else None
        single = bool((members[["n_decided_a", "n_decided_b"]] == 1).all(axis=None))
        only = [int((members["cell"] == f"only {side}").sum()) for side in "ab"]
        found.append(
            {
                "group": group,
                "n_questions": n,
                "difference": float(members["difference"].mean()),
                "low": max(-1.0, estimate.low) if estimate else np.nan,  # few questions: t reaches beyond what can be
                "high": min(1.0, estimate.high) if estimate else np.nan,
                "p_value": estimate.p_value if estimate else np.nan,
                "mcnemar_p": float(stats.mcnemar_exact(*only)) if single else np.nan,
            }
        )
    return pd.DataFrame(found)
