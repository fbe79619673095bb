"""Estimate means over questions: of these very questions, or of questions like these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit, stdtrit

from relift.stats.rates import Floats, rate, wilson

_PSEUDO_QUESTION = 0.1  # weight of the question solved and of the one failed that logit-t adds (docs/statistics.md)


@dataclass(frozen=True)
class MeanEstimate:
    """Hold a mean over questions with its interval; `standard_error` is that of the plain mean."""

    value: float
    low: float
    high: float
    standard_error: float
    n_questions: int
    method: str  # logit_t or wilson for questions like these; wilson_effective, none_seen, undefined for these


def mean_over_questions(n_correct: ArrayLike, n_decided: ArrayLike, *, level: float = 0.95) -> MeanEstimate:
    """Estimate the mean accuracy over Q questions with the interval that holds for questions like these.

    `n_correct`, `n_decided`: [Q]. Several attempts a question: `logit_t`. One attempt each, or all questions equal:
    Wilson with n = Q; an interval of width 0 would claim more than is known. Questions without a decided attempt are
    left out. Raises ValueError if none is left.
    """
    correct, decided = np.asarray(n_correct, float), np.asarray(n_decided, float)
    measured = decided > 0
    rate_Q = rate(correct[measured], decided[measured])
    if not len(rate_Q):
        raise ValueError("mean_over_questions: no question has a decided attempt")
    if (decided[measured] <= 1).all():
        return _wilson_of_rates(rate_Q, level=level)
    return logit_t(rate_Q, level=level)


def logit_t(rate_Q: ArrayLike, *, level: float = 0.95) -> MeanEstimate:
    """Estimate the mean of Q rates [Q] (accuracies, pass@k) with the interval for questions like these.

    ln(A / (1 - A)) +- t * SE / (A (1 - A)), mapped back, with t of Q - 1 degrees of freedom. For the interval A and SE
    are taken with two questions more, of weight 0.1 each, one always and one never solved: without them a few solved
    questions among many never solved make it far too short. It is cut at Wilson's interval with n = Q, because rates
    vary at most as single attempts do. Coverage as measured: docs/statistics.md.
    """
    rates = np.asarray(rate_Q, float)
    n, value = len(rates), float(rates.mean())
    capped = _wilson_of_rates(rates, level=level)
    if n == 1 or capped.standard_error < 1e-12:
        return capped
    weight, total = _PSEUDO_QUESTION, n + 2 * _PSEUDO_QUESTION
    centre = (rates.sum() + weight) / total
    squares = ((rates - centre) ** 2).sum() + weight * (centre**2 + (1 - centre) ** 2)
    error = np.sqrt(squares / (total - 1) / total)
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * error / (centre * (1 - centre))
    low, high = expit(logit(centre) - half), expit(logit(centre) + half)
    return MeanEstimate(
        value,
        max(capped.low, min(float(low), value)),
        min(capped.high, max(float(high), value)),
        capped.standard_error,
        n,
        "logit_t",
    )


def _wilson_of_rates(rate_Q: Floats, *, level: float) -> MeanEstimate:
    n, value = len(rate_Q), float(rate_Q.mean())
    error = float(rate_Q.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    low, high = wilson(value * n, n, level=level)
    return MeanEstimate(value, float(low), float(high), error, n, "wilson")


def mean_over_these(
    rate_Q: ArrayLike, variance_Q: ArrayLike, *, n_decided: ArrayLike, k: int = 1, level: float = 0.95
) -> MeanEstimate:
    """Estimate the mean of Q rates [Q] with the interval for these very questions: sampling noise alone.

    `variance_Q` [Q]: the unbiased variance of each rate under new attempts, p(1 - p) / (n - 1) of an accuracy; nan
    where n = 1, which counts as the largest there is, 1/4. `n_decided` [Q]. SE = sqrt(sum) / Q, and Wilson's interval
    at the n whose binomial variance is SE^2. Where no question showed both outcomes SE is 0; then n * sum(p) of the
    outcomes not seen is at most -ln(tail) ("none_seen": the rule of three; `k` times that for pass@k). All n = 1:
    "undefined", ends nan.
    """
    rates, variance, n = (np.asarray(x, float) for x in (rate_Q, variance_Q, n_decided))
    value, n_questions = float(rates.mean()), len(rates)
    if np.isnan(variance).all():
        return MeanEstimate(value, np.nan, np.nan, np.nan, n_questions, "undefined")
    error = float(np.sqrt(np.where(np.isnan(variance), 0.25, variance).sum()) / n_questions)
    if error > 1e-12 and 0 < value < 1:
        effective = value * (1 - value) / error**2
        low, high = wilson(value * effective, effective, level=level)
        return MeanEstimate(value, float(low), float(high), error, n_questions, "wilson_effective")
    unseen = -np.log((1 - level) / 2) / n.min() / n_questions
    low, high = value - min(value, unseen), value + min(1 - value, k * unseen)
    return MeanEstimate(value, float(low), float(high), error, n_questions, "none_seen")
