"""Read what single attempts tell: length against correctness, signal in groups, the grader's health, drift.

The table of attempts may not fit into memory: each function takes the rows of some steps, and `map_attempts` of
`relift.analysis.runs.read` applies it file by file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import with_labels
from relift.analysis.runs.read import map_attempts
from relift.analysis.runs.recorded import require_column
from relift.errors import InputError
from relift.schema import Finish, Verdict

KEYS = ["run_id", "run", "step"]
GROUPS = ("all wrong", "mixed", "all right", "undecided")
_N_BINS = 10


def length_accuracy(
    attempts: pd.DataFrame, *, groups: pd.Series | None = None, resamples: int = 200, seed: int = 0
) -> pd.DataFrame:
    """Measure accuracy of the decided attempts, and the share cut off: one row per run, group and decile of length.

    `groups`: of each question_id, say its split, whose answers have lengths of their own (None: one, called "all").
    Deciles are of the group's attempts by n_tokens; equal lengths stay together, so there may be fewer. Columns: run,
    run_id, group, decile (0 the shortest), tokens_low, tokens_high, n_attempts, n_decided, accuracy, low, high (95 %,
    bootstrap by question), truncated_share. Long answers are not wrong because they are long: hard questions get long
    answers.
    """
    rows = []
    labelled = with_labels(attempts)
    require_column(labelled, "n_tokens", table="attempts")
    group_of = "all" if groups is None else labelled["question_id"].astype(object).map(groups)
    counted = labelled.assign(group=group_of)[labelled["n_tokens"].notna()]
    for (run_id, run, group), one in counted.groupby(["run_id", "run", "group"], sort=False):
        tokens = one["n_tokens"].to_numpy(float)
        edges = np.unique(np.quantile(tokens, np.linspace(0, 1, _N_BINS + 1)[1:-1]))
        # numbered without gaps, where many answers are equally long
        decile = np.unique(np.searchsorted(edges, tokens, side="right"), return_inverse=True)[1]
        verdict, cut = one["verdict"].astype(str).to_numpy(), (one["finish"].astype(str) == Finish.length).to_numpy()
        correct, decided = verdict == Verdict.correct, verdict != Verdict.undecided
        question, questions = pd.factorize(one["question_id" if "question_id" in one else "question_ix"])
        shape = (len(questions), int(decile.max(initial=0)) + 1)
        cell = question * shape[1] + decile
        correct_QD, decided_QD = (
            np.bincount(cell[mask], minlength=shape[0] * shape[1]).reshape(shape).astype(float)
            for mask in (correct, decided)
        )
        all_Q = np.zeros(shape[0], np.int64)
        resampled = stats.bootstrap_ratios(correct_QD, decided_QD, all_Q, n_groups=1, resamples=resamples, seed=seed)
        low_D, high_D = stats.percentile_interval(resampled[:, 0])
        for d in range(shape[1]):
            inside = decile == d
            ends = (low_D[d], high_D[d]) if high_D[d] - low_D[d] > 1e-12 else (np.nan, np.nan)
            rows.append(
                (run_id, run, group, d, tokens[inside].min(), tokens[inside].max(), int(inside.sum()),
                 int(decided[inside].sum()), float(stats.rate(correct[inside].sum(), decided[inside].sum())), *ends,
                 float(cut[inside].mean()))
            )  # fmt: skip
    names = [
        "run_id",
        "run",
        "group",
        "decile",
        "tokens_low",
        "tokens_high",
        "n_attempts",
        "n_decided",
        "accuracy",
        "low",
        "high",
    ]
    return pd.DataFrame(rows, columns=[*names, "truncated_share"])


def group_signal(attempts: pd.DataFrame) -> pd.DataFrame:
    """Count rollout groups by outcome, and measure the signal in their advantages: one row per run and step.

    n_all_wrong, n_mixed, n_all_right count groups (the attempts at one question in one step); n_undecided those that
    their undecided attempts keep open. signal_share: attempts with an advantage other than 0; effective_share:
    (sum |A|)^2 / (N sum A^2), 1 if all carry as much (null without advantages).
    """
    rows = with_labels(attempts)
    verdict = rows["verdict"].astype(str)
    keys = [*KEYS, "question_id" if "question_id" in rows else "question_ix"]
    flags = rows[keys].assign(
        n=1, correct=(verdict == Verdict.correct).to_numpy(int), undecided=(verdict == Verdict.undecided).to_numpy(int)
    )
    groups = flags.groupby(keys, sort=False, observed=True)[["n", "correct", "undecided"]].sum()
    wrong = groups["n"] - groups["correct"] - groups["undecided"]
    kinds = np.select([(groups["correct"] > 0) & (wrong > 0), groups["undecided"] > 0, wrong > 0], [1, 3, 0], 2)
    counts = pd.DataFrame(
        {f"n_{name.replace(' ', '_')}": (kinds == i).astype(np.int64) for i, name in enumerate(GROUPS)}
    )
    counts[KEYS] = groups.index.to_frame(index=False)[KEYS]
    frame = counts.groupby(KEYS, sort=False).sum().reset_index()
    advantage = rows["advantage"].astype(float) if "advantage" in rows else pd.Series(np.nan, index=rows.index)
    sums = rows[KEYS].assign(
        known=advantage.notna().to_numpy(int), other=(advantage.notna() & (advantage != 0)).to_numpy(int),
        size=advantage.abs().fillna(0).to_numpy(), square=(advantage**2).fillna(0).to_numpy(),
    )  # fmt: skip
    total = frame[KEYS].merge(sums.groupby(KEYS, sort=False).sum().reset_index(), on=KEYS)
    frame["signal_share"] = stats.rate(total["other"], total["known"])
    frame["effective_share"] = stats.rate(total["size"] ** 2, total["known"] * total["square"])
    return frame


def grader_health(attempts: pd.DataFrame, *, by: str | None = None) -> pd.DataFrame:
    """Count how sure the verdicts are: one row per run and step (and value of the column `by`, say verdict_rule).

    n_attempts, n_undecided, n_truncated, n_unanswered (no final answer found), n_checked (a second grader looked),
    n_disagree of these. Counts, so that rows can be added up.
    """
    rows = with_labels(attempts)
    keys = [*KEYS, *([by] if by else [])]
    checked, disagrees = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    if "grader_agrees" in rows:
        checked = rows["grader_agrees"].notna().to_numpy()
        disagrees = checked & rows["grader_agrees"].isin([False]).to_numpy()
    unanswered = rows["answer"].isna().to_numpy() if "answer" in rows else np.zeros(len(rows), bool)
    counts = rows[keys].assign(
        n_attempts=1,
        n_undecided=(rows["verdict"].astype(str) == Verdict.undecided).to_numpy(int),
        n_truncated=(rows["finish"].astype(str) == Finish.length).to_numpy(int),
        n_unanswered=unanswered.astype(int),
        n_checked=checked.astype(int),
        n_disagree=disagrees.astype(int),
    )
    return counts.groupby(keys, sort=False, observed=True).sum().reset_index()


def base_perplexity(attempts: pd.DataFrame) -> pd.DataFrame:
    """Compute how surprising the base model finds each answer, exp(-sum_logprob_base / n_tokens).

    Columns: run_id, run, step, question_id or question_ix, verdict, n_tokens, perplexity (null where the base
    log-probability is). MissingColumn if no row has one.
    """
    require_column(attempts, "sum_logprob_base", table="attempts")
    kept = [*KEYS, *(c for c in ("question_id", "question_ix", "attempt") if c in attempts), "verdict", "n_tokens"]
    rows = with_labels(attempts)
    with np.errstate(over="ignore"):
        perplexity = np.exp(-rows["sum_logprob_base"].astype(float) / rows["n_tokens"].astype(float))
    return rows[kept].assign(perplexity=perplexity)


def drift(attempts: pd.DataFrame) -> pd.DataFrame:
    """Measure how far the policy has moved from the base on its own answers, KL(policy || base): by run and step.

    drift: mean over attempts of sum_logprob - sum_logprob_base, nats an answer; drift_per_token: the same over the sum
    of n_tokens; standard_error of drift, attempts taken as independent; n_attempts with both. The plain estimator:
    sums of a whole sequence are never exponentiated. MissingColumn if a column has no value.
    """
    for column in ("sum_logprob", "sum_logprob_base"):
        require_column(attempts, column, table="attempts")
    rows = with_labels(attempts)
    known = rows[rows["sum_logprob"].notna() & rows["sum_logprob_base"].notna()]
    moved = known[KEYS].assign(
        moved=known["sum_logprob"].astype(float) - known["sum_logprob_base"].astype(float),
        tokens=known["n_tokens"].astype(float),
    )
    grouped = moved.groupby(KEYS, sort=False)
    frame = grouped["moved"].agg(drift="mean", standard_error="sem", n_attempts="size").reset_index()
    frame["drift_per_token"] = (grouped["moved"].sum() / grouped["tokens"].sum()).to_numpy()
    return frame


def forgetting_drift(retained: pd.DataFrame, drifted: pd.DataFrame) -> pd.DataFrame:
    """Join the share forgotten of what was mastered with the drift from the base: one row per run and probe.

    `retained` of `retention`, `drifted` of `drift`. forgotten is 1 - share; null_forgotten what chance alone gives.
    InputError if they share no step.
    """
    names = ["share", "low", "high", "null_share", "n_mastered"]
    frame = retained[[*KEYS, *names]].merge(drifted, on=KEYS)
    if frame.empty:
        raise InputError("retention and drift share no run and step")
    frame = frame.assign(forgotten=1 - frame["share"], forgotten_low=1 - frame["high"], forgotten_high=1 - frame["low"])
    return frame.assign(null_forgotten=1 - frame["null_share"]).drop(columns=names[:-1])


def plot_length_accuracy(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw accuracy (left) and share cut off (right) by length of the answer, a row per group. Returns the Axes."""
    groups = list(dict.fromkeys(frame["group"].astype(str)))
    if axes is None:
        axes = style.new_axes(len(groups), 2, height=0.5 + 1.8 * len(groups))
    pairs = np.asarray(axes, dtype=object).reshape(len(groups), 2)
    styles = style.run_styles(frame["run"])
    with style.context():
        for group, (left, right) in zip(groups, pairs, strict=True):
            for run, line in style.by_style(frame[(frame["group"] == group).to_numpy()], styles):
                middle = (line["tokens_low"] + line["tokens_high"]) / 2
                style.line_with_interval(left, middle, line, "accuracy", styles[run])
                right.plot(middle, line["truncated_share"], **styles[run].line())
            left.set_ylabel("accuracy" if len(groups) == 1 else f"accuracy, {style.shown(group)}")
            right.set_ylabel("share cut off")
            left.set_ylim(0, 1.02)
            right.set_ylim(0, None)
        for one in pairs[-1]:
            one.set_xlabel("tokens of an answer")
        style.legend_above(pairs[0, 0].figure, styles)
    return axes


def caption_length_accuracy(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    apart = ", each split apart: splits have lengths of their own" if frame["group"].nunique() > 1 else ""
    return (
        f"A point per tenth of a run's attempts by length ({style.count_range(frame['n_attempts'])} attempts), at the "
        f"middle of its lengths{apart}. Shaded: 95 % intervals, bootstrap by question. Hard questions get long "
        "answers: this is no effect of length."
    )


def plot_group_signal(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw the share of rollout groups all wrong, mixed, all right, undecided, stacked, a panel per run."""
    styles = style.run_styles(frame["run"])
    parts = style.by_style(frame, styles)
    if axes is None:
        axes = style.panels(len(parts), height=1.9, share_y="all")
    axes = np.asarray(axes, dtype=object).ravel()
    colours = ("#440154", "#31688E", "#B5DE2B", style.GREY)
    names = [f"n_{name.replace(' ', '_')}" for name in GROUPS]
    with style.context():
        for one, (run, line) in zip(axes, parts, strict=True):
            share = line[names].to_numpy(float) / line[names].sum(axis=1).to_numpy(float)[:, None]
            areas = one.stackplot(line["step"], share.T, colors=colours, linewidth=0)
            one.set_title(styles[run].label)
            one.set_ylim(0, 1)
            one.margins(x=0)
            style.whole_steps(one)
        axes[0].set_ylabel("share of groups")
        used = [bool(frame[name].any()) for name in names]
        handles = [(area, label) for area, label, shown in zip(areas, GROUPS, used, strict=True) if shown]
        axes[0].figure.legend(*zip(*handles, strict=True), loc="outside upper center", ncols=4)
    return axes


def caption_group_signal(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    groups = frame[[f"n_{name.replace(' ', '_')}" for name in GROUPS]].sum(axis=1)
    return (
        f"Groups of rollouts by outcome, {style.count_range(groups)} a step. Only mixed groups carry an advantage; an "
        "undecided group has attempts the grader could not judge and no two verdicts that differ."
    )


def plot_base_perplexity(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw the distribution function of the perplexity under the base model, a line per run; returns the Axes."""
    axes = style.one_axes(height=2.4, width=style.COLUMN_WIDTH) if axes is None else axes
    styles = style.run_styles(frame["run"])
    with style.context():
        for run, line in style.by_style(frame, styles):
            value = np.sort(line["perplexity"].dropna().to_numpy(float))
            share = np.arange(1, len(value) + 1) / max(1, len(value))
            axes.step(value, share, where="post", color=styles[run].colour, linestyle=styles[run].dash)
        axes.set_xscale("log")
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("perplexity under the base model")
        axes.set_ylabel("share of answers")
        style.legend_above(axes.figure, styles, columns=3, markers="none")
    return axes


def caption_base_perplexity(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    n = frame.groupby("run_id", sort=False)["perplexity"].count()
    return (
        f"Answers by how surprising the base model finds them, exp of minus the mean log-probability of a token, "
        f"{style.count_range(n)} answers a run at its last probe."
    )


def plot_forgetting_drift(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw share forgotten against drift from the base, a path per run in order of step; returns the Axes."""
    axes = style.one_axes(height=2.4, width=style.COLUMN_WIDTH) if axes is None else axes
    styles = style.run_styles(frame["run"])
    with style.context():
        for run, line in style.by_style(frame.sort_values("step", kind="stable"), styles):
            axes.plot(line["drift_per_token"], line["forgotten"], **styles[run].line())
            last = line.iloc[-1]
            axes.vlines(
                last["drift_per_token"], last["forgotten_low"], last["forgotten_high"], color=styles[run].colour,
                linewidth=0.8,
            )  # fmt: skip
        for level in frame["null_forgotten"].dropna().unique():
            axes.axhline(level, color="black", linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
        axes.set_xlabel("KL(policy ‖ base), nats a token")
        axes.set_ylabel("share forgotten")
        axes.set_ylim(0, None)
        style.legend_above(axes.figure, styles, columns=3)
    return axes


def caption_forgetting_drift(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    return (
        f"Of the {style.count_range(frame['n_mastered'])} questions mastered at first, the share no longer mastered, "
        "against the drift from the base on the policy's own answers, KL(policy ‖ base), a point per probe; last "
        "point with its 95 % interval (Wilson). Dashed: a model that did not change."
    )


def _perplexity_data(loaded: LoadedRuns) -> pd.DataFrame:
    return base_perplexity(loaded.last_attempts(["verdict", "n_tokens", "sum_logprob_base"]))


def _signal_data(loaded: LoadedRuns) -> pd.DataFrame:
    paths = loaded.with_origin("rollout")
    if not paths:
        raise InputError("no run has rollouts")
    return map_attempts(paths, group_signal, origin="rollout", columns=["verdict", "advantage"])


def _length_data(loaded: LoadedRuns) -> pd.DataFrame:
    rows = loaded.last_attempts(["verdict", "finish", "n_tokens"])
    splits = loaded.split_of
    groups = splits if splits.nunique() > 1 else None
    return length_accuracy(rows, groups=groups, resamples=min(loaded.resamples, 200), seed=loaded.seed)


BASE_PERPLEXITY = Figure(
    "base_perplexity", "Perplexity under the base model", "What changed",
    data=_perplexity_data, draw=plot_base_perplexity, caption=caption_base_perplexity,
)  # fmt: skip
GROUP_SIGNAL = Figure(
    "group_signal", "Groups that carry a signal", "Training",
    data=_signal_data, draw=plot_group_signal, caption=caption_group_signal,
)  # fmt: skip
LENGTH_ACCURACY = Figure(
    "length_accuracy", "Accuracy by length of the answer", "Length of answers",
    data=_length_data, draw=plot_length_accuracy, caption=caption_length_accuracy,
)  # fmt: skip
