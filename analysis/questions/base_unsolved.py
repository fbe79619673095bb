"""Follow the questions that the base did not solve, and count what one method discovers and another does not.

Axes: Q questions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.questions.compare import counts_at, mean_difference
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import base_id_of, run_id_of, with_labels
from relift.errors import InputError


def base_unsolved(trajectories: pd.DataFrame, *, base: str | None = None, control: str | None = None) -> pd.DataFrame:
    """Follow the questions without a correct attempt in draw 0 of the base's step 0: one row per run and later probe.

    Columns: run_id, run, step, n_unsolved (asked at this probe), n_attempts (of the base at each, range as text),
    n_solved (at least once at this probe, draw 0), share, low, high (95 %, Wilson), null_share: the same of `control`,
    a frozen run, at this step, else of the base's draw 1 (null without one). InputError if there is no such question.
    """
    base_id = base_id_of(trajectories, base)
    start = counts_at(trajectories, base_id, 0, draws=(0,))
    asked = start[(start["n_decided"] > 0) & (start["n_correct"] == 0)]
    if asked.empty:
        raise InputError("the base solved every question: none is left to be discovered")
    control_id = None if control is None else run_id_of(trajectories, control)
    again = counts_at(trajectories, base_id, 0, draws=(1,))
    probes = with_labels(trajectories[(trajectories["draw"] == 0).to_numpy()])
    rows = []
    for run_id, run, step in probes[["run_id", "run", "step"]].drop_duplicates().itertuples(index=False):
        if step == 0:
            continue
        n_solved, n = _solved_of(counts_at(trajectories, str(run_id), int(step), draws=(0,)), asked.index)
        if not n:
            continue
        null = again if control_id is None else counts_at(trajectories, control_id, int(step), draws=(0,))
        low, high = stats.wilson(n_solved, n)
        rows.append(
            {
                "run_id": run_id, "run": run, "step": int(step), "n_unsolved": n,
                "n_attempts": style.count_range(asked["n_decided"]), "n_solved": n_solved, "share": n_solved / n,
                "low": float(low), "high": float(high), "null_share": float(stats.rate(*_solved_of(null, asked.index))),
            }
        )  # fmt: skip
    if not rows:
        raise InputError("no run has a later probe of a question that the base did not solve")
    return pd.DataFrame(rows)


def _solved_of(counts: pd.DataFrame, question_ids: pd.Index) -> tuple[int, int]:
    """Count, among these questions, those solved at least once and those with a decided attempt."""
    of = counts.reindex(question_ids)
    return int((of["n_correct"] > 0).sum()), int((of["n_decided"] > 0).sum())


def plot_base_unsolved(frame: pd.DataFrame) -> Any:
    """Draw the share solved over steps, a line per run with its interval, dotted what a frozen copy shows."""
    axes = style.one_axes(height=2.3, width=style.COLUMN_WIDTH)
    styles = style.run_styles(frame["run"])
    with style.context():
        style.draw_lines(axes, frame, styles, x="step", value="share", floor="null_share")
        axes.set_ylabel("share solved at least once")
        axes.set_ylim(0, None)
        style.whole_steps(axes)
        style.legend_above(axes.figure, styles, columns=3)
    return axes


def caption_base_unsolved(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    dotted = " Dotted: what a frozen copy shows." if frame["null_share"].notna().any() else ""
    return (
        f"Of {style.count_range(frame['n_unsolved'])} questions that the base solved in none of "
        f"{frame['n_attempts'].iloc[0]} attempts, the share solved at least once at each probe. Shaded: 95 % intervals "
        f"(Wilson).{dotted}"
    )


def discovery(rollouts: pd.DataFrame, *, reference: str) -> pd.DataFrame:
    """Count what each run's rollouts solved and the reference's did not, at equal samples: one row per run.

    Of each question both were trained on, as many rollouts of each side count as the side with fewer has, drawn at
    random: columns discovered (expected number of questions with a correct one here and none there), missed (the
    reverse), share, low, high (of discovered less missed, 95 %, Student's t over questions), n_questions. InputError
    where nothing is shared.
    """
    reference_id = run_id_of(rollouts, reference)
    counts = _counts_of_runs(rollouts)
    rows = []
    for run_id, run in with_labels(rollouts)[["run_id", "run"]].drop_duplicates().itertuples(index=False):
        if run_id == reference_id:
            continue
        both = counts[str(run_id)].add_suffix("_a").join(counts[reference_id].add_suffix("_b"), how="inner")
        if both.empty:
            continue
        equal_Q = both[["n_decided_a", "n_decided_b"]].min(axis=1).to_numpy(np.int64)
        a_Q, b_Q = (_chance(both[f"n_correct_{s}"], both[f"n_decided_{s}"], equal_Q) for s in "ab")
        difference_Q = a_Q * (1 - b_Q) - b_Q * (1 - a_Q)
        mean = mean_difference(difference_Q)
        rows.append(
            {
                "run_id": run_id, "run": run, "reference": reference, "n_questions": len(both),
                "discovered": float((a_Q * (1 - b_Q)).sum()), "missed": float((b_Q * (1 - a_Q)).sum()),
                "share": mean["difference"], "low": mean["low"], "high": mean["high"],
            }
        )  # fmt: skip
    if not rows:
        raise InputError("no run was trained on a question of the reference")
    return pd.DataFrame(rows)


def _counts_of_runs(rollouts: pd.DataFrame) -> dict[str, pd.DataFrame]:
    found = {}
    for run_id, own in rollouts.groupby(rollouts["run_id"].astype(object), sort=False):
        counts = own[["n_correct", "n_attempts", "n_undecided"]].astype("int64")
        counts = counts.groupby(own["question_id"].astype(object)).sum()
        counts["n_decided"] = counts.pop("n_attempts") - counts.pop("n_undecided")
        found[str(run_id)] = counts[counts["n_decided"] > 0]
    return found


def _chance(correct_Q: pd.Series, decided_Q: pd.Series, sample_Q: Any) -> stats.Floats:
    """Compute the chance that `sample_Q` of the attempts, drawn without replacement, hold a correct one."""
    chance_Q = np.empty(len(sample_Q))
    for k in np.unique(sample_Q):
        of = sample_Q == k
        chance_Q[of] = stats.pass_at_k(correct_Q.to_numpy(float)[of], decided_Q.to_numpy(float)[of], k=int(k))
    return chance_Q


def discovery_of(loaded: LoadedRuns) -> pd.DataFrame:
    """Take plain GRPO as the reference. InputError if it is not among the runs."""
    trained = set(loaded.rollouts["run_id"].astype(object))
    plain = loaded.runs[(loaded.runs.get("recipe") == "grpo") & loaded.runs["run_id"].isin(trained)]
    if plain.empty:
        raise InputError("no run of plain GRPO is among them: nothing to discover beyond")
    return discovery(loaded.rollouts, reference=str(plain["run_id"].iloc[0])).assign(
        reference=str(plain["run"].iloc[0])
    )


BASE_UNSOLVED = Figure(
    "base_unsolved", "Questions that the base did not solve", "What is within reach",
    data=lambda loaded: base_unsolved(loaded.probes, base=loaded.base_id, control=loaded.control_id),
    draw=plot_base_unsolved, caption=caption_base_unsolved,
)  # fmt: skip
