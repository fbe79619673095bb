"""Draw benchmark scores with their intervals, side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift.analysis import style
from relift.analysis.runs.figure import Figure
from relift.analysis.runs.panel import with_labels
from relift.errors import InputError

ESTIMAND = "questions like these"


def scores_of_last_step(scores: pd.DataFrame, *, metric: str = "avg", estimand: str = ESTIMAND) -> pd.DataFrame:
    """Select the score of each run's last scored step, with the largest parameter (k): one row per run, benchmark.

    Columns as in the table `scores`, with `run`. InputError if no score has this metric and estimand.
    """
    rows = with_labels(scores)
    rows = rows[((rows["metric"].astype(str) == metric) & (rows["estimand"].astype(str) == estimand)).to_numpy()]
    if rows.empty:
        raise InputError(f"no score with metric {metric} and estimand '{estimand}': run `relift eval` first")
    rows = rows.assign(benchmark=rows["benchmark"].astype(str))
    rows = rows[rows["step"] == rows.groupby("run_id", sort=False)["step"].transform("max")]
    return (
        rows.sort_values("parameter", kind="stable").drop_duplicates(["run_id", "benchmark"], keep="last").sort_index()
    )


def plot_scores(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw a row per benchmark, a point with its interval per run, of `scores_of_last_step`; returns the Axes."""
    benchmarks = sorted(dict.fromkeys(frame["benchmark"].astype(str)), key=lambda name: name.startswith("macro_"))
    styles = style.run_styles(frame["run"])
    parts = style.by_style(frame, styles)
    if axes is None:
        axes = style.one_axes(height=0.7 + len(benchmarks) * (0.12 + 0.11 * len(parts)))
    with style.context():
        for i, (run, one) in enumerate(parts):
            look = styles[run]
            height = one["benchmark"].astype(str).map(benchmarks.index) + (i - (len(parts) - 1) / 2) * 0.8 / len(parts)
            known = one["ci_low"].notna()
            axes.hlines(height[known], one["ci_low"][known], one["ci_high"][known], color=look.colour, linewidth=0.9)
            axes.plot(one["value"], height, marker=look.marker, color=look.colour, linestyle="none", markersize=3.5)
        for line in np.arange(len(benchmarks) - 1) + 0.5:
            axes.axhline(line, color=style.GREY, linewidth=0.5)
        questions = frame.groupby(frame["benchmark"].astype(str))["n_questions"].max()
        axes.set_yticks(range(len(benchmarks)), [f"{name} ({questions[name]})" for name in benchmarks])
        axes.set_ylim(len(benchmarks) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("score")
        style.legend_above(axes.figure, styles)
    return axes


def caption_scores(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    ks = style.count_range(frame["parameter"])
    missing = int(frame["ci_low"].isna().sum())
    none = f" Without an interval: {missing}." if missing else ""
    return (
        f"{frame['metric'].iloc[0]}@{ks} with 95 % intervals for {frame['estimand'].iloc[0]} (questions in brackets), "
        f"one training run each: the spread between training seeds is not in them.{none}"
    )


SCORES = Figure(
    "scores", "Benchmark scores", "Benchmarks",
    data=lambda loaded: scores_of_last_step(loaded.scores), draw=plot_scores, caption=caption_scores,
)  # fmt: skip
