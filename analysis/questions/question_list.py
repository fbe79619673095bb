"""Many questions in one order: sorted by the shape of their trajectory, and as bars of a heat map.

Axes: Q questions, T steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift import stats
from relift.analysis.questions.classes import CLASSES
from relift.analysis.runs.counts import Cube


def ends_of(cube: Cube) -> pd.DataFrame:
    """One row per question of the cube, in its order: rate_first, rate_last (of its measured probes), change, n_probes.

    Null where nothing was measured; change is null where fewer than two probes were.
    """
    measured_QT = cube.n_decided_QT > 0
    n_Q = measured_QT.sum(axis=1)
    if not measured_QT.shape[1]:
        nothing = np.full(len(n_Q), np.nan)
        return pd.DataFrame({"rate_first": nothing, "rate_last": nothing, "change": nothing, "n_probes": n_Q})
    rows = np.arange(len(n_Q))
    first_Q, last_Q = measured_QT.argmax(axis=1), measured_QT.shape[1] - 1 - measured_QT[:, ::-1].argmax(axis=1)
    rates = [stats.rate(cube.n_correct_QT[rows, at], cube.n_decided_QT[rows, at]) for at in (first_Q, last_Q)]
    change_Q = np.where(n_Q > 1, rates[1] - rates[0], np.nan)
    return pd.DataFrame({"rate_first": rates[0], "rate_last": rates[1], "change": change_Q, "n_probes": n_Q})


def order_by_shape(class_Q: Sequence[str | None], ends: pd.DataFrame) -> NDArray[np.intp]:
    """Positions sorted by class (as in CLASSES, unknown last), then by what was gained, then by the last rate."""
    place = {name: i for i, name in enumerate(CLASSES)}
    code_Q = np.array([place.get(name, len(CLASSES)) if isinstance(name, str) else len(CLASSES) for name in class_Q])
    gain_Q = ends["change"].fillna(0).to_numpy(float)
    return np.lexsort((-ends["rate_last"].fillna(0).to_numpy(float), -gain_Q, code_Q))


def heat_bars(
    counts: Mapping[str, tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int64]]], *, max_cells: int = 5000
) -> pd.DataFrame:
    """One row per run, bar and step: accuracy of the questions in the bar, for questions already in their order.

    `counts` by run: n_correct_QT, n_decided_QT, step_T, all with the same questions in the same order. Neighbours
    share a bar and steps are left out evenly (the last is kept) so that at most about `max_cells` rows come out.
    Columns: run, bar (from the top), first (position of its first question), n_questions, step, next_step (where the
    cell ends), accuracy (mean of the questions' rates; null where nothing was decided).
    """
    n_questions = next((len(correct) for correct, _, _ in counts.values()), 0)
    kept = {run: _evenly(len(step_T), max(2, 200 // max(1, len(counts)))) for run, (_, _, step_T) in counts.items()}
    n_columns = max(1, sum(len(k) for k in kept.values()))
    size = max(1, -(-n_questions // max(1, min(400, max_cells // n_columns))))
    first = np.arange(0, n_questions, size)
    parts = []
    for run, (correct_QT, decided_QT, step_T) in counts.items():
        steps = step_T[kept[run]]
        if not n_questions or not len(steps):
            continue
        accuracy = np.column_stack([_bar_means(correct_QT[:, t], decided_QT[:, t], first) for t in kept[run]])
        width = int(np.diff(steps).min()) if len(steps) > 1 else 1
        ends = np.append(steps[1:], steps[-1] + width)
        n_bars, n_steps = accuracy.shape
        parts.append(
            pd.DataFrame(
                {
                    "run": run, "bar": np.repeat(np.arange(n_bars), n_steps), "first": np.repeat(first, n_steps),
                    "n_questions": np.repeat(np.diff(np.append(first, n_questions)), n_steps),
                    "step": np.tile(steps, n_bars), "next_step": np.tile(ends, n_bars), "accuracy": accuracy.ravel(),
                }
            )
        )  # fmt: skip
    names = ["run", "bar", "first", "n_questions", "step", "next_step", "accuracy"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names)


def _bar_means(correct_Q: NDArray[np.int16], decided_Q: NDArray[np.int16], first: NDArray[np.int64]) -> stats.Floats:
    """Mean rate of the questions from each of these positions to the next, at one step.

    Rates of all steps at once would take ten times the memory of the counts.
    """
    rate_Q = stats.rate(correct_Q, decided_Q)
    n_known = np.add.reduceat((~np.isnan(rate_Q)).astype(float), first)
    return stats.rate(np.add.reduceat(np.nan_to_num(rate_Q), first), n_known)


def _evenly(n: int, most: int) -> NDArray[np.int64]:
    """At most `most` positions out of n, first and last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64)) if n else np.zeros(0, np.int64)


def sparklines(cube: Cube, row_N: NDArray[np.int64], *, most: int = 32) -> list[list[float]]:
    """Rates of the cube's rows in order of step, of probes with a decided attempt, at most `most` points, evenly kept.

    A row of -1, a question that the run does not have, gives an empty list.
    """
    rate_NT = stats.rate(cube.n_correct_QT[row_N], cube.n_decided_QT[row_N])
    measured_NT = ~np.isnan(rate_NT) & (row_N >= 0)[:, None]
    kept_of = {int(n): _evenly(int(n), most) for n in np.unique(measured_NT.sum(axis=1))}
    lines = (rates[measured] for rates, measured in zip(rate_NT, measured_NT, strict=True))
    return [[float(rate) for rate in line[kept_of[len(line)]]] for line in lines]
