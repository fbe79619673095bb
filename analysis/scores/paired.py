"""Compare two evaluated runs on the same questions: paired differences by benchmark, questions that flipped.

Axes: Q questions that both runs have a decided attempt at, B benchmarks. Differences are a - b.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from relift import stats
from relift.analysis.questions.compare import compare_runs
from relift.analysis.scores.counts import Run
from relift.analysis.scores.macro import macro_groups, noise_error, spread
from relift.analysis.scores.sides import Side, read_side, require_same_protocol
from relift.errors import InputError
from relift.schema import Origin, RunKind
from relift.stats import DifferenceEstimate, Floats, Ints


@dataclass(frozen=True)
class Comparison:
    """Hold run a against run b. `frame`: a row per benchmark, macro averages last (`compare_scores` names the columns).
    `flipped`: a row per question that flipped. `notes`: what differs beside the model, what is not shared.
    `seeds`: of two training runs, each its seed: they are two checkpoints, and no p-value is one of their methods."""

    a: str
    b: str
    frame: pd.DataFrame
    flipped: pd.DataFrame
    notes: tuple[str, ...]
    seeds: tuple[int | None, int | None] | None = None


@dataclass(frozen=True)
class _Paired:
    """Hold one benchmark of both runs, question by question, with its two estimates."""

    benchmark: str
    question_ids: Ints  # codes, the same in all benchmarks
    difference_Q: Floats
    variance_Q: Floats
    like_these: DifferenceEstimate
    these: DifferenceEstimate


def compare_scores(
    a: Run,
    b: Run,
    *,
    step_a: int | None = None,
    step_b: int | None = None,
    origin: str | None = None,
    force: bool = False,
    level: float = 0.95,
) -> Comparison:
    """Compare accuracies on the questions that both runs have, joined on question_id.

    Columns of `frame`: benchmark, n_questions, k_a, k_b (most attempts a question), value_a, value_b, difference
    (a - b); low, high, standard_error, p_value for questions like these (paired t), p_holm (over the benchmarks; macro
    averages are sums of these and stay out); low_these, high_these, p_these for these questions (z; null at one
    attempt each); mcnemar_p (exact, at one attempt each); detectable (the true difference found with a power of .8);
    n_only_a, n_only_b: questions that one run alone solves in more than half of its attempts, and how many chance
    alone would show (expected_only_a, expected_only_b), each question's right attempts being dealt out at random.

    Runs of `relift eval` are compared on benchmarks, training runs on their probes by split, at `step_a` and `step_b`
    (None: the last). Numbers of attempts may differ. InputError if nothing is shared, or the protocols differ in more
    than the model and `force` is not given.
    """
    sides = [read_side(run, step=step, origin=origin) for run, step in ((a, step_a), (b, step_b))]
    if sides[0].origin != sides[1].origin:
        raise InputError(
            f"{sides[0].folder} has answers to {sides[0].origin}s, {sides[1].folder} to {sides[1].origin}s: "
            "not comparable"
        )
    notes = require_same_protocol(*sides, force=force)
    shared = [name for name in sides[0].questions if name in sides[1].questions]
    joined = {name: joined_questions(sides[0], sides[1], name) for name in shared}
    joined = {name: questions for name, questions in joined.items() if len(questions)}
    if not joined:
        raise InputError(f"{sides[0].folder} and {sides[1].folder} have no answered question in common")
    notes += _not_shared(sides, joined)
    paired, rows = [], []
    codes = pd.Index(pd.concat([questions["question_id"] for questions in joined.values()]).unique())
    for name, questions in joined.items():
        one = _pair(name, questions, codes, level=level)
        paired.append(one)
        rows.append(_row(one, questions, level=level))
    frame = pd.DataFrame(rows)
    frame["p_holm"] = stats.holm(frame["p_value"])
    # the splits of a probe are no benchmarks: their mean is no score
    names = list(joined) if sides[0].origin == Origin.benchmark else []
    outside = {name: name in sides[0].out_of_distribution for name in names}
    macros = [_macro_row(name, members, paired, frame, level=level) for name, members in macro_groups(outside).items()]
    frame = (
        pd.concat([frame, pd.DataFrame(macros)], ignore_index=True)[list(COLUMNS)] if macros else frame[list(COLUMNS)]
    )
    trained = all(side.run.kind is RunKind.train for side in sides)
    return Comparison(
        *_labels(*sides), frame, flipped_questions(joined, sides[0].problems), tuple(notes),
        (sides[0].run.seed, sides[1].run.seed) if trained else None,
    )  # fmt: skip


def _labels(one: Side, other: Side) -> tuple[str, str]:
    """Tell two sides apart: by their labels, else with their seeds, else with their folders."""
    if one.label != other.label:
        return one.label, other.label
    if one.run.seed != other.run.seed:
        return f"{one.label}, seed {one.run.seed}", f"{other.label}, seed {other.run.seed}"
    return f"{one.label} ({one.folder.name})", f"{other.label} ({other.folder.name})"


COLUMNS = (
    "benchmark", "n_questions", "k_a", "k_b", "value_a", "value_b", "difference", "low", "high", "standard_error",
    "p_value", "p_holm", "low_these", "high_these", "p_these", "mcnemar_p", "detectable", "n_only_a", "n_only_b",
    "expected_only_a", "expected_only_b",
)  # fmt: skip


def compare_with_baseline(
    baseline: Run,
    others: Sequence[Run],
    *,
    steps: Sequence[int | None] | None = None,
    origin: str | None = None,
    force: bool = False,
) -> list[Comparison]:
    """Compare every other run with the first, other - baseline, Holm's adjustment over all {benchmark x comparison}.

    `steps`: of the baseline and of each other run, None for its last. Errors as `compare_scores`; InputError without
    another run.
    """
    if not others:
        raise InputError("nothing to compare: give at least two runs")
    at = steps if steps is not None else [None] * (1 + len(others))
    found = [
        compare_scores(run, baseline, step_a=step, step_b=at[0], origin=origin, force=force)
        for run, step in zip(others, at[1:], strict=True)
    ]
    family = np.concatenate([one.frame.loc[one.frame["p_holm"].notna(), "p_value"] for one in found])
    adjusted = stats.holm(family)
    for i, one in enumerate(found):
        tested = one.frame["p_holm"].notna()
        frame = one.frame.copy()
        frame.loc[tested, "p_holm"] = adjusted[: tested.sum()]
        adjusted = adjusted[tested.sum() :]
        found[i] = replace(one, frame=frame)
    return found


def joined_questions(a: Side, b: Side, benchmark: str) -> pd.DataFrame:
    """Join the questions of a benchmark that both have a decided attempt at, as `compare_runs` gives them."""
    frames = [side.questions[benchmark].assign(run_id=name, run=name) for name, side in (("a", a), ("b", b))]
    frame = pd.concat(frames, ignore_index=True).assign(origin=a.origin, draw=0, step=0)
    if not set(frames[0]["question_id"]) & set(frames[1]["question_id"]):
        return frame.iloc[:0]
    compared = compare_runs(frame, a="a", b="b")
    return compared[compared["difference"].notna()].reset_index(drop=True)


def _pair(name: str, questions: pd.DataFrame, codes: pd.Index, *, level: float) -> _Paired:
    difference = questions["difference"].to_numpy(float)
    decided = {side: questions[f"n_decided_{side}"].to_numpy() for side in "ab"}
    variance = sum(
        (_noise(questions[f"n_correct_{s}"].to_numpy(), decided[s]) for s in "ab"), np.zeros(len(difference))
    )
    return _Paired(
        name,
        codes.get_indexer(pd.Index(questions["question_id"])).astype(np.int64),
        difference,
        variance,
        stats.paired_rates(difference, level=level),
        stats.paired_these(difference, variance, n_decided=np.minimum(decided["a"], decided["b"]), level=level),
    )


def _noise(n_correct_Q: Ints, n_decided_Q: Ints) -> Floats:
    """Estimate variances under new attempts; 1/4 for single attempts among several, nan where all are single."""
    variance = stats.pass_variance(n_correct_Q, n_decided_Q, k=1)
    return variance if np.isnan(variance).all() else np.where(np.isnan(variance), 0.25, variance)


def _row(one: _Paired, questions: pd.DataFrame, *, level: float) -> dict[str, Any]:
    single = bool((questions[["n_decided_a", "n_decided_b"]] == 1).all(axis=None))
    only = [int((questions["cell"] == f"only {side}").sum()) for side in "ab"]
    solved = {side: questions[f"rate_{side}"] > 0.5 for side in "ab"}
    expected = expected_flips(questions)
    like, these = one.like_these, one.these
    return {
        "benchmark": one.benchmark, "n_questions": len(questions),
        "k_a": int(questions["n_decided_a"].max()), "k_b": int(questions["n_decided_b"].max()),
        "value_a": float(questions["rate_a"].mean()), "value_b": float(questions["rate_b"].mean()),
        "difference": like.value, "low": like.low, "high": like.high, "standard_error": like.standard_error,
        "p_value": like.p_value, "low_these": these.low, "high_these": these.high, "p_these": these.p_value,
        "mcnemar_p": float(stats.mcnemar_exact(*only)) if single else np.nan,
        "detectable": float(stats.detectable(like.standard_error, level=level)),
        "n_only_a": int((solved["a"] & ~solved["b"]).sum()), "n_only_b": int((solved["b"] & ~solved["a"]).sum()),
        "expected_only_a": float(expected[:, 0].sum()), "expected_only_b": float(expected[:, 1].sum()),
    }  # fmt: skip


def _macro_row(
    name: str, members: Sequence[str], paired: Sequence[_Paired], frame: pd.DataFrame, *, level: float
) -> dict[str, Any]:
    of = {one.benchmark: one for one in paired}
    chosen = [of[member] for member in members]
    rows = frame.set_index("benchmark").loc[list(members)]
    value = float(rows["difference"].mean())
    error, freedom, n = spread(
        [(one.question_ids, one.difference_Q) for one in chosen], [one.like_these for one in chosen], level=level
    )
    noise = noise_error(
        [(one.question_ids, one.variance_Q) for one in chosen], [one.these for one in chosen], level=level
    )
    t, z = float(stdtrit(freedom, 0.5 + level / 2)), float(ndtri(0.5 + level / 2))
    sums = {column: rows[column].sum() for column in ("n_only_a", "n_only_b", "expected_only_a", "expected_only_b")}
    return {
        "benchmark": name, "n_questions": n, "k_a": int(rows["k_a"].min()), "k_b": int(rows["k_b"].min()),
        "value_a": float(rows["value_a"].mean()), "value_b": float(rows["value_b"].mean()),
        "difference": value, "low": value - t * error, "high": value + t * error, "standard_error": error,
        "p_value": 2 * float(stdtr(freedom, -abs(value) / error)), "p_holm": np.nan,
        "low_these": value - z * noise, "high_these": value + z * noise,
        "p_these": 2 * float(ndtr(-abs(value) / noise)), "mcnemar_p": np.nan,
        "detectable": float(stats.detectable(error, level=level)), **sums,
    }  # fmt: skip


def expected_flips(questions: pd.DataFrame) -> Floats:
    """Compute per question the chance (Q, 2) that a alone, and b alone, solves it in more than half of its attempts if
    both are equally good: its right attempts dealt out at random."""
    n_a, n_b = (questions[f"n_decided_{side}"].to_numpy() for side in "ab")
    right = (questions["n_correct_a"] + questions["n_correct_b"]).to_numpy()
    share_QJ = stats.shares_of_split(right, n_a=n_a, n_b=n_b)
    j = np.arange(share_QJ.shape[1])
    solved_a = 2 * j > n_a[:, None]
    solved_b = 2 * (right[:, None] - j) > n_b[:, None]
    return np.stack([(share_QJ * (solved_a & ~solved_b)).sum(1), (share_QJ * (solved_b & ~solved_a)).sum(1)], axis=1)


def flipped_questions(joined: Mapping[str, pd.DataFrame], problems: Mapping[str, str]) -> pd.DataFrame:
    """List the questions that one run alone solves in more than half of its attempts, the surest first.

    Columns: benchmark (of several, the first), question_id, problem, n_correct_a, n_decided_a, n_correct_b,
    n_decided_b, difference, solved_by ("a", "b"), p_value (Fisher's exact test of this question) and q_value, the false
    discovery rate over all shared questions, flipped or not (Benjamini and Hochberg 1995).
    """
    questions = pd.concat([frame.assign(benchmark=name) for name, frame in joined.items()], ignore_index=True)
    questions = questions.drop_duplicates("question_id")
    counts = [questions[name].to_numpy() for name in ("n_correct_a", "n_decided_a", "n_correct_b", "n_decided_b")]
    p_value = stats.fisher_exact(*counts)
    solved_a, solved_b = questions["rate_a"] > 0.5, questions["rate_b"] > 0.5
    questions = questions.assign(
        problem=questions["question_id"].map(problems),
        solved_by=np.where(solved_a, "a", "b"),
        p_value=p_value,
        q_value=stats.benjamini_hochberg(p_value),
    )
    flipped = questions[solved_a != solved_b].sort_values(["p_value", "question_id"], kind="stable")
    names = ["benchmark", "question_id", "problem", "n_correct_a", "n_decided_a", "n_correct_b", "n_decided_b"]
    return flipped[[*names, "difference", "solved_by", "p_value", "q_value"]].reset_index(drop=True)


def _not_shared(sides: Sequence[Side], joined: Mapping[str, pd.DataFrame]) -> list[str]:
    notes = []
    for side, other in ((sides[0], sides[1]), (sides[1], sides[0])):
        alone = [name for name in side.questions if name not in other.questions]
        if alone:
            notes.append(f"only {side.label} was asked {', '.join(alone)}")
    for name, questions in joined.items():
        most = max(len(side.questions[name]) for side in sides)
        if len(questions) < most:
            notes.append(f"{name}: {len(questions)} of {most} questions have a decided attempt of both runs")
    return notes
