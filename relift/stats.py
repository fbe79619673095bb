"""Intervals, bootstraps, pass@k and the beta-binomial prior: arrays in, arrays out.

Axes: Q questions, N units of any kind, R bootstrap resamples, C columns (a run at a step, say), G groups of
questions (bands, say). Counts are `n_correct` of `n_decided` attempts; undecided attempts are in neither.
A rate of nothing is nan. scipy.stats is not imported: scipy.special holds the same functions in a third of
the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import (
    bdtr,
    betainc,
    betaincinv,
    betaln,
    digamma,
    expit,
    logit,
    ndtr,
    ndtri,
    stdtr,
    stdtrit,
    xlog1py,
    xlogy,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CHUNK_WEIGHTS = 1_000_000  # bootstrap weights made at once: 8 MB, three times while they are made
_LOG_SHAPE_BOUNDS = (-8.0, 8.0)  # of ln a and ln b: beyond them the likelihood of real counts is flat
_PSEUDO_QUESTION = 0.1  # weight of the question solved and of the one failed that logit-t adds (docs/statistics.md)


def rate(n_correct: ArrayLike, n_decided: ArrayLike) -> Floats:
    """n_correct / n_decided, nan where nothing was decided. Any shapes that broadcast."""
    correct, decided = np.broadcast_arrays(np.asarray(n_correct, float), np.asarray(n_decided, float))
    return np.divide(correct, decided, out=np.full(correct.shape, np.nan), where=decided > 0)


def wilson(n_correct: ArrayLike, n_decided: ArrayLike, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson's score interval of a proportion (E. B. Wilson 1927); counts may be fractional sums of rates.

    Returns (low, high), shaped like the inputs; nan where n_decided is 0.
    """
    n = np.asarray(n_decided, float)
    p = rate(n_correct, n)
    z2 = float(ndtri(0.5 + level / 2)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    # rounding must not move the ends past 0 and 1, which the formula reaches exactly at p = 0 and 1
    return np.where(p == 0, 0.0, centre - half), np.where(p == 1, 1.0, centre + half)


def clopper_pearson(n_correct: ArrayLike, n_decided: ArrayLike, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Exact interval of a proportion (Clopper and Pearson 1934), as quantiles of beta distributions.

    Returns (low, high), shaped like the inputs; nan where n_decided is 0.
    """
    c, n = np.broadcast_arrays(np.asarray(n_correct, float), np.asarray(n_decided, float))
    tail = (1 - level) / 2
    low = np.where(c > 0, betaincinv(np.maximum(c, 1), n - c + 1, tail), 0.0)
    high = np.where(c < n, betaincinv(c + 1, np.maximum(n - c, 1), 1 - tail), 1.0)
    measured = n > 0
    return np.where(measured, low, np.nan), np.where(measured, high, np.nan)


@dataclass(frozen=True)
class MeanEstimate:
    """A mean over questions with its interval; `standard_error` is that of the plain mean."""

    value: float
    low: float
    high: float
    standard_error: float
    n_questions: int
    method: str  # logit_t or wilson for questions like these; wilson_effective, none_seen, undefined for these


def mean_over_questions(n_correct: ArrayLike, n_decided: ArrayLike, *, level: float = 0.95) -> MeanEstimate:
    """Mean accuracy over Q questions with the interval that holds for questions like these.

    Several attempts a question: `logit_t`. One attempt each, or all questions equal: Wilson with n = Q; an interval
    of width 0 would claim what nobody knows. Questions without a decided attempt are left out. Raises ValueError if
    none is left.
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
    """Mean of Q rates (accuracies, pass@k) with the interval for questions like these.

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
    """Mean of Q rates with the interval that holds for these very questions: sampling noise alone.

    `variance_Q`: the unbiased variance of each rate under new attempts, p(1 - p) / (n - 1) of an accuracy; nan where
    n = 1, which counts as the largest there is, 1/4. SE = sqrt(sum) / Q, and Wilson's interval at the n whose binomial
    variance is SE^2. Where no question showed both outcomes SE is 0; then n * sum(p) of the outcomes not seen is at
    most -ln(tail) ("none_seen": the rule of three; `k` times that for pass@k). All n = 1: "undefined", ends nan.
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


@dataclass(frozen=True)
class DifferenceEstimate:
    """A mean paired difference with its interval and two-sided p value."""

    value: float
    low: float
    high: float
    standard_error: float
    p_value: float
    n_questions: int


def paired_t(difference_Q: ArrayLike, *, level: float = 0.95) -> DifferenceEstimate:
    """Mean of paired differences with Student's t interval; nan differences (not shared) are left out.

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


def paired_rates(difference_Q: ArrayLike, *, level: float = 0.95) -> DifferenceEstimate:
    """`paired_t` for differences of rates, which lie in [-1, 1], so that there is always an interval and a p value.

    Where all N differences are equal, to v: at most a share s of questions like these differs otherwise, s the upper
    Wilson end of 0 of N, so the mean is in (1 - s) v +- s. The p value is then the sign test's, 2 / 2^N (1 if v is 0).
    Raises ValueError without a difference.
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
    """Mean paired difference with the interval and p value (z) for these very questions: sampling noise alone.

    `variance_Q`: the sum of both sides' variances as in `mean_over_these`, nan where a side has one attempt (1/4 then;
    all nan: error, ends and p value nan). `n_decided`: the smaller of the two sides. Where SE is 0 the ends are those
    of outcomes not seen on either side, and the p value is nan.
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
    """The true difference that a two-sided test finds with `power`: (z of the level + z of the power) * SE = 2.8 SE."""
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
    """Least true difference between two models that a paired comparison finds, before anything is sampled.

    SE^2 = (2 * sampling_variance / n_attempts + effect_sd^2) / n_questions, both models with so many attempts a
    question. `sampling_variance` is the mean of p(1 - p) over questions (at most .25; .12 where difficulty is
    logit-normal with sd 2.5), `effect_sd` the standard deviation over questions of the true differences.
    """
    n, k = np.asarray(n_questions, float), np.asarray(n_attempts, float)
    return detectable(np.sqrt((2 * sampling_variance / k + effect_sd**2) / n), level=level, power=power)


def mcnemar_exact(n_only_a: ArrayLike, n_only_b: ArrayLike) -> Floats:
    """Exact two-sided McNemar test: questions solved only by A against only by B, as a fair coin.

    Returns p values, 1 where there is no discordant question.
    """
    a, b = np.asarray(n_only_a, int), np.asarray(n_only_b, int)
    return np.minimum(1.0, 2 * bdtr(np.minimum(a, b).astype(float), a + b, 0.5))


def holm(p_value_N: ArrayLike) -> Floats:
    """Holm's step-down adjustment (Holm 1979): adjusted p values in the order given."""
    p = np.asarray(p_value_N, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, stepped)
    return adjusted


def benjamini_hochberg(p_value_N: ArrayLike) -> Floats:
    """Step-up adjustment for the false discovery rate (Benjamini and Hochberg 1995), in the order given."""
    p = np.asarray(p_value_N, float)
    order = np.argsort(-p, kind="stable")
    stepped = np.minimum.accumulate(p[order] * len(p) / np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, stepped)
    return adjusted


def shares_of_split(n_correct: ArrayLike, *, n_a: ArrayLike, n_b: ArrayLike) -> Floats:
    """Chance that A has j of the `n_correct` right attempts if A and B are equally good: (Q, 1 + most n_a).

    Hypergeometric: C(n_a, j) C(n_b, c - j) / C(n_a + n_b, c), exact for each question whatever its rate. It is what
    chance alone makes of one question's attempts (Fisher 1935).
    """
    c, a, b = (np.asarray(x, float)[..., None] for x in (n_correct, n_a, n_b))
    j = np.arange(int(a.max(initial=0)) + 1, dtype=float)
    possible = (j <= a) & (j <= c) & (c - j <= b)
    ways = _log_binomial(a, np.where(possible, j, 0)) + _log_binomial(b, np.where(possible, c - j, 0))
    return np.where(possible, np.exp(ways - _log_binomial(a + b, c)), 0.0)


def fisher_exact(n_correct_a: ArrayLike, n_a: ArrayLike, n_correct_b: ArrayLike, n_b: ArrayLike) -> Floats:
    """Fisher's exact two-sided p values of "A and B are equally good at this question", for Q questions.

    The shares of all splits of the right attempts that are no likelier than the one seen.
    """
    right_a, right_b = np.asarray(n_correct_a, int), np.asarray(n_correct_b, int)
    share_QJ = shares_of_split(right_a + right_b, n_a=n_a, n_b=n_b)
    seen_Q = np.take_along_axis(share_QJ, right_a[:, None], axis=1)
    return np.minimum(1.0, np.where(share_QJ <= seen_Q * (1 + 1e-7), share_QJ, 0.0).sum(axis=1))


def _log_binomial(n: Floats, k: Floats) -> Floats:
    return np.asarray(-betaln(n - k + 1, k + 1) - np.log1p(n), float)


def pass_at_k(n_correct: ArrayLike, n_decided: ArrayLike, *, k: int) -> Floats:
    """Chance that k of the attempts, drawn without replacement, hold a correct one: 1 - C(n-c, k) / C(n, k).

    Unbiased (Chen et al. 2021, arXiv 2107.03374). Shaped like the inputs. Raises ValueError if any n < k:
    padding such questions would bias the mean.
    """
    c, n = np.broadcast_arrays(np.asarray(n_correct, float), np.asarray(n_decided, float))
    if k < 1 or (n < k).any():
        raise ValueError(f"pass_at_k: k = {k} needs that many decided attempts, the least is {n.min():.0f}")
    missed = np.ones(c.shape)
    for i in range(k):  # as a product: the binomials themselves overflow
        missed *= np.maximum(n - c - i, 0) / (n - i)
    return 1 - missed


def pass_variance(n_correct: ArrayLike, n_decided: ArrayLike, *, k: int) -> Floats:
    """Variance of `pass_at_k` under n new attempts of the same question, nan where n = 1. Shaped like the inputs.

    That of C ~ Binomial(n, c / n), times n / (n - 1): at k = 1 it is the unbiased p(1 - p) / (n - 1).
    """
    c, n = np.broadcast_arrays(np.asarray(n_correct, int), np.asarray(n_decided, int))
    pairs, where = np.unique(np.stack([c.ravel(), n.ravel()]), axis=1, return_inverse=True)
    variance_P = np.full(pairs.shape[1], np.nan)
    for position, (right, attempts) in enumerate(pairs.T.tolist()):
        if attempts > 1:
            share_J = shares_of_binomial(attempts, right / attempts)
            pass_J = pass_at_k(np.arange(attempts + 1), attempts, k=k)
            spread = share_J @ (pass_J - share_J @ pass_J) ** 2
            variance_P[position] = spread * attempts / (attempts - 1)
    return variance_P[where].reshape(c.shape)


def shares_of_binomial(n: int, p: float) -> Floats:
    """P(j of n) for j = 0 to n."""
    j = np.arange(n + 1, dtype=float)
    with np.errstate(divide="ignore"):
        log_share = _log_binomial(np.full(n + 1, float(n)), j) + xlogy(j, p) + xlog1py(n - j, -p)
    return np.exp(log_share)


def bootstrap_weights(n_units: int, resamples: int, *, seed: int, cluster_N: ArrayLike | None = None) -> Iterator[Ints]:
    """Weights ~ Multinomial(N, 1/N) of resampling the units with replacement, in blocks (r, N), r summing to R.

    With `cluster_N` (a label per unit) whole clusters are resampled. The same seed gives the same weights
    whatever the block size, so that runs compared with the same weights are compared on the same questions.
    """
    if cluster_N is None:
        n_drawn, cluster_of_N = n_units, None
    else:
        labels, cluster_of_N = np.unique(np.asarray(cluster_N), return_inverse=True)
        n_drawn = len(labels)
    if n_drawn == 0 or resamples == 0:
        return
    rng = np.random.default_rng(seed)
    block = max(1, _CHUNK_WEIGHTS // max(n_units, n_drawn))
    for first in range(0, resamples, block):
        rows = min(block, resamples - first)
        drawn = rng.integers(n_drawn, size=(rows, n_drawn)) + np.arange(rows)[:, None] * n_drawn
        weights = np.bincount(drawn.ravel(), minlength=rows * n_drawn).reshape(rows, n_drawn)
        yield weights if cluster_of_N is None else weights[:, cluster_of_N]


def bootstrap_ratios(
    numerator_QC: Floats,
    denominator_QC: Floats,
    group_Q: Ints,
    *,
    n_groups: int,
    resamples: int,
    seed: int,
    cluster_Q: ArrayLike | None = None,
    weights: Iterable[NDArray[np.integer]] | None = None,
) -> Floats:
    """Resampled sum(w * numerator) / sum(w * denominator) of each group and column: (R, G, C).

    `group_Q` is the question's group, -1 for none. All questions are resampled together, so groups and
    columns share their weights. A resample without any denominator is nan. `weights`: blocks of `bootstrap_weights`
    of this seed, for a caller that needs them more than once.
    """
    estimates = np.full((resamples, n_groups, numerator_QC.shape[1]), np.nan)
    inside_G = [_slice_or_rows(np.flatnonzero(group_Q == group)) for group in range(n_groups)]
    plain_G = [bool((denominator_QC[inside] == 1).all()) for inside in inside_G]
    first = 0
    for weight_RQ in weights or bootstrap_weights(len(group_Q), resamples, seed=seed, cluster_N=cluster_Q):
        rows = slice(first, first + len(weight_RQ))
        first = rows.stop
        for group, inside in enumerate(inside_G):
            weight = weight_RQ[:, inside].astype(float)
            # a mean over the same questions in every column needs no second product
            total = weight.sum(axis=1, keepdims=True) if plain_G[group] else weight @ denominator_QC[inside]
            estimates[rows, group] = rate(weight @ numerator_QC[inside], total)
    return estimates


def _slice_or_rows(rows: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Questions sorted by group need not be gathered."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def small_weights(n_units: int, resamples: int, *, seed: int) -> list[NDArray[np.integer]]:
    """The blocks of `bootstrap_weights` in the smallest integers that hold them, to be kept: about R * N bytes."""
    blocks = bootstrap_weights(n_units, resamples, seed=seed)
    return [block.astype(np.min_scalar_type(int(block.max(initial=0)))) for block in blocks]


def percentile_interval(estimate_R: Floats, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Percentile interval along the first axis, resamples that are nan left out; nan where all are."""
    if not len(estimate_R):
        empty = np.full(estimate_R.shape[1:], np.nan)
        return empty, empty
    tail = (1 - level) / 2
    missing = np.isnan(estimate_R).all(axis=0)
    filled = np.where(missing, 0.0, estimate_R)  # nanquantile warns of columns that are nan throughout
    low, high = np.nanquantile(filled, [tail, 1 - tail], axis=0)
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)


@dataclass(frozen=True)
class BetaPrior:
    """Beta(a, b) over the questions' true rates; log_likelihood in nats, binomial coefficients left out."""

    a: float
    b: float
    log_likelihood: float


def beta_binomial_fit(
    n_correct: ArrayLike,
    n_decided: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    start: BetaPrior | None = None,
) -> BetaPrior:
    """Beta(a, b) of largest likelihood: max over a, b of sum ln B(a + c, b + n - c) - ln B(a, b).

    Questions without a decided attempt say nothing and are left out. ln a and ln b are kept within +-8, where
    the maximum lies when all questions look alike. `weights` counts each question so often (bootstrap).
    Raises ValueError if no question was measured.
    """
    from scipy.optimize import minimize  # late: it costs 0.1 s at import, and readers do not need it

    c, n, weight_of = _distinct_counts(n_correct, n_decided, weights, name="beta_binomial_fit")
    total = weight_of.sum()

    def negative(log_shape: Floats) -> tuple[float, Floats]:
        a, b = np.exp(log_shape)
        value = weight_of @ (betaln(a + c, b + n - c) - betaln(a, b))
        shared = digamma(a + b) - digamma(a + b + n)
        gradient_a = weight_of @ (digamma(a + c) - digamma(a) + shared)
        gradient_b = weight_of @ (digamma(b + n - c) - digamma(b) + shared)
        return -value / total, -np.array([gradient_a * a, gradient_b * b]) / total

    first = np.zeros(2) if start is None else np.log([start.a, start.b])
    options: dict[str, Any] = {"ftol": 1e-13, "gtol": 1e-9, "maxiter": 500}
    found = minimize(negative, first, jac=True, method="L-BFGS-B", bounds=[_LOG_SHAPE_BOUNDS] * 2, options=options)
    a, b = np.exp(found.x)
    return BetaPrior(float(a), float(b), float(-found.fun * total))


@dataclass(frozen=True)
class InflatedPrior:
    """A share `zero` of questions with rate 0, the others Beta(a, b); log_likelihood as of `BetaPrior`."""

    zero: float
    a: float
    b: float
    log_likelihood: float


def inflated_fit(
    n_correct: ArrayLike,
    n_decided: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    start: InflatedPrior | None = None,
) -> InflatedPrior:
    """The largest likelihood of a beta-binomial with extra zeros: zero + (1 - zero) Beta(a, b), over all three.

    Where many questions are never solved a plain beta distribution must let them be solved now and then, to fit the
    others; this one need not. It predicts new attempts better, but it is not for calling single questions impossible:
    the extra zeros are drawn from the very questions that scored 0. ValueError if no question was measured.
    """
    from scipy.optimize import minimize

    c, n, weight_of = _distinct_counts(n_correct, n_decided, weights, name="inflated_fit")
    total, none = weight_of.sum(), c == 0

    def negative(theta: Floats) -> tuple[float, Floats]:
        zero, (a, b) = float(expit(theta[0])), np.exp(theta[1:])
        likelihood = (1 - zero) * np.exp(betaln(a + c, b + n - c) - betaln(a, b)) + zero * none
        never = zero * none / likelihood  # the chance that a question of these counts is one of the extra zeros
        shared = digamma(a + b) - digamma(a + b + n)
        solvable = weight_of * (1 - never)
        gradient = [
            weight_of @ (never - zero),
            a * (solvable @ (digamma(a + c) - digamma(a) + shared)),
            b * (solvable @ (digamma(b + n - c) - digamma(b) + shared)),
        ]
        return -float(weight_of @ np.log(likelihood)) / total, -np.array(gradient) / total

    if start is not None:
        starts = [np.array([logit(np.clip(start.zero, 1e-3, 0.99)), np.log(start.a), np.log(start.b)])]
    else:  # few or many of the zeros are extra: the likelihood may have a hill for each
        share = float(weight_of[none].sum() / total)
        starts = [np.array([logit(np.clip(x * share, 1e-3, 0.99)), 0.0, 0.0]) for x in (0.02, 0.7)]
    options: dict[str, Any] = {"ftol": 1e-13, "gtol": 1e-9, "maxiter": 500}
    bounds = [(-12.0, 12.0), _LOG_SHAPE_BOUNDS, _LOG_SHAPE_BOUNDS]
    runs = [minimize(negative, x, jac=True, method="L-BFGS-B", bounds=bounds, options=options) for x in starts]
    best = min(runs, key=lambda run: float(run.fun))
    a, b = np.exp(best.x[1:])
    return InflatedPrior(float(expit(best.x[0])), float(a), float(b), float(-best.fun * total))


def _distinct_counts(
    n_correct: ArrayLike, n_decided: ArrayLike, weights: ArrayLike | None, *, name: str
) -> tuple[Floats, Floats, Floats]:
    """Distinct (c, n) with how often each was seen: few, however many the questions. ValueError without any."""
    c, n = np.asarray(n_correct, float), np.asarray(n_decided, float)
    weight = np.ones(len(c)) if weights is None else np.asarray(weights, float)
    measured = (n > 0) & (weight > 0)
    if not measured.any():
        raise ValueError(f"{name}: no question has a decided attempt")
    # (c, n) is packed into one number
    packed, where = np.unique(c[measured] * 1e6 + n[measured], return_inverse=True)
    return np.floor(packed / 1e6), packed % 1e6, np.asarray(np.bincount(where, weights=weight[measured]), float)


def beta_below(n_correct: ArrayLike, n_decided: ArrayLike, *, a: ArrayLike, b: ArrayLike, epsilon: float) -> Floats:
    """Posterior P(p < epsilon | c of n) under Beta(a, b): I_epsilon(a + c, b + n - c), shaped like the inputs."""
    c, n = np.asarray(n_correct, float), np.asarray(n_decided, float)
    return np.asarray(betainc(np.asarray(a) + c, np.asarray(b) + n - c, epsilon), float)
