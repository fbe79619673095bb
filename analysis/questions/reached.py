"""Within reach, beyond reach, undetermined: how many, per run, and what became of them (figure F17)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.questions.capability import EPSILON_64, fit_prior, reach
from relift.analysis.runs.panel import RATE_DRAWS, lay_out_counts, matched_questions, run_id_of, with_labels
from relift.errors import InputError

REACH = ("within", "undetermined", "beyond")
COLOURS = {"within": "#0072B2", "undetermined": style.GREY, "beyond": "#E69F00"}


def reach_counts(
    trajectories: pd.DataFrame, *, base: str, epsilon: float = EPSILON_64, level: float = 0.95
) -> pd.DataFrame:
    """One row per run and class of REACH: how many questions, the base at step 0 and every run at its last.

    Each run has the prior of its own probe (draws 0 and 1), and all draws enter the posteriors. Columns: run_id, run,
    step, reach, count, share, low, high (95 %, Wilson over questions), n_questions, n_attempts (range as text),
    epsilon. Over the questions that all runs share.
    """
    labelled = with_labels(trajectories)
    base_id = run_id_of(labelled, base)
    last = labelled.groupby(["run_id", "run"], sort=False)["step"].max().reset_index()
    start = last[last["run_id"] == base_id].assign(step=0)
    ends = pd.concat([start, last[(last["run_id"] != base_id) | (last["step"] > 0)]], ignore_index=True)
    probed = labelled.merge(ends, on=["run_id", "run", "step"])
    shared = matched_questions(probed[(probed["draw"] < RATE_DRAWS).to_numpy()])["question_id"].unique()
    probed = probed[probed["question_id"].isin(shared)]
    rows = []
    for run_id, run, step in ends.itertuples(index=False):
        one = probed[(probed["run_id"] == run_id) & (probed["step"] == step)]
        if one.empty:
            raise InputError(f"run {run} has no probe at step {step}")
        found = reach(one, fit_prior(one, step=step), step=step, epsilon=epsilon, level=level)
        attempts, n = style.count_range(found["n_decided"]), len(found)
        for name in REACH:
            count = int((found["reach"] == name).sum())
            low, high = stats.wilson(count, n)
            rows.append((run_id, run, step, name, count, count / n, float(low), float(high), n, attempts, epsilon))
    names = ["run_id", "run", "step", "reach", "count", "share", "low", "high", "n_questions", "n_attempts", "epsilon"]
    return pd.DataFrame(rows, columns=names)


def reach_accuracy(
    trajectories: pd.DataFrame, reached: pd.DataFrame, *, resamples: int = 200, seed: int = 0
) -> pd.DataFrame:
    """One row per run, class of the base model's reach and step after 0: accuracy of the questions so classed.

    `reached` of `reach`, of the base run alone. Step 0 is left out: all of its attempts took part in the classing.
    accuracy, low, high (95 %, bootstrap by question, null where that has no width), n_questions. Over the questions
    that all runs and steps share. InputError if `reached` has several runs, or nothing is measured later.
    """
    if reached["run_id"].nunique() != 1:
        raise InputError("reach_accuracy: classes of several runs: choose those of the base run")
    later = trajectories[(trajectories["step"] > 0).to_numpy()]
    if later.empty:
        raise InputError("no run has a probe at a step after 0")
    panel = lay_out_counts(matched_questions(later))
    class_of = reached.set_index(reached["question_id"].astype(object))["reach"]
    code_Q = pd.Categorical(class_of.reindex(panel.question_ids), categories=list(REACH)).codes.astype(np.int64)
    decided_QC = panel.sum_QC["n_decided"]
    rate_QC = np.nan_to_num(stats.rate(panel.sum_QC["n_correct"], decided_QC))
    measured_QC = (decided_QC > 0).astype(np.float64)
    estimates = stats.bootstrap_ratios(
        rate_QC, measured_QC, code_Q, n_groups=len(REACH), resamples=resamples, seed=seed
    )
    low_GC, high_GC = stats.percentile_interval(estimates)
    parts = []
    for i, name in enumerate(REACH):
        n_C = measured_QC[code_Q == i].sum(axis=0)
        wide_C = high_GC[i] - low_GC[i] > 1e-12
        parts.append(
            panel.columns.assign(
                reach=name,
                accuracy=stats.rate(rate_QC[code_Q == i].sum(axis=0), n_C),
                low=np.where(wide_C, low_GC[i], np.nan),
                high=np.where(wide_C, high_GC[i], np.nan),
                n_questions=n_C.astype(np.int64),
                resamples=resamples,
                seed=seed,
            )
        )
    order = {run_id: i for i, run_id in enumerate(dict.fromkeys(panel.columns["run_id"]))}
    frame = pd.concat(parts, ignore_index=True)
    return frame.iloc[np.argsort(frame["run_id"].map(order), kind="stable")].reset_index(drop=True)


def plot_reach(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """F17, bars: questions within reach, undetermined, beyond, stacked, a bar per run; returns the Axes."""
    styles = style.run_styles(frame["run"])
    parts = [(run, at) for run, rows in style.by_style(frame, styles) for _, at in rows.groupby("step")]
    if axes is None:
        axes = style.one_axes(height=0.75 + 0.24 * len(parts))
    with style.context():
        for row, (_, one) in enumerate(parts):
            left = 0
            for name in REACH:
                count = int(one.loc[one["reach"] == name, "count"].sum())
                axes.barh(row, count, left=left, color=COLOURS[name], height=0.7, label=name if row == 0 else None)
                if count > 0.04 * one["n_questions"].iloc[0]:
                    colour = style.text_colour(COLOURS[name])
                    axes.text(left + count / 2, row, str(count), ha="center", va="center", fontsize=6.5, color=colour)
                left += count
        axes.set_yticks(range(len(parts)), [f"{styles[run].label}, step {o['step'].iloc[0]}" for run, o in parts])
        axes.set_ylim(len(parts) - 0.5, -0.5)
        axes.set_xlim(0, frame["n_questions"].max())
        axes.set_xlabel("questions")
        axes.figure.legend(loc="outside upper center", ncols=3)
    return axes


def caption_reach(frame: pd.DataFrame) -> str:
    """What F17's bars must say below them."""
    ends = frame.drop_duplicates(["run_id", "step"])[["run", "step", "n_attempts"]]
    attempts = ", ".join(f"{n} ({run}, step {step})" for run, step, n in ends.to_numpy())
    epsilon = float(frame["epsilon"].iloc[0])
    never = not frame.loc[frame["reach"] == "beyond", "count"].any()
    few = " None is called beyond: so few attempts cannot." if never else ""
    return (
        f"Questions by whether their rate is surely at least {epsilon:.3f} (within reach), surely below (beyond), or "
        f"neither; 95 % posterior under a beta prior fitted to each probe. Attempts a question: {attempts}.{few}"
    )


def plot_reach_accuracy(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """F17, curves: accuracy over steps of the questions in each class of the base's reach. Returns the Axes."""
    used = [name for name in REACH if frame.loc[frame["reach"] == name, "n_questions"].any()]
    if axes is None:
        axes = style.new_axes(1, len(used), height=2.1, sharex=True, sharey=True)[0]
    axes = np.asarray(axes, dtype=object).ravel()
    styles = style.run_styles(frame["run"])
    with style.context():
        for one, name in zip(axes, used, strict=True):
            in_class = frame[frame["reach"] == name]
            for run, line in style.by_style(in_class, styles):
                style.line_with_interval(one, line["step"], line, "accuracy", styles[run])
            one.set_title(f"{name}\n{style.count_range(in_class['n_questions'])} questions")
            one.set_ylim(-0.02, 1.02)
            style.whole_steps(one)
            one.set_xlim(left=0)
        axes[0].set_ylabel("accuracy")
        style.legend_above(axes[0].figure, styles)
    return axes


def caption_reach_accuracy(frame: pd.DataFrame) -> str:
    """What F17's curves must say below them."""
    return (
        "Accuracy after training of the questions that were within, beyond or undetermined for the base model. Step 0 "
        "is not shown: its attempts chose the classes. Shaded: 95 % intervals, bootstrap by question, "
        f"{frame['resamples'].iloc[0]} resamples."
    )
