"""Score an evaluated run: avg@k, pass@k, maj@k, cover@tau and macro averages, with their intervals.

Axes: Q questions of one benchmark with a decided attempt, B benchmarks of a macro average. The question is the unit;
undecided attempts are in no rate; `score_health` bounds what they could change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis.scores.counts import Counts, Run, count_attempts, open_run
from relift.analysis.scores.macro import macro_groups, macro_like_these, macro_these
from relift.analysis.scores.votes import majority_at_k
from relift.errors import InputError
from relift.schema import SCORES, Origin
from relift.stats import Floats, Ints, MeanEstimate

THESE = "these questions"
LIKE_THESE = "questions like these"
TAUS = (0.5,)
MAX_MAJORITY_K = 64  # by default; larger ones, but for all attempts, take seconds


@dataclass(frozen=True)
class Measure:
    """Hold one metric of one benchmark, question by question. `variance_Q`: under new attempts; None: not defined."""

    benchmark: str
    metric: str  # avg, pass, maj, cover
    parameter: float
    question_ix_Q: Ints
    rate_Q: Floats
    variance_Q: Floats | None
    n_decided_Q: Ints

    def like_these(self, *, level: float) -> MeanEstimate:
        """Estimate the mean with its interval for questions like these."""
        if self.metric == "cover":  # of each question yes or no, like one attempt
            return stats.mean_over_questions(self.rate_Q, np.ones(len(self.rate_Q)), level=level)
        if self.metric == "avg":
            return stats.mean_over_questions(self.rate_Q * self.n_decided_Q, self.n_decided_Q, level=level)
        return stats.logit_t(self.rate_Q, level=level)

    def these(self, *, level: float) -> MeanEstimate | None:
        """Estimate the mean with its interval for these very questions; None where it is not defined."""
        if self.variance_Q is None:
            return None
        k = int(self.parameter) if self.metric == "pass" else 1
        return stats.mean_over_these(self.rate_Q, self.variance_Q, n_decided=self.n_decided_Q, k=k, level=level)


def score_run(
    run: Run,
    *,
    ks: Sequence[int] | None = None,
    taus: Sequence[float] = TAUS,
    origin: str = Origin.benchmark,
    level: float = 0.95,
) -> pd.DataFrame:
    """Score a run: one row per step, benchmark, metric, parameter and estimand, the columns of the table `scores`.

    avg: mean accuracy, parameter k = attempts a question. pass, maj: `ks`, by default powers of two up to half of
    the least attempts a question has; maj from 4 on, and of all attempts. cover: share of questions solved in at least
    `taus` of the attempts. Macro averages have names that begin with "macro_" and, as k of avg, the least of theirs.

    Questions without a decided attempt (pass, maj: with fewer than k) leave the mean; n_questions says how many
    entered. Ends of intervals are null where they are not defined: these questions at one attempt each. maj and cover
    have no row for these questions. `level`: of the intervals. InputError if a question has fewer attempts than a k
    asked for, or the run has no attempts.
    """
    reader = open_run(run)
    rows: list[dict[str, Any]] = []
    counts = count_attempts(reader, origin=origin)
    for step in sorted({one.step for one in counts}):
        at_step = [one for one in counts if one.step == step]
        measures = [measure for one in at_step for measure in measures_of(one, ks=ks, taus=taus)]
        # the splits of a probe are no benchmarks: their mean is no score
        together = _macro_rows(measures, at_step, level=level) if origin == Origin.benchmark else []
        for row in [*_rows(measures, level=level), *together]:
            rows.append({"run_id": reader.run_id, "step": step, **row})
    frame = pd.DataFrame(rows, columns=[column.name for column in SCORES.columns])
    return frame.astype({"step": "int32", "parameter": "float64", "n_questions": "int32", "n_attempts": "int64"})


def measures_of(counts: Counts, *, ks: Sequence[int] | None, taus: Sequence[float]) -> Iterator[Measure]:
    """Measure every metric of one benchmark that has a question to measure."""
    least = int(counts.n_attempts_Q.min())
    for k in ks or ():
        if not 1 <= k <= least:
            raise InputError(
                f"{counts.benchmark}: k = {k}, but a question has {least} attempts: give k from 1 to {least}"
            )
    powers = [2**i for i in range(30) if 2 ** (i + 1) <= least] if ks is None else sorted(set(ks))
    votes_of = powers if ks is not None else [k for k in powers if 4 <= k <= MAX_MAJORITY_K] + [least] * (least > 2)
    correct_Q, decided_Q = counts.n_correct_Q, counts.n_decided_Q

    def measure(metric: str, parameter: float, rate_Q: Floats, *, k: int = 1, variance: bool = False) -> Measure:
        """Measure `rate_Q` of the questions with at least k decided attempts."""
        kept = decided_Q >= k
        variance_Q = stats.pass_variance(correct_Q[kept], decided_Q[kept], k=k) if variance else None
        ixs = counts.question_ix_Q[kept]
        return Measure(counts.benchmark, metric, parameter, ixs, rate_Q, variance_Q, decided_Q[kept])

    if not (decided_Q > 0).any():
        return
    some = decided_Q > 0
    yield measure("avg", counts.samples, stats.rate(correct_Q[some], decided_Q[some]), variance=True)
    for k in powers:
        if (kept := decided_Q >= k).any():
            yield measure("pass", k, stats.pass_at_k(correct_Q[kept], decided_Q[kept], k=k), k=k, variance=True)
    for k in votes_of:
        if (kept := decided_Q >= k).any():
            yield measure("maj", k, majority_at_k(counts.votes.only(kept), decided_Q[kept], k=k), k=k)
    for tau in taus if least > 1 else ():
        # with room for rounding: .28 * 25 is 7.000000000000001
        yield measure("cover", tau, (correct_Q[some] >= tau * decided_Q[some] - 1e-9).astype(float))


def _rows(measures: Sequence[Measure], *, level: float) -> Iterator[dict[str, Any]]:
    for one in measures:
        for estimand, estimate in ((THESE, one.these(level=level)), (LIKE_THESE, one.like_these(level=level))):
            if estimate is not None:
                yield {
                    "benchmark": one.benchmark, "metric": one.metric, "parameter": one.parameter,
                    "estimand": estimand, "value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high,
                    "n_questions": len(one.rate_Q), "n_attempts": int(one.n_decided_Q.sum()),
                }  # fmt: skip


def _macro_rows(measures: Sequence[Measure], counts: Sequence[Counts], *, level: float) -> Iterator[dict[str, Any]]:
    """Average over benchmarks every metric that all of a group have with the same parameter (avg: any)."""
    groups = macro_groups({one.benchmark: one.out_of_distribution for one in counts})
    by_kind: dict[tuple[str, float | None], dict[str, Measure]] = {}
    for one in measures:
        by_kind.setdefault((one.metric, None if one.metric == "avg" else one.parameter), {})[one.benchmark] = one
    for name, members in groups.items():
        for (metric, _), of in by_kind.items():
            if not set(members) <= set(of):
                continue
            chosen = [of[benchmark] for benchmark in members]
            units = [(one.question_ix_Q, one.rate_Q) for one in chosen]
            estimates = [macro_like_these(units, [one.like_these(level=level) for one in chosen], level=level)]
            these = [one.these(level=level) for one in chosen]
            if all(estimate is not None for estimate in these):
                noise = [(one.question_ix_Q, one.variance_Q) for one in chosen if one.variance_Q is not None]
                estimates.insert(0, macro_these(noise, [e for e in these if e is not None], level=level))
            n_attempts = sum(int(one.n_decided_Q.sum()) for one in chosen)
            for estimand, estimate in zip((THESE, LIKE_THESE)[-len(estimates) :], estimates, strict=True):
                yield {
                    "benchmark": name, "metric": metric, "parameter": min(one.parameter for one in chosen),
                    "estimand": estimand, "value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high,
                    "n_questions": estimate.n_questions, "n_attempts": n_attempts,
                }  # fmt: skip


def score_health(run: Run, *, origin: str = Origin.benchmark) -> pd.DataFrame:
    """Count what stands behind each avg, and how far the rest could move it: one row per step and benchmark.

    n_declared questions, of which n_attempted; n_measured have a decided attempt and are in the mean. n_attempts,
    n_correct, n_undecided, n_truncated (cut off at max_tokens), n_unanswered (decided, without a final answer),
    n_unfinished (both of these), n_refused (by a server). value: the mean over questions. bound_low, bound_high: if all
    undecided attempts were wrong, or correct. bound_budget: if those cut off before an answer were correct too, the
    most that a larger max_tokens could reach.
    """
    reader = open_run(run)
    rows = []
    for one in count_attempts(reader, origin=origin):
        n, correct, undecided = one.n_attempts_Q, one.n_correct_Q, one.n_undecided_Q
        decided = one.n_decided_Q
        rows.append(
            {
                "run_id": reader.run_id, "step": one.step, "benchmark": one.benchmark, "samples": one.samples,
                "n_declared": one.n_declared, "n_attempted": len(n), "n_measured": int((decided > 0).sum()),
                "n_attempts": int(n.sum()), "n_correct": int(correct.sum()), "n_undecided": int(undecided.sum()),
                "n_truncated": int(one.n_truncated_Q.sum()), "n_unanswered": int(one.n_unanswered_Q.sum()),
                "n_unfinished": int(one.n_unfinished_Q.sum()), "n_refused": int(one.n_refused_Q.sum()),
                "value": float(stats.rate(correct, decided)[decided > 0].mean()) if (decided > 0).any() else np.nan,
                "bound_low": float((correct / n).mean()),
                "bound_high": float(((correct + undecided) / n).mean()),
                "bound_budget": float(((correct + undecided + one.n_unfinished_Q) / n).mean()),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
