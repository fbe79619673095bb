"""Compare two runs and where they began: the questions only one of them reached, and only one of them lost.

"Solved" rests on few attempts, so what chance alone does stands beside every count. Axes: Q questions, J numbers of
correct attempts of run a.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift import stats
from relift.analysis import style
from relift.analysis.questions.compare import compare_runs
from relift.analysis.runs.panel import run_id_of
from relift.errors import InputError

Rule = Literal["once", "mostly"]
SIDES = ("both", "only a", "only b", "neither")
CELLS = {
    (False, "both"): "reached by both",
    (False, "only a"): "reached only by a",
    (False, "only b"): "reached only by b",
    (False, "neither"): "reached by neither",
    (True, "both"): "kept by both",
    (True, "only b"): "lost only by a",
    (True, "only a"): "lost only by b",
    (True, "neither"): "lost by both",
}


def pair_cells(
    trajectories: pd.DataFrame, *, a: str, b: str, base: str, step: int | None = None, rule: Rule = "once"
) -> pd.DataFrame:
    """Join the base at step 0 and two runs at `step` (None: each run's last), question by question.

    Columns as `compare_runs`, n_correct_start, n_decided_start, and by `rule` ("once": at least one attempt correct,
    "mostly": more than half of the decided ones) cell, of CELLS; null where a side has no decided attempt. chance_both,
    chance_only_a, chance_only_b, chance_neither: what the two runs would show if they were equally good at the
    question, its correct attempts dealt at random among both. Draw 0 alone: solved at least once needs as many
    attempts on every side. InputError if runs are unknown or share no question.
    """
    first = trajectories[(trajectories["draw"] == 0).to_numpy()]
    base_id = run_id_of(first, base)
    pairs = compare_runs(first, a=a, b=b, step=step)
    start = first[((first["run_id"] == base_id) & (first["step"] == 0)).to_numpy()]
    counts = start[["n_attempts", "n_correct", "n_undecided"]].astype("int64")
    counts = counts.set_index(pd.Index(start["question_id"].astype(object), name="question_id"))
    counts["n_decided"] = counts["n_attempts"] - counts["n_undecided"]
    joined = pairs.join(counts[["n_correct", "n_decided"]].add_suffix("_start"), on="question_id", how="inner")
    if joined.empty:
        raise InputError(f"{base} has no question at step 0 that {a} and {b} have: nothing tells gained from kept")
    joined = joined.reset_index(drop=True)
    solved = {side: _solved(joined[f"n_correct_{side}"], joined[f"n_decided_{side}"], rule) for side in ("a", "b")}
    began = _solved(joined["n_correct_start"], joined["n_decided_start"], rule)
    side_Q = np.where(solved["a"], np.where(solved["b"], 0, 1), np.where(solved["b"], 2, 3))
    names = np.array([CELLS[bool(s), SIDES[k]] for s, k in zip(began, side_Q, strict=True)], dtype=object)
    decided = (joined[["n_decided_a", "n_decided_b", "n_decided_start"]] > 0).all(axis=1).to_numpy()
    names[~decided] = None
    chance_Q4 = _chances(joined, rule)
    chances = {f"chance_{name.replace(' ', '_')}": chance_Q4[:, i] for i, name in enumerate(SIDES)}
    return joined.drop(columns="cell").assign(
        cell=pd.Series(names, dtype=object), started_solved=began, rule=rule, **chances
    )


def _solved(n_correct: Any, n_decided: Any, rule: Rule) -> NDArray[np.bool_]:
    correct, decided = np.asarray(n_correct), np.asarray(n_decided)
    return np.asarray(correct > 0 if rule == "once" else 2 * correct > decided, dtype=bool)


def _chances(pairs: pd.DataFrame, rule: Rule) -> stats.Floats:
    """Return the probability of each of SIDES, (Q, 4), when a question's correct attempts are dealt at random."""
    n_a, n_b = pairs["n_decided_a"].to_numpy(), pairs["n_decided_b"].to_numpy()
    right_Q = (pairs["n_correct_a"] + pairs["n_correct_b"]).to_numpy()
    share_QJ = stats.shares_of_split(right_Q, n_a=n_a, n_b=n_b)
    j = np.arange(share_QJ.shape[1])
    a_QJ = np.broadcast_to(_solved(j, n_a[:, None], rule), share_QJ.shape)
    b_QJ = _solved(right_Q[:, None] - j, n_b[:, None], rule)
    both = [a_QJ & b_QJ, a_QJ & ~b_QJ, ~a_QJ & b_QJ, ~a_QJ & ~b_QJ]
    return np.stack([(share_QJ * where).sum(axis=1) for where in both], axis=1)


def count_cells(pairs: pd.DataFrame) -> pd.DataFrame:
    """Count the questions in each of CELLS, and those expected if both runs were equally good at every question."""
    known = pairs[pairs["cell"].notna()]
    rows = []
    for (began, side), name in CELLS.items():
        of = known[known["started_solved"] == began]
        expected = float(of[f"chance_{side.replace(' ', '_')}"].sum())
        rows.append((began, side, name, int((of["cell"] == name).sum()), expected, len(known)))
    return pd.DataFrame(rows, columns=["started_solved", "side", "cell", "count", "expected", "n_questions"])


def plot_cells(frame: pd.DataFrame, *, a: str = "a", b: str = "b", axes: Any = None) -> Any:
    """Draw two rows of four cells, shade by count, what chance gives in brackets. Returns the Axes."""
    axes = style.one_axes(height=1.5) if axes is None else axes
    names = {"both": "both", "only a": f"only {a}", "only b": f"only {b}", "neither": "neither"}
    table = frame.pivot(index="started_solved", columns="side", values="count").reindex(
        index=[False, True], columns=list(SIDES)
    )
    expected = frame.pivot(index="started_solved", columns="side", values="expected").reindex(
        index=[False, True], columns=list(SIDES)
    )
    with style.context():
        axes.imshow(table.to_numpy(float), cmap="Blues", aspect="auto", vmin=0, vmax=max(1, table.to_numpy().max()) * 2)
        for (i, j), count in np.ndenumerate(table.to_numpy()):
            axes.text(j, i - 0.08, f"{count}", ha="center", va="center", fontsize=8)
            axes.text(j, i + 0.27, f"({expected.to_numpy(float)[i, j]:.0f})", ha="center", va="center", fontsize=6)
        axes.set_xticks(range(4), [names[str(side)] for side in SIDES], parse_math=False)
        axes.set_yticks([0, 1], ["not solved at the start", "solved at the start"])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return axes
