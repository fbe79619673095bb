"""Measure what more samples reach: pass@k, where two curves cross, and how reliably questions are answered.

Axes: Q questions, C columns (run at step), K numbers of samples, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import Panel, lay_out_counts, matched_questions, run_id_of
from relift.errors import InputError

TAUS = tuple(float(t) for t in np.round(np.linspace(1 / 32, 1, 32), 5))


def pass_at_k(trajectories: pd.DataFrame, *, ks: Sequence[int] | None = None) -> pd.DataFrame:
    """Average over questions the chance that k attempts hold a correct one: one row per run, step and k.

    Unbiased per question (Chen et al. 2021, arXiv 2107.03374), draws 0 and 1 pooled, over the questions that all
    runs and steps of the frame share. Columns: value, low, high (95 %, logit-t over questions, Wilson where all are
    equal), n_questions, n_attempts (the least decided attempts of a question). `ks`: None takes the powers of two
    up to half of n_attempts, beyond which the estimate rests on few attempts. InputError if a k asked for exceeds
    n_attempts somewhere: questions with fewer are neither padded nor dropped.
    """
    panel = lay_out_counts(matched_questions(trajectories))
    rows = []
    for column, (run_id, run, step) in enumerate(panel.columns.itertuples(index=False)):
        correct_Q, decided_Q = _counts(panel, column)
        least = int(decided_Q.min())
        for k in powers(least) if ks is None else ks:
            if k > least:
                raise InputError(f"pass@{k}: run {run} has a question with {least} decided attempts at step {step}")
            mean = stats.logit_t(_pass_at(correct_Q, decided_Q, [k])[:, 0])
            rows.append((run_id, run, step, k, mean.value, mean.low, mean.high, mean.n_questions, least))
    names = ["run_id", "run", "step", "k", "value", "low", "high", "n_questions", "n_attempts"]
    return pd.DataFrame(rows, columns=names)


def _counts(panel: Panel, column: int) -> tuple[stats.Floats, stats.Floats]:
    return panel.sum_QC["n_correct"][:, column], panel.sum_QC["n_decided"][:, column]


def powers(least: int) -> list[int]:
    """List the k of a curve: powers of two up to half of the attempts, beyond which few decide."""
    return [1] * (least > 0) + [2**i for i in range(1, 30) if 2 ** (i + 1) <= least]


def _pass_at(correct_Q: stats.Floats, decided_Q: stats.Floats, ks: Sequence[int]) -> stats.Floats:
    """Compute pass@k of each question (Q, K); few counts are distinct, so each is computed once."""
    pairs, where = np.unique(np.stack([correct_Q, decided_Q]), axis=1, return_inverse=True)
    return np.stack([stats.pass_at_k(pairs[0], pairs[1], k=k) for k in ks], axis=1)[where.ravel()]


def _last_columns(panel: Panel, base: int, step: int | None) -> list[int]:
    """Find the column of each run at `step`, or its last; the base run's own later steps count as a run."""
    others = panel.columns.drop(index=base)
    others = others[others["step"] == step] if step is not None else others[others["step"] > 0]
    last = others.groupby("run_id", sort=False)["step"].idxmax()
    if last.empty:
        raise InputError(f"no run has a probe at {'a step after 0' if step is None else f'step {step}'}")
    return sorted(int(column) for column in last)


def _base_column(panel: Panel, trajectories: pd.DataFrame, base: str) -> int:
    column = panel.column_of(run_id_of(trajectories, base), 0)
    if column is None:
        raise InputError(f"run {base} has no probe at step 0 to compare with")
    return column


def crossover(
    trajectories: pd.DataFrame,
    *,
    base: str,
    ks: Sequence[int] | None = None,
    step: int | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Find k_star, the least k from which the base model reaches the run's pass@k: one row per run.

    `ks`: None tries every k that all questions have attempts for on both sides. k_star is null if the base is below
    at all of them. The bootstrap (by question, both sides on the same questions) repeats the search itself: `low`
    and `high` are its percentiles, null where beyond `k_max`, the largest k tried; `crossed` is the share of
    resamples that cross. `step`: None is each run's last.
    """
    panel = lay_out_counts(matched_questions(trajectories))
    base_column = _base_column(panel, trajectories, base)
    rows = []
    for column in _last_columns(panel, base_column, step):
        sides = [_counts(panel, c) for c in (base_column, column)]
        least = int(min(decided_Q.min() for _, decided_Q in sides))
        tried = list(range(1, least + 1)) if ks is None else sorted(ks)
        if not tried or tried[-1] > least:
            raise InputError(
                f"crossover: k up to {tried[-1] if tried else 1} asked for, the least attempts are {least}"
            )
        gain_QK = _pass_at(*sides[0], tried) - _pass_at(*sides[1], tried)
        n = len(gain_QK)
        mean_RK = [w @ gain_QK / n for w in stats.bootstrap_weights(n, resamples, seed=seed)]
        star_R = _first_crossing(np.concatenate(mean_RK) if mean_RK else np.zeros((0, len(tried))), tried)
        star = _first_crossing(gain_QK.mean(axis=0, keepdims=True), tried)[0]
        ends = np.quantile(star_R, [0.025, 0.975], method="nearest") if len(star_R) else [np.inf, np.inf]
        key = panel.columns.iloc[column]
        rows.append(
            {
                "run_id": key["run_id"], "run": key["run"], "step": int(key["step"]), "k_star": _finite(star),
                "low": _finite(ends[0]), "high": _finite(ends[1]), "k_max": tried[-1],
                "crossed": float(np.isfinite(star_R).mean()) if len(star_R) else np.nan, "n_questions": n,
                "n_attempts": least, "resamples": resamples, "seed": seed,
            }
        )  # fmt: skip
    return pd.DataFrame(rows).astype({"k_star": float, "low": float, "high": float})


def _first_crossing(gain_RK: stats.Floats, ks: Sequence[int]) -> stats.Floats:
    """Find the least k with gain >= 0 (to rounding) in each row, infinite where there is none."""
    reached_RK = gain_RK >= -1e-12
    return np.where(reached_RK.any(axis=1), np.asarray(ks, float)[reached_RK.argmax(axis=1)], np.inf)


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else np.nan


def sampling_gap(trajectories: pd.DataFrame, *, base: str, k: int = 256, step: int | None = None) -> pd.DataFrame:
    """Measure pass@k of the base model minus pass@1 of the run, paired by question: one row per run.

    What sampling the base model more often would still buy (arXiv 2504.13837, with k = 256). Columns: base_value,
    value, gap, low, high (95 %, Student's t over questions), n_questions. `step`: None is each run's last.
    """
    panel = lay_out_counts(matched_questions(trajectories))
    base_column = _base_column(panel, trajectories, base)
    base_correct_Q, base_decided_Q = _counts(panel, base_column)
    if base_decided_Q.min() < k:
        raise InputError(
            f"pass@{k} of {base}: a question has only {base_decided_Q.min():.0f} decided attempts at step 0; "
            "ask for a smaller k or probe the base with more attempts"
        )
    base_Q = _pass_at(base_correct_Q, base_decided_Q, [k])[:, 0]
    rows = []
    for column in _last_columns(panel, base_column, step):
        rate_Q = stats.rate(*_counts(panel, column))
        shared_Q = ~np.isnan(rate_Q)
        one = stats.paired_t(base_Q[shared_Q] - rate_Q[shared_Q])
        key = panel.columns.iloc[column]
        rows.append(
            {
                "run_id": key["run_id"], "run": key["run"], "step": int(key["step"]), "k": k,
                "base_value": float(base_Q[shared_Q].mean()), "value": float(rate_Q[shared_Q].mean()),
                "gap": one.value, "low": one.low, "high": one.high, "n_questions": one.n_questions,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def cover(trajectories: pd.DataFrame, *, taus: Sequence[float] = TAUS, draw: int = 0) -> pd.DataFrame:
    """Measure the share of questions answered correctly in at least tau of the attempts: one row per run, step, tau.

    G(tau) = sum 1[c/n >= tau] / Q (arXiv 2510.08325), of one draw, so that step 0 rests on as many attempts as later
    steps: with few attempts G is biased, and by more the fewer. Columns: value, low, high (95 %, Wilson over
    questions), n_questions, n_attempts (range as text). Over the questions that all runs and steps share.
    """
    panel = lay_out_counts(matched_questions(trajectories[(trajectories["draw"] == draw).to_numpy()]), draws=[draw])
    rows = []
    for column, (run_id, run, step) in enumerate(panel.columns.itertuples(index=False)):
        correct_Q, decided_Q = _counts(panel, column)
        correct_Q, decided_Q = correct_Q[decided_Q > 0], decided_Q[decided_Q > 0]
        for tau in taus:
            reached = int((correct_Q >= tau * decided_Q - 1e-9).sum())
            low, high = stats.wilson(reached, len(correct_Q))
            share = reached / len(correct_Q) if len(correct_Q) else np.nan
            attempts = style.count_range(decided_Q)
            rows.append((run_id, run, step, tau, share, float(low), float(high), len(correct_Q), attempts))
    names = ["run_id", "run", "step", "tau", "value", "low", "high", "n_questions", "n_attempts"]
    return pd.DataFrame(rows, columns=names)


def with_crossings(frame: pd.DataFrame, crossings: pd.DataFrame) -> pd.DataFrame:
    """Add each run's k_star of `crossover` to the frame of `pass_at_k`; the figure then marks it."""
    return frame.merge(crossings[["run_id", "step", "k_star"]], on=["run_id", "step"], how="left")


def plot_pass_at_k(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw pass@k over k (log2), a line per run at its last step, with intervals; returns the Axes.

    A column k_star (of `with_crossings`) is marked on each run's line.
    """
    axes = style.one_axes(height=2.6, width=style.COLUMN_WIDTH) if axes is None else axes
    last = _last_steps(frame)
    styles = style.run_styles(last["run"])
    with style.context():
        for run, line in style.by_style(last, styles):
            style.line_with_interval(axes, line["k"], line, "value", styles[run])
        if "k_star" in last:
            _mark_crossings(axes, last, styles)
        axes.set_xscale("log", base=2)
        ticks = sorted(last["k"].unique())
        axes.set_xticks(ticks, [str(k) for k in ticks])
        axes.minorticks_off()
        axes.set_xlabel("attempts k")
        axes.set_ylabel("pass@k")
        axes.set_ylim(0, 1.02)
        style.legend_above(axes.figure, styles, columns=3)
    return axes


def _last_steps(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["step"] == frame.groupby("run_id", sort=False)["step"].transform("max")]


def _mark_crossings(axes: Any, last: pd.DataFrame, styles: dict[str, style.RunStyle]) -> None:
    crossings = last.drop_duplicates("run_id")[["run_id", "run", "k_star"]].dropna()
    for run_id, run, k_star in crossings.to_numpy():
        line = last[last["run_id"] == run_id].sort_values("k")
        if k_star > line["k"].max():
            continue
        height = np.interp(np.log2(k_star), np.log2(line["k"].to_numpy(float)), line["value"])
        axes.plot(
            [k_star], [height], marker="o", markersize=7, markerfacecolor="none", linestyle="none",
            markeredgecolor=styles[run].colour, markeredgewidth=0.9,
        )  # fmt: skip


def caption_pass_at_k(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    last = _last_steps(frame)
    marked = "k_star" in last and bool((last["k_star"] <= last.groupby("run_id")["k"].transform("max")).any())
    rings = " Rings: the least k at which the base model reaches the run." if marked else ""
    return (
        f"Chance that k attempts hold a correct one, unbiased, mean over {style.count_range(last['n_questions'])} "
        f"questions at each run's last step; {style.count_range(last['n_attempts'])} attempts a question. "
        f"Shaded: 95 % intervals (logit-t over questions).{rings}"
    )


def plot_cover(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw the share of questions answered in at least tau of the attempts, a step line per run at its last step."""
    axes = style.one_axes(height=2.6, width=style.COLUMN_WIDTH) if axes is None else axes
    last = _last_steps(frame)
    styles = style.run_styles(last["run"])
    with style.context():
        for run, line in style.by_style(last, styles):
            look = styles[run]
            axes.fill_between(
                line["tau"], line["low"], line["high"], color=look.colour, alpha=0.12, linewidth=0, step="pre"
            )
            axes.step(line["tau"], line["value"], where="pre", color=look.colour, linestyle=look.dash)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("share τ of the attempts that are correct, at least")
        axes.set_ylabel("share of questions")
        style.legend_above(axes.figure, styles, columns=3, markers="none")
    return axes


def caption_cover(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    last = _last_steps(frame)
    attempts = " and ".join(dict.fromkeys(last["n_attempts"]))
    return (
        f"Share of {style.count_range(last['n_questions'])} questions that are answered correctly in at least τ of "
        f"their attempts, each run at its last step, {attempts} attempts a question; so few attempts spread the curve, "
        "and equally for all runs only if they have as many. Shaded: 95 % intervals (Wilson over questions)."
    )


def plot_sampling_gap(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw a dumbbell per run: its pass@1, and the base model's pass@k it is measured against. Returns the Axes."""
    if axes is None:
        axes = style.one_axes(height=0.7 + 0.25 * len(frame), width=style.COLUMN_WIDTH)
    styles = style.run_styles(frame["run"])
    order = [run for run, _ in style.by_style(frame, styles)]
    with style.context():
        for row, run in enumerate(order):
            one, look = frame[frame["run"] == run].iloc[0], styles[run]
            axes.plot([one["value"], one["base_value"]], [row, row], color=style.GREY, linewidth=2, zorder=1)
            axes.plot(one["value"], row, marker=look.marker, color=look.colour, markersize=5)
            axes.plot(one["base_value"], row, marker="|", color="black", markersize=8)
        axes.set_yticks(range(len(order)), [styles[run].label for run in order])
        axes.set_ylim(len(order) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"run's pass@1 (marker), base's pass@{frame['k'].iloc[0]} (bar)")
    return axes


def caption_sampling_gap(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    return (
        f"pass@1 of each run at its last step beside pass@{frame['k'].iloc[0]} of the base model, over the same "
        f"{style.count_range(frame['n_questions'])} questions; intervals of the difference are in the table."
    )


def _pass_data(loaded: LoadedRuns) -> pd.DataFrame:
    least = least_attempts(loaded.compared)
    ks = sorted({2**i for i in range(16) if 2**i <= least} | {least})
    frame = pass_at_k(loaded.compared, ks=ks)
    try:
        return with_crossings(frame, crossover_of(loaded))
    except InputError:  # one run at step 0 alone: nothing to cross
        return frame


def least_attempts(probes: pd.DataFrame) -> int:
    """Find the least decided attempts of a question at a step of a run, draws summed. InputError if it is 0."""
    decided = (probes["n_attempts"] - probes["n_undecided"]).astype("int64")
    keys = [probes["run_id"].astype(object), probes["step"], probes["question_id"].astype(object)]
    counts = decided.groupby(keys).sum()
    if not len(counts):  # as where the records of step 0 are gone
        raise InputError("no run has its own probes at both ends: pass@k is not known")
    least = int(counts.min())
    if least < 1:
        raise InputError("a question has no decided attempt at an end of a run: pass@k is not known")
    return least


def crossover_of(loaded: LoadedRuns) -> pd.DataFrame:
    """Find where the base model's pass@k reaches each run's (of `crossover`)."""
    return crossover(loaded.compared, base=loaded.compared_base_id, resamples=loaded.resamples, seed=loaded.seed)


def _gap_data(loaded: LoadedRuns) -> pd.DataFrame:
    base = loaded.compared[(loaded.compared["run_id"] == loaded.compared_base_id) & (loaded.compared["step"] == 0)]
    return sampling_gap(loaded.compared, base=loaded.compared_base_id, k=min(256, least_attempts(base)))


PASS_AT_K = Figure(
    "pass_at_k", "pass@k", "What is within reach",
    data=_pass_data, draw=plot_pass_at_k, caption=caption_pass_at_k,
)  # fmt: skip
SAMPLING_GAP = Figure(
    "sampling_gap", "What sampling the base more often reaches", "What is within reach",
    data=_gap_data, draw=plot_sampling_gap, caption=caption_sampling_gap,
)  # fmt: skip
COVER = Figure(
    "cover", "How reliably how many questions are answered", "What is within reach",
    data=lambda loaded: cover(loaded.compared), draw=plot_cover, caption=caption_cover,
)  # fmt: skip
