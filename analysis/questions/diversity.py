"""Follow how many different answers a question gets, beside the entropy of tokens: narrowing shows in both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.runs.figure import Figure
from relift.analysis.runs.panel import matched_questions, with_labels

MEASURES = {"distinct": "different answers", "entropy": "entropy of tokens, nats"}


def answer_diversity(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Average different final answers and token entropy at each probe: one row per run, step and measure.

    By draw 0 alone, since more attempts give more answers, over the questions of all runs and steps. Columns: run_id,
    run, step, measure (of MEASURES), value, low, high (95 %, Student's t over questions; null of one), n_questions,
    n_attempts (range as text). A measure that was not recorded has no row.
    """
    rows = with_labels(matched_questions(trajectories[(trajectories["draw"] == 0).to_numpy()]))
    columns = {"distinct": "n_distinct_answers", "entropy": "mean_entropy"}
    found = []
    keys = ["run_id", "run", "step"]
    for (run_id, run, step), own in rows.groupby(keys, sort=False):
        for measure, column in columns.items():
            value_Q = own[column].to_numpy(float)
            value_Q = value_Q[~np.isnan(value_Q)]
            if not len(value_Q):
                continue
            estimate = stats.paired_t(value_Q) if len(value_Q) > 1 else None
            found.append(
                {
                    "run_id": run_id, "run": run, "step": step, "measure": measure, "value": float(value_Q.mean()),
                    "low": max(0.0, estimate.low) if estimate else np.nan,
                    "high": estimate.high if estimate else np.nan, "n_questions": len(value_Q),
                    "n_attempts": style.count_range(own["n_attempts"]),
                }
            )  # fmt: skip
    return pd.DataFrame(found)


def plot_answer_diversity(frame: pd.DataFrame) -> Any:
    """Draw a panel per measure, a line per run with its interval. Returns the Axes."""
    measures = [name for name in MEASURES if (frame["measure"] == name).any()]
    axes = style.panels(len(measures), height=2.1)
    styles = style.run_styles(frame["run"])
    with style.context():
        for one, name in zip(axes, measures, strict=True):
            style.draw_lines(one, frame[(frame["measure"] == name).to_numpy()], styles, x="step", value="value")
            one.set_ylabel(MEASURES[name])
            style.whole_steps(one)
        style.legend_above(axes[0].figure, styles)
    return axes


def caption_answer_diversity(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    return (
        f"Different final answers among {frame['n_attempts'].iloc[0]} attempts at a question and mean entropy of their "
        f"tokens, over {style.count_range(frame['n_questions'])} questions. Shaded: 95 % intervals over questions "
        "(Student's t)."
    )


DIVERSITY = Figure(
    "answer_diversity", "Different answers, and entropy of tokens", "What is within reach",
    data=lambda loaded: answer_diversity(loaded.probes), draw=plot_answer_diversity, caption=caption_answer_diversity,
)  # fmt: skip
