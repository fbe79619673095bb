"""All questions at once: mean against spread of their accuracy (F11), and question by step, sorted by class (F10).

Axes: Q questions, T steps, B bins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.questions.classes import CLASSES
from relift.analysis.runs.counts import Cube
from relift.analysis.runs.panel import lay_out_counts, matched_questions
from relift.errors import InputError


def data_map(cube: Cube, *, bins: int = 40) -> pd.DataFrame:
    """One row per bin that holds a question: mean of its accuracy over steps against its standard deviation.

    After Swayamdipta et al. 2020 (arXiv 2009.10795), with accuracy in place of confidence. Columns: mean_low,
    mean_high, sd_low, sd_high, count (questions), noise_sd: the mean standard deviation that the bin's questions would
    show without any change, sqrt(mean of p (1 - p) / n), p their mean. Questions measured at fewer than two steps are
    left out. The mean runs over 0 to 1, the deviation over 0 to .5. InputError if no question is left.
    """
    rate_QT = stats.rate(cube.n_correct_QT, cube.n_decided_QT)
    kept_Q = (cube.n_decided_QT > 0).sum(axis=1) >= 2
    if not kept_Q.any():
        raise InputError("data_map: no question was measured at two steps")
    rate_QT, decided_QT = rate_QT[kept_Q], cube.n_decided_QT[kept_Q].astype(float)
    mean_Q, sd_Q = np.nanmean(rate_QT, axis=1), np.nanstd(rate_QT, axis=1)
    per_attempt_Q = stats.rate((decided_QT > 0).sum(axis=1), np.where(decided_QT > 0, 1, 0).sum(axis=1))
    inverse_QT = np.divide(1.0, decided_QT, out=np.full_like(decided_QT, np.nan), where=decided_QT > 0)
    noise_Q = np.sqrt(mean_Q * (1 - mean_Q) * np.nanmean(inverse_QT, axis=1)) * per_attempt_Q
    column_Q = np.minimum((mean_Q * bins).astype(np.int64), bins - 1)
    row_Q = np.minimum((sd_Q * 2 * bins).astype(np.int64), bins - 1)
    cell_Q = column_Q * bins + row_Q
    count_B = np.bincount(cell_Q, minlength=bins * bins)
    noise_B = stats.rate(np.bincount(cell_Q, weights=noise_Q, minlength=bins * bins), count_B)
    held = np.flatnonzero(count_B)
    column, row = np.divmod(held, bins)
    return pd.DataFrame(
        {
            "mean_low": column / bins, "mean_high": (column + 1) / bins, "sd_low": row / bins / 2,
            "sd_high": (row + 1) / bins / 2, "count": count_B[held], "noise_sd": noise_B[held],
        }
    )  # fmt: skip


def plot_data_map(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """F11: mean accuracy against its spread over steps, shade by number of questions, dashed what chance gives."""
    from matplotlib.colors import LogNorm, Normalize

    axes = style.one_axes(height=2.5, width=style.COLUMN_WIDTH) if axes is None else axes
    width = float((frame["mean_high"] - frame["mean_low"]).iloc[0])
    bins = round(1 / width)
    count = np.full((bins, bins), np.nan)
    count[(frame["sd_low"] * 2 * bins).round().astype(int), (frame["mean_low"] * bins).round().astype(int)] = frame[
        "count"
    ]
    edges = np.linspace(0, 1, bins + 1)
    with style.context():
        most = int(frame["count"].max())
        scale = LogNorm(1, most) if most > 10 else Normalize(0, most)
        mesh = axes.pcolormesh(edges, edges / 2, count, cmap="viridis_r", norm=scale, rasterized=True)
        bar = axes.figure.colorbar(mesh, ax=axes, label="questions", pad=0.02)
        bar.ax.tick_params(labelsize=style.RC["ytick.labelsize"])
        bar.outline.set_visible(False)
        by_mean = frame.assign(w=frame["noise_sd"] * frame["count"]).groupby("mean_low")[["w", "count"]].sum()
        axes.plot(by_mean.index + width / 2, by_mean["w"] / by_mean["count"], color="black", linestyle=(0, (4, 3)))
        axes.set_xlabel("mean accuracy over steps")
        axes.set_ylabel("standard deviation over steps")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 0.5)
    return axes


def caption_data_map(frame: pd.DataFrame) -> str:
    """What F11 must say below it."""
    return (
        f"{int(frame['count'].sum())} questions by mean and standard deviation of their accuracy over the probes. "
        "Dashed: the deviation that a rate which never changes would show, from the number of attempts alone."
    )


def question_heat(trajectories: pd.DataFrame, classified: pd.DataFrame, *, max_rows: int = 400) -> pd.DataFrame:
    """One row per run, bar of the heat map and step: accuracy of the questions in the bar.

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
    """Bar of each question in sorted order: each class gets bars in proportion to its questions, at least one."""
    size = max(1, -(-len(code_Q) // max_rows))
    new_class = np.flatnonzero(np.diff(code_Q, prepend=-1))
    start_Q = np.repeat(new_class, np.diff(np.append(new_class, len(code_Q))))
    within_Q = (np.arange(len(code_Q)) - start_Q) // size
    changed = (np.diff(code_Q, prepend=-1) != 0) | (np.diff(within_Q, prepend=-1) != 0)
    return np.cumsum(changed) - 1


def plot_question_heat(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """F10: question by step, shade by accuracy, sorted by class, a panel per run. Returns the Axes."""
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
    """White lines between classes, their names beside them where there is room."""
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
    """What F10 must say below it."""
    first = frame[frame["step"] == frame.groupby("run_id", sort=False)["step"].transform("min")]
    questions = first.groupby("run_id", sort=False)["n_questions"].sum()
    bars = frame["n_questions"].max()
    many = f" Up to {int(bars)} neighbours share a bar." if bars > 1 else ""
    return (
        f"{style.count_range(questions)} questions, each a bar, by class of their trajectory ({', '.join(CLASSES)}, "
        f"from the top; sizes where there is room), sorted by what they gained.{many} Some of each class are chance: "
        "the table of classes says how many."
    )
