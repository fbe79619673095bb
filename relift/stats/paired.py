"""Compare two runs on the same questions: the difference, its interval, the least difference that shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from relift.stats.rates import Floats, wilson


@dataclass(frozen=True)
class DifferenceEstimate:
    """Hold a mean paired difference with its interval and two-sided p value."""

    value: float
    low: float
    high: float
    standard_error: float
    p_value: float
    n_questions: int


def paired_t(difference_Q: ArrayLike, *, level: float = 0.95) -> DifferenceEstimate:
    """Estimate the mean of paired differences [Q] with Student's t interval; nan (not shared) is left out.

    If all differences are equal and not 0 the t statistic is undefined: error, ends and p value are then nan,
    never a width of 0. Raises ValueError with fewer than two differences.
    """
    difference = np.asarray(difference_Q, float)
    difference = difference[~np.isnan(difference)]
    n = len(difference)
    if n < 2:
        raise ValueError(f"paired_t: needs at least two shared questions, got {n}")
    value = float(difference.mean())
    error = float(difference.std(ddof=1) / np.sqrt(n))
    if error < 1e-15:
        if value == 0:  # the two runs never differ: no evidence against no difference
            return DifferenceEstimate(0.0, float("nan"), float("nan"), 0.0, 1.0, n)
        return DifferenceEstimate(value, float("nan"), float("nan"), float("nan"), float("nan"), n)
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * error
    p_value = 2 * float(stdtr(n - 1, -abs(value) / error))
    return DifferenceEstimate(value, value - half, value + half, error, p_value, n)


def paired_counts(first_Q: ArrayLike, second_Q: ArrayLike, *, level: float = 0.95) -> tuple[float, float]:
    """Bound how many more of N questions the first marks than the second, as (low, high).

    Wald's interval with half a question added to each of the four cells of the table of the two, N + 2 in all (Agresti
    and Min, Statistics in Medicine 24, 2005, p. 729). Student's t over the differences is too narrow where few
    questions differ: 4 against 0 of 100 would exclude 0, which a sign test leaves at p = .125. Null ends of fewer than
    two questions.
    """
    first, second = np.asarray(first_Q, bool), np.asarray(second_Q, bool)
    n = len(first)
    if n < 2:
        return float("nan"), float("nan")
    more, fewer = float((first & ~second).sum()) + 0.5, float((second & ~first).sum()) + 0.5
    middle = (more - fewer) / (n + 2)
    error = np.sqrt(more + fewer - (more - fewer) ** 2 / (n + 2)) / (n + 2)
    half = float(ndtri(0.5 + level / 2)) * error
    return float((middle - half) * n), float((middle + half) * n)


def count_over_chance(n_happened: int, chance_Q: ArrayLike, *, level: float = 0.95) -> tuple[float, float]:
    """Bound how many more of N questions had something happen to them than chance gives, as (low, high).

    `chance_Q` [N]: the chance for each. The score interval of the excess e = happened - expected: the values x with
    (e - x)^2 <= z^2 V(x), where V is the variance that x implies and not the one seen, as in Wilson's interval for a
    share: V0 = sum of p (1 - p), which chance alone has, and x (1 - x / N) more for x > 0, as questions like these
    vary. Student's t over (happened - p) is too narrow where little happens: none of 100 at p = .02 each would give
    an excess of -2 with next to no width. The ends keep within -expected and N - expected. Null without a question.
    """
    chance = np.asarray(chance_Q, float)
    n, expected = len(chance), float(chance.sum())
    if n == 0:
        return float("nan"), float("nan")
    excess, z, alone = n_happened - expected, float(ndtri(0.5 + level / 2)), float((chance * (1 - chance)).sum())

    def end(side: int) -> float:
        below = excess + side * z * np.sqrt(alone)
        if below <= 0:
            return float(below)
        # (1 + z^2 / N) x^2 - (2 e + z^2) x + e^2 - z^2 V0 = 0
        a, half, c = 1 + z**2 / n, excess + z**2 / 2, excess**2 - z**2 * alone
        return float((half + side * np.sqrt(max(0.0, half**2 - a * c))) / a)

    return max(end(-1), -expected), min(end(1), n - expected)


def paired_rates(difference_Q: ArrayLike, *, level: float = 0.95) -> DifferenceEstimate:
    """Estimate the mean of paired differences [Q] of rates, with an interval and a p value in every case.

    Rates differ by at most 1, so `paired_t` can be completed where it is undefined. Where all N differences are equal,
    to v: at most a share s of questions like these differs otherwise, s the upper Wilson end of 0 of N, so the mean is
    in (1 - s) v +- s. The p value is then the sign test's, 2 / 2^N (1 if v is 0). Raises ValueError without a
    difference.
    """
    difference = np.asarray(difference_Q, float)
    difference = difference[~np.isnan(difference)]
    n = len(difference)
    if n == 0:
        raise ValueError("paired_rates: no shared question")
    if n > 1 and float(difference.std()) > 1e-12:
        return paired_t(difference, level=level)
    value = float(difference.mean())
    share = float(wilson(0, n, level=level)[1])
    p_value = 1.0 if value == 0 else min(1.0, 2.0 ** (1 - n))
    error = 0.0 if n > 1 else float("nan")
    return DifferenceEstimate(value, (1 - share) * value - share, (1 - share) * value + share, error, p_value, n)


def paired_these(
    difference_Q: ArrayLike, variance_Q: ArrayLike, *, n_decided: ArrayLike, level: float = 0.95
) -> DifferenceEstimate:
    """Estimate the mean of paired differences [Q] for these very questions: sampling noise alone, p value of z.

    `variance_Q` [Q]: the sum of both sides' variances as in `mean_over_these`, nan where a side has one attempt (1/4
    then; all nan: error, ends and p value nan). `n_decided` [Q]: the smaller of the two sides. Where SE is 0 the ends
    are those of outcomes not seen on either side, and the p value is nan.
    """
    difference, variance, n = (np.asarray(x, float) for x in (difference_Q, variance_Q, n_decided))
    value, n_questions = float(difference.mean()), len(difference)
    if np.isnan(variance).all():
        return DifferenceEstimate(value, np.nan, np.nan, np.nan, np.nan, n_questions)
    error = float(np.sqrt(np.where(np.isnan(variance), 0.25, variance).sum()) / n_questions)
    if error < 1e-12:
        half = 2 * -float(np.log((1 - level) / 4)) / float(n.min()) / n_questions  # half of the tail for either side
        p_value = float("nan")
    else:
        half = float(ndtri(0.5 + level / 2)) * error
        p_value = 2 * float(ndtr(-abs(value) / error))
    return DifferenceEstimate(value, max(-1.0, value - half), min(1.0, value + half), error, p_value, n_questions)


def detectable(standard_error: ArrayLike, *, level: float = 0.95, power: float = 0.8) -> Floats:
    """Return the true difference that a two-sided test finds with `power`: (z of level + z of power) * SE = 2.8 SE."""
    return np.asarray(standard_error, float) * float(ndtri(0.5 + level / 2) + ndtri(power))


def minimum_detectable_difference(
    n_questions: ArrayLike,
    n_attempts: ArrayLike,
    *,
    sampling_variance: float = 0.12,
    effect_sd: float = 0.08,
    level: float = 0.95,
    power: float = 0.8,
) -> Floats:
    """Return the least true difference that a paired comparison finds, before anything is sampled.

    SE^2 = (2 * sampling_variance / n_attempts + effect_sd^2) / n_questions, both models with so many attempts a
    question. `sampling_variance` is the mean of p(1 - p) over questions (at most .25; .12 where difficulty is
    logit-normal with sd 2.5), `effect_sd` the standard deviation over questions of the true differences.
    """
    n, k = np.asarray(n_questions, float), np.asarray(n_attempts, float)
    return detectable(np.sqrt((2 * sampling_variance / k + effect_sd**2) / n), level=level, power=power)
