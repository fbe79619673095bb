"""Measure accuracy against what it cost: tokens generated and trained on, floating-point operations, wall time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift.analysis import style
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import with_labels
from relift.analysis.training.demos import probe_scores
from relift.errors import InputError

COSTS = {"tokens": "tokens generated and trained on", "wall_seconds": "seconds of training"}


def accuracy_by_cost(scores: pd.DataFrame, checkpoints: pd.DataFrame) -> pd.DataFrame:
    """Join each probe's score with what the run had used by then: one row per run and scored step.

    `scores` of `probe_scores`, `checkpoints` of `read_checkpoints`. Columns: run_id, run, step, value, low, high
    (95 %), n_questions, generated_tokens, trained_tokens, tokens (both), flops_per_parameter (2 per generated token, 6
    per trained one: a forward pass, and one with its backward pass), wall_seconds. At step 0 all costs are 0; a scored
    step without a checkpoint is left out. InputError if none is left but step 0.
    """
    used = with_labels(checkpoints)[["run_id", "step", "generated_tokens", "trained_tokens", "wall_seconds"]]
    rows = with_labels(scores)[["run_id", "run", "step", "value", "ci_low", "ci_high", "n_questions"]]
    frame = rows.merge(used, on=["run_id", "step"], how="left").rename(columns={"ci_low": "low", "ci_high": "high"})
    names = ["generated_tokens", "trained_tokens", "wall_seconds"]
    frame.loc[frame["step"] == 0, names] = 0
    frame = frame.dropna(subset=["generated_tokens", "trained_tokens"]).reset_index(drop=True)
    if not (frame["step"] > 0).any():
        raise InputError("no probe after step 0 has a checkpoint: what it cost was not recorded")
    frame["tokens"] = frame["generated_tokens"].astype(float) + frame["trained_tokens"].astype(float)
    frame["flops_per_parameter"] = 2 * frame["generated_tokens"].astype(float) + 6 * frame["trained_tokens"].astype(
        float
    )
    return frame


def plot_accuracy_by_cost(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw accuracy over tokens (left) and over seconds (right), a path per run. Returns the two Axes."""
    if axes is None:
        axes = style.new_axes(1, 2, height=2.3, sharey=True)[0]
    axes = np.asarray(axes, dtype=object).ravel()
    styles = style.run_styles(frame["run"])
    with style.context():
        for one, (cost, label) in zip(axes, COSTS.items(), strict=True):
            for run, line in style.by_style(frame.dropna(subset=cost), styles):
                line = line.sort_values("step")
                style.line_with_interval(one, line[cost].astype(float), line, "value", styles[run])
            one.set_xlabel(label)
        axes[0].set_ylabel("accuracy")
        style.legend_above(axes[0].figure, styles)
    return axes


def caption_accuracy_by_cost(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    return (
        f"Accuracy on {style.count_range(frame['n_questions'])} probed questions by what training had used until then. "
        "Shaded: 95 % intervals over questions (logit-t). In the table also 2 operations a parameter for each "
        "generated token and 6 for each trained one."
    )


def _data(loaded: LoadedRuns) -> pd.DataFrame:
    scores = probe_scores(loaded.probes, measure_draw=loaded.measure_draw)
    known = set(loaded.checkpoints["run_id"].astype(object))
    return accuracy_by_cost(scores[scores["run_id"].isin(known)], loaded.checkpoints)


COST = Figure(
    "accuracy_by_cost", "Accuracy against what it cost", "Training",
    data=_data, draw=plot_accuracy_by_cost, caption=caption_accuracy_by_cost,
)  # fmt: skip
