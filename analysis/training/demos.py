"""Measure what demonstrations bought, and how the buffer of demonstrations fared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import RATE_DRAWS, matched_questions, one_origin, with_labels
from relift.errors import InputError
from relift.schema import SCORES

_USED = ("demonstrations", "distinct_demonstrations")


def probe_scores(trajectories: pd.DataFrame, *, measure_draw: int | None = None) -> pd.DataFrame:
    """Measure mean accuracy over the questions that all runs and steps share: one row per run and step.

    Columns as of the table `scores` (benchmark "probe", metric "avg", parameter 1, estimand "questions like
    these") with `run`: value, and the logit-t interval at 95 % over questions. Draws 0 and 1 are pooled; at
    step 0 `measure_draw`, if given, alone. Top-ups never enter.
    """
    one_origin(trajectories)
    step, draw = trajectories["step"].to_numpy(), trajectories["draw"].to_numpy()
    counting = draw < RATE_DRAWS
    if measure_draw is not None:
        counting &= (step > 0) | (draw == measure_draw)
    rows = with_labels(matched_questions(trajectories[counting]))
    decided = rows["n_attempts"].astype("int64") - rows["n_undecided"].astype("int64")
    counts = rows.assign(decided=decided, correct=rows["n_correct"].astype("int64"))
    counts["question_id"] = counts["question_id"].astype(object)
    keys = ["run_id", "run", "step"]
    pooled = counts.groupby([*keys, "question_id"], sort=False)[["correct", "decided"]].sum().reset_index()
    scores = []
    for (run_id, run, at), group in pooled.groupby(keys, sort=False):
        mean = stats.mean_over_questions(group["correct"], group["decided"])
        scores.append(
            {
                "run_id": run_id, "run": run, "step": at, "benchmark": "probe", "metric": "avg", "parameter": 1.0,
                "estimand": "questions like these", "value": mean.value, "ci_low": mean.low, "ci_high": mean.high,
                "n_questions": mean.n_questions, "n_attempts": int(group["decided"].sum()),
            }
        )  # fmt: skip
    names = [c.name for c in SCORES.columns]
    return pd.DataFrame(scores, columns=[names[0], "run", *names[1:]])


def demo_efficiency(scores: pd.DataFrame, checkpoints: pd.DataFrame) -> pd.DataFrame:
    """Join each score with the demonstrations trained on until then: one row per run and scored step.

    `scores` has one benchmark, metric and estimand; `checkpoints` the columns
    demonstrations and distinct_demonstrations. At step 0 both are 0; a run that `checkpoints` does not know has
    no demonstrations to count and is refused, a scored step without a row is left out.
    """
    for column in ("benchmark", "metric", "parameter", "estimand"):
        if scores[column].nunique() > 1:
            raise InputError(f"demo_efficiency: scores of several values of {column}: choose one")
    labelled = with_labels(scores)
    used = with_labels(checkpoints)[["run_id", "step", *_USED]]
    unknown = set(labelled.loc[labelled["step"] > 0, "run_id"]) - set(used["run_id"])
    if unknown:
        raise InputError(f"no checkpoint of run {', '.join(sorted(unknown))}: what it trained on is not known")
    frame = labelled.merge(used, on=["run_id", "step"], how="left")
    frame.loc[frame["step"] == 0, list(_USED)] = 0
    frame = frame.dropna(subset=list(_USED)).astype(dict.fromkeys(_USED, np.int64))
    kept = ["run_id", "run", "step", "benchmark", "metric", "value", "ci_low", "ci_high", "n_questions", "n_attempts"]
    return frame[[*kept, *_USED]].reset_index(drop=True)


def buffer_health(demo_events: pd.DataFrame) -> pd.DataFrame:
    """Follow the buffer after each step with an event, what came and went: one row per run and step.

    Columns: buffer_len, n_enqueued, n_trained, n_evicted, and quantiles (.1, .5, .9) of the age in steps of the
    demonstrations trained on: age_low, age_median, age_high (null where none was, or none had been enqueued).
    """
    rows = with_labels(demo_events).sort_values(["run_id", "event_ix"], kind="stable")
    keys = ["run_id", "run", "step"]
    kind = rows["event"].astype(str)
    for event, name in ("enqueue", "n_enqueued"), ("train", "n_trained"), ("evict", "n_evicted"):
        rows[name] = (kind == event).astype(np.int64)
    rows["age"] = rows["age_steps"].astype(float).where(kind == "train")
    grouped = rows.groupby(keys, sort=False)
    frame = grouped[["n_enqueued", "n_trained", "n_evicted"]].sum()
    frame.insert(0, "buffer_len", grouped["buffer_len"].last())
    for name, level in ("age_low", 0.1), ("age_median", 0.5), ("age_high", 0.9):
        frame[name] = grouped["age"].quantile(level)
    return frame.reset_index()


def demonstration_sources(demonstrations: pd.DataFrame) -> pd.DataFrame:
    """Count demonstrations by where they came from: one row per run and source.

    Columns: n_offered; n_accepted (may be trained on); n_online (arrived while training went on); usd, what a teacher
    charged for them, null where nothing says; refused, the reasons of the others with their numbers.
    """
    frame = demonstrations.assign(source=demonstrations["source"].astype(object))
    rows = []
    for (run_id, run, source), group in frame.groupby(["run_id", "run", "source"], sort=False, observed=True):
        reasons = group["reject_reason"].dropna().astype(str).value_counts().sort_index()
        rows.append(
            {
                "run_id": run_id,
                "run": run,
                "source": source,
                "n_offered": len(group),
                "n_accepted": int(group["accepted"].sum()),
                "n_online": int(group["step"].notna().sum()),
                "usd": group["cost"].sum(min_count=1),
                "refused": ", ".join(f"{reason} {n}" for reason, n in reasons.items()),
            }
        )
    return pd.DataFrame(rows)


def plot_demo_efficiency(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw score against demonstrations trained on, with repeats (left) and distinct ones (right).

    A point per step, joined in order of step, the last one filled, with its interval; the axis is logarithmic
    from 10 on and linear below, so that runs without demonstrations have a place. Returns the two Axes.
    """
    if axes is None:
        axes = style.new_axes(1, 2, height=2.4, sharey=True)[0]
    axes = np.asarray(axes, dtype=object).ravel()
    styles = style.run_styles(frame["run"])
    titles = ("demonstrations trained on, repeats counted", "different demonstrations trained on")
    with style.context():
        for one, column, title in zip(axes, _USED, titles, strict=True):
            for (_, run), line in frame.groupby(["run_id", "run"], sort=False):
                _draw_path(one, line.sort_values("step"), column, styles[str(run)])
            _demonstration_axis(one, largest=int(frame[column].max()))
            one.set_xlabel(title)
        axes[0].set_ylabel("accuracy")
        style.legend_above(axes[0].figure, styles)
    return axes


def _draw_path(axes: Any, line: pd.DataFrame, column: str, look: style.RunStyle) -> None:
    last = line.iloc[[-1]]
    axes.plot(line[column], line["value"], color=look.colour, linestyle=look.dash, linewidth=0.9)
    axes.plot(
        line[column], line["value"], linestyle="none", marker=look.marker, markersize=2.5, color=look.colour,
        markerfacecolor="white", markeredgewidth=0.7,
    )  # fmt: skip
    error = [last["value"] - last["ci_low"], last["ci_high"] - last["value"]]
    axes.errorbar(
        last[column], last["value"], yerr=error, color=look.colour, marker=look.marker, markersize=5, linewidth=0.9,
        capsize=2,
    )  # fmt: skip


def _demonstration_axis(axes: Any, *, largest: int) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("symlog", linthresh=10, linscale=0.5)
    top = max(10, largest)
    axes.set_xlim(-2, top * 1.6)
    axes.xaxis.set_major_locator(FixedLocator([0, *(10**k for k in range(1, len(str(top)) + 1) if 10**k <= top * 1.6)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def caption_demo_efficiency(frame: pd.DataFrame) -> str:
    """Say what a reader must know: what a point is, the interval, how many questions."""
    questions = style.count_range(frame["n_questions"])
    return (
        f"A point per measured step of a run, the last one filled, mean over {questions} questions; 95 % interval "
        "(logit-t over questions, one run: spread between training seeds is not in it). The axis is linear below 10."
    )


def plot_buffer_health(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw length of the buffer (area) and age of what was trained on (median, .1 to .9). Returns the two Axes."""
    if axes is None:
        axes = style.new_axes(1, 2, height=2.1, sharex=True)[0]
    axes = np.asarray(axes, dtype=object).ravel()
    styles = style.run_styles(frame["run"])
    with style.context():
        for (_, run), line in frame.groupby(["run_id", "run"], sort=False):
            look = styles[str(run)]
            axes[0].fill_between(
                line["step"], line["buffer_len"], step="post", color=look.colour, alpha=0.2, linewidth=0
            )
            axes[0].step(line["step"], line["buffer_len"], where="post", color=look.colour, linewidth=0.8)
            aged = line[line["age_median"].notna()]
            spread = [aged["age_median"] - aged["age_low"], aged["age_high"] - aged["age_median"]]
            axes[1].errorbar(
                aged["step"], aged["age_median"], yerr=spread, color=look.colour, marker=look.marker, linestyle="none",
                linewidth=0.8,
            )  # fmt: skip
        axes[0].set_title("demonstrations waiting")
        axes[1].set_title("age when trained on, steps")
        for one in axes:
            one.set_ylim(bottom=0)
            style.whole_steps(one)
        style.legend_above(axes[0].figure, styles)
    return axes


def caption_buffer_health(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    return (
        f"Left: demonstrations in the buffer after each step ({int(frame['n_enqueued'].sum())} enqueued, "
        f"{int(frame['n_trained'].sum())} trained on, {int(frame['n_evicted'].sum())} evicted). Right: steps between "
        "entering the buffer and being trained on, median with the .1 and .9 quantiles."
    )


def _efficiency_data(loaded: LoadedRuns) -> pd.DataFrame:
    scores = probe_scores(loaded.probes, measure_draw=loaded.measure_draw)
    used = loaded.checkpoints
    known = set(used["run_id"].astype(object)) | set(scores.loc[scores["step"] == 0, "run_id"])
    if used.loc[used["demonstrations"] > 0, "run_id"].empty:
        raise InputError("no run was trained on demonstrations")
    return demo_efficiency(scores[scores["run_id"].isin(known)], used)


EFFICIENCY = Figure(
    "demonstrations", "What demonstrations bought", "Training",
    data=_efficiency_data, draw=plot_demo_efficiency, caption=caption_demo_efficiency,
)  # fmt: skip
BUFFER = Figure(
    "buffer", "The buffer of demonstrations", "Training",
    data=lambda loaded: buffer_health(loaded.buffer_events), draw=plot_buffer_health, caption=caption_buffer_health,
)  # fmt: skip
