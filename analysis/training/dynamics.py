"""Follow reward, length and entropy over training steps, with the fine-tuning steps marked, and the speed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import RATE_DRAWS, matched_questions, with_labels
from relift.errors import InputError

KEYS = ["run_id", "run", "step"]
_MEASURES = ("reward", "tokens", "entropy")
TOTALS = ("generated_tokens", "trained_tokens", "rl_updates", "sft_updates", "wall_seconds")  # of `throughput`


def training_dynamics(updates: pd.DataFrame, trajectories: pd.DataFrame, *, window: int = 5) -> pd.DataFrame:
    """Gather training curves: one row per run and step with an update, rollouts or a probe.

    Of the step's rollouts: reward (mean over questions of the share correct of the decided attempts), tokens
    (mean per attempt), truncated_share, entropy (nats, mean over questions); each with `_smooth`, the centred
    running mean over `window` steps (shorter at the ends). The same of probes as probe_*, over the questions
    that all of a run's probes share: origins are never averaged together. Of the updates: n_rl, n_sft, n_mixed
    (skipped ones left out), n_skipped, update_entropy (nats, weighted by tokens), sampler_gap (nats, mean
    |log p_learner - log p_sampler| over rollout tokens) and effective_share (of those tokens, by their importance
    weights). What was not measured is null. `trajectories` may hold the origins rollout and probe.
    """
    rollouts = trajectories[trajectories["origin"] == "rollout"]
    probes = trajectories[(trajectories["origin"] == "probe") & (trajectories["draw"] < RATE_DRAWS)]
    parts = [matched_questions(probes[probes["run_id"] == run_id]) for run_id in probes["run_id"].unique()]
    probed = _by_step(pd.concat(parts) if parts else probes).drop(columns="n_questions")
    frame = _by_step(rollouts).merge(
        probed.rename(columns={c: f"probe_{c}" for c in probed.columns if c not in KEYS}), on=KEYS, how="outer"
    )
    frame = frame.merge(_by_update(updates), on=KEYS, how="outer")
    order = {run_id: i for i, run_id in enumerate(_run_ids(updates, trajectories))}
    frame = frame.iloc[np.lexsort((frame["step"], frame["run_id"].map(order)))].reset_index(drop=True)
    counts = ["n_rl", "n_sft", "n_mixed", "n_skipped"]
    frame[counts] = frame[counts].fillna(0).astype(np.int64)
    for name in _MEASURES:
        smooth = frame.groupby("run_id", sort=False)[name].rolling(window, center=True, min_periods=1).mean()
        # only where the step itself was measured: a running mean must not fill gaps
        frame[f"{name}_smooth"] = smooth.droplevel(0).where(frame[name].notna())
    frame["window"] = window
    return frame


def _run_ids(*frames: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(run_id for frame in frames for run_id in frame["run_id"]))


def _by_step(trajectories: pd.DataFrame) -> pd.DataFrame:
    rows = with_labels(trajectories)
    attempts = rows["n_attempts"].to_numpy(float)
    questions = pd.DataFrame(
        {
            **{key: rows[key].to_numpy() for key in KEYS},
            "reward": stats.rate(rows["n_correct"], attempts - rows["n_undecided"].to_numpy(float)),
            "entropy": rows["mean_entropy"].to_numpy(float),
            "n_attempts": attempts,
            "n_tokens": attempts * rows["mean_tokens"].to_numpy(float),
            "n_truncated": rows["n_truncated"].to_numpy(float),
        }
    )
    grouped = questions.groupby(KEYS, sort=False)
    by_step = grouped[["reward", "entropy"]].mean()
    sums = grouped[["n_attempts", "n_tokens", "n_truncated"]].sum(min_count=1)  # no length known: null, not 0
    by_step["tokens"] = sums["n_tokens"] / sums["n_attempts"]
    by_step["truncated_share"] = sums["n_truncated"] / sums["n_attempts"]
    by_step["n_questions"] = grouped.size()
    return by_step.reset_index()


def _by_update(updates: pd.DataFrame) -> pd.DataFrame:
    rows = with_labels(updates)
    kind, made = rows["kind"].astype(str), ~rows["skipped"].astype(bool)
    weight = rows["n_tokens"].where(rows["entropy"].notna() & made, 0).astype(float)
    counted = pd.DataFrame(
        {
            **{key: rows[key].to_numpy() for key in KEYS},
            **{f"n_{name}": ((kind == name) & made).to_numpy(int) for name in ("rl", "sft", "mixed")},
            "n_skipped": (~made).to_numpy(int),
            **_of_sampler(rows),
            "weight": weight.to_numpy(),
            "weighted": (rows["entropy"].fillna(0).astype(float) * weight).to_numpy(),
        }
    )
    by_step = counted.groupby(KEYS, sort=False).sum()
    by_step["update_entropy"] = stats.rate(by_step.pop("weighted"), by_step.pop("weight"))
    sampled = by_step.pop("n_sampled")
    by_step["sampler_gap"] = stats.rate(by_step.pop("gap"), sampled)
    by_step["effective_share"] = stats.rate(by_step.pop("effective"), sampled)
    return by_step.reset_index()


def _of_sampler(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Sum over the rollout tokens of an update whose log-probability the sampler told; 0 where it told none."""
    n_sampled = rows["n_sampled_tokens"].fillna(0).astype(float)
    return {
        "n_sampled": n_sampled.to_numpy(),
        "gap": (rows["sampler_gap"].fillna(0).astype(float) * n_sampled).to_numpy(),
        "effective": rows["effective_tokens"].fillna(0).astype(float).to_numpy(),
    }


def plot_training_dynamics(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw reward, tokens and entropy over steps. Returns the three Axes.

    Thin lines are single steps of rollouts, thick ones their running mean, markers probes (the only points of
    runs without rollouts). Ticks below, a row per run: steps with a fine-tuning or mixed update.
    """
    if axes is None:
        axes = style.new_axes(1, len(_MEASURES), height=2.3, sharex=True)[0]
    axes = np.asarray(axes, dtype=object).ravel()
    styles = style.run_styles(frame["run"])
    labels = ("reward (share correct)", "tokens of an answer", "entropy, nats")
    with style.context():
        for one, measure, label in zip(axes, _MEASURES, labels, strict=True):
            for (_, run), line in frame.groupby(["run_id", "run"], sort=False):
                _draw_run(one, line, measure, styles[str(run)])
            one.set_title(label)
            if measure == "reward":
                one.set_ylim(0, 1)
            else:
                one.set_ylim(bottom=0)
            if not frame[[measure, f"probe_{measure}"]].notna().any(axis=None):
                one.text(0.5, 0.5, "not recorded", ha="center", va="center", transform=one.transAxes)
            _draw_fine_tuning(one, frame, styles)
            style.whole_steps(one)
        style.legend_above(axes[0].figure, styles)
    return axes


def _draw_run(axes: Any, line: pd.DataFrame, measure: str, look: style.RunStyle) -> None:
    rollouts, probes = line[line[measure].notna()], line[line[f"probe_{measure}"].notna()]
    axes.plot(rollouts["step"], rollouts[measure], color=look.colour, linewidth=0.5, alpha=0.35)
    axes.plot(rollouts["step"], rollouts[f"{measure}_smooth"], color=look.colour, linestyle=look.dash)
    if set(probes["step"]) == {0}:  # a base run: its level, to compare with
        axes.axhline(probes[f"probe_{measure}"].iloc[0], color=look.colour, linestyle=look.dash, linewidth=0.9)
        return
    joined = look.dash if rollouts.empty else "none"
    axes.plot(
        probes["step"], probes[f"probe_{measure}"], color=look.colour, linestyle=joined, linewidth=0.9,
        marker=look.marker, markersize=3, markerfacecolor="white", markeredgewidth=0.8,
    )  # fmt: skip


def _draw_fine_tuning(axes: Any, frame: pd.DataFrame, styles: dict[str, style.RunStyle]) -> None:
    """Draw ticks in rows below the curves, in axes coordinates: room is made for them at the bottom."""
    tuned = frame[frame["n_sft"] + frame["n_mixed"] > 0]
    runs = list(dict.fromkeys(zip(tuned["run_id"], tuned["run"], strict=True)))
    if not runs:
        return
    row_height = 0.045
    low, high = axes.get_ylim()
    room = row_height * len(runs) + 0.02
    axes.set_ylim(low - (high - low) * room / (1 - room), high)
    axes.axhline(low, color="black", linewidth=0.4)
    for row, (run_id, run) in enumerate(runs):
        steps = tuned.loc[tuned["run_id"] == run_id, "step"]
        bottom = row * row_height + 0.005
        axes.vlines(
            steps, bottom, bottom + row_height * 0.75,
            color=styles[str(run)].colour, linewidth=0.8, transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    slack = 1e-6 * (high - low)
    axes.set_yticks([tick for tick in axes.get_yticks() if low - slack <= tick <= high + slack])


def caption_training_dynamics(frame: pd.DataFrame) -> str:
    """Say what lines, markers and ticks are, and how many questions a step has."""
    rollouts = frame["n_questions"].dropna()
    window = int(frame["window"].iloc[0])
    lines = (
        f"Thin: rollouts of single steps ({style.count_range(rollouts)} questions each), thick: their running mean "
        f"over {window} steps. Rollouts and probes are different questions and are not averaged together. "
    )
    measured = frame[[f"probe_{name}" for name in _MEASURES]].notna().any(axis=None)
    probed = "Markers: probes of the fixed question set. " if measured else ""
    tuned = (frame["n_sft"] + frame["n_mixed"] > 0).any()
    ticks = "Ticks below: steps with a fine-tuning or mixed update." if tuned else ""
    return f"{lines if len(rollouts) else ''}{probed}{ticks}".rstrip()


def throughput(checkpoints: pd.DataFrame) -> pd.DataFrame:
    """Measure what came since the checkpoint before: one row per run and checkpoint after its first.

    Columns run_id, run, step, step_before, and of TOTALS the increase; generated_per_second, trained_per_second
    (tokens), seconds_per_step. Null where no time passed. InputError where no run has two checkpoints.
    """
    rows = with_labels(checkpoints).sort_values(["run_id", "step"], kind="stable")
    grouped = rows.groupby("run_id", sort=False)
    since = rows[["run_id", "run", "step"]].assign(step_before=grouped["step"].shift())
    for name in TOTALS:
        since[name] = rows[name].astype(float) - grouped[name].shift().astype(float)
    since = since.dropna(subset="step_before").reset_index(drop=True)
    if since.empty:
        raise InputError("no run has a record of two checkpoints: nothing tells how fast it went")
    since["step_before"] = since["step_before"].astype("int64")
    seconds = since["wall_seconds"]
    since["generated_per_second"] = stats.rate(since["generated_tokens"], seconds)
    since["trained_per_second"] = stats.rate(since["trained_tokens"], seconds)
    since["seconds_per_step"] = stats.rate(seconds, since["step"] - since["step_before"])
    return since


def _data(loaded: LoadedRuns) -> pd.DataFrame:
    if loaded.updates.empty and loaded.rollouts.empty:
        raise InputError("no run has updates or rollouts: there are no training curves")
    frames = [loaded.rollouts]
    trained = pd.concat([loaded.updates["run_id"], loaded.rollouts["run_id"]]).astype(object).unique()
    for name in ("probes", "trajectories"):  # questions that all runs share, so that their levels can be compared
        try:
            probes: pd.DataFrame = getattr(loaded, name)
        except InputError:  # no question is shared; or no probe at all, but there are rollouts
            continue
        frames.append(probes[probes["run_id"].isin(trained)])
        break
    return training_dynamics(loaded.updates, pd.concat(frames, ignore_index=True))


DYNAMICS = Figure(
    "dynamics", "Training curves", "Training",
    data=_data, draw=plot_training_dynamics, caption=caption_training_dynamics,
)  # fmt: skip
