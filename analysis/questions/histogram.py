"""Count questions by their accuracy before and after, with never and always as bars of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import lay_out_counts, matched_questions

N_BINS = 8  # of the rates strictly between 0 and 1


def accuracy_histogram(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Count questions by accuracy at step 0 and at each run's last step: one row per run, step and bar.

    Bars: "never" (rate 0), N_BINS equal parts of the rates between, "always" (rate 1). Columns: run_id, run, step, bar,
    low, high (of the rate), count, n_questions, n_attempts (range as text). By draw 0 alone, so that all ends rest on
    as many attempts: with more, fewer questions are at 0 and at 1 by that alone. Over the questions of all runs.
    """
    ends = trajectories[(trajectories["draw"] == 0).to_numpy()]
    last = ends.groupby("run_id", observed=True)["step"].transform("max")
    panel = lay_out_counts(
        matched_questions(ends[((ends["step"] == 0) | (ends["step"] == last)).to_numpy()]), draws=[0]
    )
    rows = []
    for column, (run_id, run, step) in enumerate(panel.columns.itertuples(index=False)):
        decided_Q = panel.sum_QC["n_decided"][:, column]
        rate_Q = stats.rate(panel.sum_QC["n_correct"][:, column], decided_Q)[decided_Q > 0]
        bar_Q = np.where(rate_Q == 0, 0, np.where(rate_Q == 1, N_BINS + 1, 1 + np.floor(rate_Q * N_BINS)))
        count = np.bincount(bar_Q.astype(np.int64), minlength=N_BINS + 2)
        attempts = style.count_range(decided_Q[decided_Q > 0])
        for bar in range(N_BINS + 2):
            name = "never" if bar == 0 else "always" if bar == N_BINS + 1 else f"{(bar - 0.5) / N_BINS:.2f}"
            low, high = (0.0, 0.0) if bar == 0 else (1.0, 1.0) if bar > N_BINS else ((bar - 1) / N_BINS, bar / N_BINS)
            rows.append((run_id, run, step, name, low, high, int(count[bar]), len(rate_Q), attempts))
    names = ["run_id", "run", "step", "bar", "low", "high", "count", "n_questions", "n_attempts"]
    return pd.DataFrame(rows, columns=names)


def plot_accuracy_histogram(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw a panel per run and end, the bars of never and always apart in colour. Returns the Axes."""
    styles = style.run_styles(frame["run"])
    parts = [(run, at) for run, rows in style.by_style(frame, styles) for _, at in rows.groupby("step")]
    if axes is None:
        axes = style.panels(len(parts), height=1.7, share_y="all")
    axes = np.asarray(axes, dtype=object).ravel()
    with style.context():
        for one, (run, rows) in zip(axes, parts, strict=True):
            colours = [style.LOSS, *["#8A949B"] * N_BINS, style.GAIN]
            one.bar(range(N_BINS + 2), rows["count"], color=colours, width=0.85)
            one.set_xticks([0, (N_BINS + 1) / 2, N_BINS + 1], ["0", "between", "1"])
            one.set_title(f"{styles[run].label}\nstep {rows['step'].iloc[0]}")
        axes[0].set_ylabel("questions")
    return axes


def caption_accuracy_histogram(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    attempts = " and ".join(dict.fromkeys(frame["n_attempts"]))
    return (
        f"{style.count_range(frame['n_questions'])} questions by their accuracy in {attempts} attempts of draw 0; the "
        f"outer bars are never and always, the {N_BINS} between them equal parts. More attempts move questions inwards."
    )


def _data(loaded: LoadedRuns) -> pd.DataFrame:
    """Take step 0 of the base alone: the other runs start from it."""
    ends = loaded.compared
    return accuracy_histogram(ends[((ends["step"] > 0) | (ends["run_id"] == loaded.compared_base_id)).to_numpy()])


HISTOGRAM = Figure(
    "accuracy_histogram", "Questions by accuracy, before and after", "What changed",
    data=_data, draw=plot_accuracy_histogram, caption=caption_accuracy_histogram,
)  # fmt: skip
