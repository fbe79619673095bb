"""Show many questions at once: a heat map of question by step, their order by shape, a sparkline of each.

Axes: Q questions, T steps, N rows of a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift import stats
from relift.analysis import style
from relift.analysis.questions.classes import CLASSES
from relift.analysis.questions.definitions import define
from relift.analysis.runs.counts import Cube
from relift.analysis.runs.figure import Figure
from relift.analysis.runs.panel import lay_out_counts, matched_questions


def question_heat(trajectories: pd.DataFrame, classified: pd.DataFrame, *, max_rows: int = 400) -> pd.DataFrame:
    """Average accuracy by bar of the heat map and step: one row per run, bar and step.

    Questions are sorted by class, then by accuracy at the end less that at the start, then by the former; with more
    than `max_rows`, neighbours of one class share a bar. Columns: run_id, run, class, row (from the top), step,
    accuracy, n_questions. `classified` of `classify_trajectories`; draws 0 and 1 are pooled.
    """
    panel = lay_out_counts(matched_questions(trajectories))
    parts = []
    for (run_id, run), one in classified.groupby(["run_id", "run"], sort=False):
        columns = panel.columns[panel.columns["run_id"] == run_id].sort_values("step")
        row_Q = panel.question_ids.get_indexer(pd.Index(one["question_id"]))
        one, row_Q = one[row_Q >= 0], row_Q[row_Q >= 0]
        rate_QT = stats.rate(
            panel.sum_QC["n_correct"][row_Q][:, columns.index.to_numpy()],
            panel.sum_QC["n_decided"][row_Q][:, columns.index.to_numpy()],
        )
        code_Q = one["class"].map({name: i for i, name in enumerate(CLASSES)}).to_numpy()
        start_Q, end_Q = np.nan_to_num(rate_QT[:, 0]), np.nan_to_num(rate_QT[:, -1])
        order = np.lexsort((-end_Q, -(end_Q - start_Q), code_Q))
        bar_Q = _bars(code_Q[order], max_rows)
        n_bars = int(bar_Q[-1]) + 1
        known_QT = ~np.isnan(rate_QT[order])
        for t, step in enumerate(columns["step"]):
            weight = np.bincount(bar_Q, weights=known_QT[:, t], minlength=n_bars)
            total = np.bincount(bar_Q, weights=np.nan_to_num(rate_QT[order][:, t]), minlength=n_bars)
            first = np.searchsorted(bar_Q, np.arange(n_bars))
            parts.append(
                pd.DataFrame(
                    {
                        "run_id": run_id, "run": run, "class": np.array(CLASSES, dtype=object)[code_Q[order][first]],
                        "row": np.arange(n_bars), "step": int(step), "accuracy": stats.rate(total, weight),
                        "n_questions": np.bincount(bar_Q, minlength=n_bars),
                    }
                )
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True).sort_values(["run_id", "row", "step"], kind="stable", ignore_index=True)


def _bars(code_Q: Any, max_rows: int) -> Any:
    """Give each class bars in proportion to its questions, at least one: the bar of each question in sorted order."""
    size = max(1, -(-len(code_Q) // max_rows))
    new_class = np.flatnonzero(np.diff(code_Q, prepend=-1))
    start_Q = np.repeat(new_class, np.diff(np.append(new_class, len(code_Q))))
    within_Q = (np.arange(len(code_Q)) - start_Q) // size
    changed = (np.diff(code_Q, prepend=-1) != 0) | (np.diff(within_Q, prepend=-1) != 0)
    return np.cumsum(changed) - 1


def plot_question_heat(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw question by step, shade by accuracy, sorted by class, a panel per run. Returns the Axes."""
    styles = style.run_styles(frame["run"])
    parts = style.by_style(frame, styles)
    if axes is None:
        axes = style.panels(len(parts), height=3.4)
    axes = np.asarray(axes, dtype=object).ravel()
    with style.context():
        for one, (run, rows) in zip(axes, parts, strict=True):
            table = rows.pivot(index="row", columns="step", values="accuracy")
            bars = rows.drop_duplicates("row").sort_values("row")
            edges = np.concatenate([[0], np.cumsum(bars["n_questions"])])
            image = one.pcolormesh(
                np.arange(table.shape[1] + 1), edges, np.ma.masked_invalid(table.to_numpy(float)), cmap="viridis",
                vmin=0, vmax=1, rasterized=True,
            )  # fmt: skip
            one.invert_yaxis()
            _name_classes(one, bars, edges)
            shown = np.unique(np.linspace(0, table.shape[1] - 1, min(3, table.shape[1])).round().astype(int))
            one.set_xticks(shown + 0.5, [str(table.columns[i]) for i in shown])
            one.set_title(styles[run].label)
            one.set_xlabel("training step")
            one.spines[:].set_visible(False)
        bar = axes[0].figure.colorbar(image, ax=list(axes), label="accuracy", pad=0.01, aspect=40)
        bar.ax.tick_params(labelsize=style.RC["ytick.labelsize"])
        bar.outline.set_visible(False)
    return axes


def _name_classes(axes: Any, bars: pd.DataFrame, edges: Any) -> None:
    """Draw white lines between classes, their names beside them where there is room."""
    total, ticks, labels = edges[-1], [], []
    for name in CLASSES:
        rows = np.flatnonzero((bars["class"] == name).to_numpy())
        if not len(rows):
            continue
        low, high = edges[rows[0]], edges[rows[-1] + 1]
        if low:
            axes.axhline(low, color="white", linewidth=1.0)
        label = f"{name} {int(high - low)}"
        if high - low > 0.019 * len(label) * total:  # a letter of 5.5 points, in a panel 2.6 inches high
            ticks.append((low + high) / 2)
            labels.append(label)
    axes.set_yticks(ticks, labels, rotation=90, va="center", fontsize=5.5)
    axes.tick_params(axis="y", length=0, pad=1)


def caption_question_heat(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    first = frame[frame["step"] == frame.groupby("run_id", sort=False)["step"].transform("min")]
    questions = first.groupby("run_id", sort=False)["n_questions"].sum()
    bars = frame["n_questions"].max()
    many = f" Up to {int(bars)} neighbours share a bar." if bars > 1 else ""
    return (
        f"{style.count_range(questions)} questions, each a bar, by class of their trajectory ({', '.join(CLASSES)}, "
        f"from the top; sizes where there is room), sorted by what they gained.{many} "
        f"{define(CLASSES)}. Some of each class are chance."
    )


def ends_of(cube: Cube) -> pd.DataFrame:
    """Find rate_first and rate_last of each question's measured probes, change, n_probes, in order of the cube.

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
    """Sort positions by class (as in CLASSES, unknown last), then by what was gained, then by the last rate."""
    place = {name: i for i, name in enumerate(CLASSES)}
    code_Q = np.array([place.get(name, len(CLASSES)) if isinstance(name, str) else len(CLASSES) for name in class_Q])
    gain_Q = ends["change"].fillna(0).to_numpy(float)
    return np.lexsort((-ends["rate_last"].fillna(0).to_numpy(float), -gain_Q, code_Q))


def heat_bars(
    counts: Mapping[str, tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int64]]], *, max_cells: int = 5000
) -> pd.DataFrame:
    """Average accuracy by run, bar and step, for questions already in their order: one row per cell.

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
    """Average the rate of the questions from each of these positions to the next, at one step.

    Rates of all steps at once would take ten times the memory of the counts.
    """
    rate_Q = stats.rate(correct_Q, decided_Q)
    n_known = np.add.reduceat((~np.isnan(rate_Q)).astype(float), first)
    return stats.rate(np.add.reduceat(np.nan_to_num(rate_Q), first), n_known)


def _evenly(n: int, most: int) -> NDArray[np.int64]:
    """Choose at most `most` positions out of n, first and last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64)) if n else np.zeros(0, np.int64)


def sparklines(cube: Cube, row_N: NDArray[np.int64], *, most: int = 32) -> list[list[float]]:
    """List the rates of the cube's rows in order of step, at most `most` points each, evenly kept.

    A row of -1, a question that the run does not have, gives an empty list.
    """
    rate_NT = stats.rate(cube.n_correct_QT[row_N], cube.n_decided_QT[row_N])
    measured_NT = ~np.isnan(rate_NT) & (row_N >= 0)[:, None]
    kept_of = {int(n): _evenly(int(n), most) for n in np.unique(measured_NT.sum(axis=1))}
    lines = (rates[measured] for rates, measured in zip(rate_NT, measured_NT, strict=True))
    return [[float(rate) for rate in line[kept_of[len(line)]]] for line in lines]


QUESTIONS = Figure(
    "questions", "Every question", "What changed",
    data=lambda loaded: question_heat(loaded.probes, loaded.classified),
    draw=plot_question_heat, caption=caption_question_heat,
)  # fmt: skip
