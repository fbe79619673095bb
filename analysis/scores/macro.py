"""Average benchmarks without weights, with the interval that their questions give.

SE = (1/B) sqrt(sum SE_b^2) where no question is in two benchmarks; one that is was sampled once, so its deviations are
added before they are squared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import expit, logit, ndtri, stdtrit

from relift import stats
from relift.stats import DifferenceEstimate, Floats, Ints, MeanEstimate

# the six benchmarks behind the paper's overall score (arXiv 2506.07527v2): their unweighted mean
PAPER = ("aime24", "aime25", "amc", "math500", "olympiad", "mmlu_pro")


def macro_groups(out_of_distribution: Mapping[str, bool]) -> dict[str, list[str]]:
    """List the macro averages of these benchmarks, each with its members: those with at least two.

    macro_paper only where all six are there; in and out of distribution only where both kinds are.
    """
    names = list(out_of_distribution)
    groups = {"macro_paper": list(PAPER)} if set(PAPER) <= set(names) else {}
    outside = [name for name in names if out_of_distribution[name]]
    if outside and len(outside) < len(names):
        groups["macro_in_distribution"] = [name for name in names if not out_of_distribution[name]]
        groups["macro_out_of_distribution"] = outside
    groups["macro_all"] = names
    return {name: members for name, members in groups.items() if len(members) > 1}


Estimate = MeanEstimate | DifferenceEstimate
Unit = tuple[Ints, Floats]  # question_ix_Q and a value of each question


def macro_like_these(units: Sequence[Unit], estimates: Sequence[Estimate], *, level: float) -> MeanEstimate:
    """Average B means with the interval for questions like these; `units`: rate_Q of each benchmark.

    On the logit scale, with t at Satterthwaite's degrees of freedom. A benchmark whose questions are all equal enters
    with the longer arm of its own interval. Never wider than the means of the benchmarks' own ends, which would all
    have to be wrong at once; near 0 and 1 the logit scale would be.
    """
    value = float(np.mean([one.value for one in estimates]))
    error, freedom, n = spread(units, estimates, level=level)
    t = float(stdtrit(freedom, 0.5 + level / 2))
    if not 0 < value < 1:
        return _within_ends(MeanEstimate(value, value - t * error, value + t * error, error, n, "linear_t"), estimates)
    half = t * error / (value * (1 - value))
    low, high = expit(logit(value) - half), expit(logit(value) + half)
    return _within_ends(MeanEstimate(value, float(low), float(high), error, n, "logit_t"), estimates)


def _within_ends(macro: MeanEstimate, estimates: Sequence[Estimate]) -> MeanEstimate:
    low, high = (float(np.mean([getattr(one, end) for one in estimates])) for end in ("low", "high"))
    return replace(macro, low=max(macro.low, low), high=min(macro.high, high))


def spread(units: Sequence[Unit], estimates: Sequence[Estimate], *, level: float) -> tuple[float, float, int]:
    """Compute standard error, Satterthwaite's degrees of freedom, and number of questions of a mean of B means."""
    deviations, extra, variances, freedoms = [], 0.0, [], []
    for (ixs, rate_Q), one in zip(units, estimates, strict=True):
        n = len(rate_Q)
        if n > 1 and one.standard_error > 1e-12:
            scaled = (rate_Q - rate_Q.mean()) * np.sqrt(n / (n - 1)) / n
            deviations.append((ixs, scaled / len(units)))
            variances.append(one.standard_error**2)
        else:
            variances.append(_error_of_width(one, level=level) ** 2)
            extra += variances[-1] / len(units) ** 2
        freedoms.append(max(n - 1, 1))
    error = float(np.sqrt((_by_question(deviations) ** 2).sum() + extra))
    variance_B = np.array(variances)
    freedom = float(variance_B.sum() ** 2 / (variance_B**2 / np.array(freedoms)).sum())
    return error, freedom, len(np.unique(np.concatenate([ixs for ixs, _ in units])))


def macro_these(noise: Sequence[Unit], estimates: Sequence[Estimate], *, level: float) -> MeanEstimate:
    """Average B means with the interval for these very questions; `noise`: variance_Q of each benchmark.

    Undefined (nan) if it is for one of them.
    """
    value = float(np.mean([one.value for one in estimates]))
    n = len(np.unique(np.concatenate([ixs for ixs, _ in noise])))
    error = noise_error(noise, estimates, level=level)
    if np.isnan(error):
        return MeanEstimate(value, np.nan, np.nan, np.nan, n, "undefined")
    if not 0 < value < 1:
        z = float(ndtri(0.5 + level / 2))
        return _within_ends(MeanEstimate(value, value - z * error, value + z * error, error, n, "linear_z"), estimates)
    effective = value * (1 - value) / error**2
    low, high = stats.wilson(value * effective, effective, level=level)
    return _within_ends(MeanEstimate(value, float(low), float(high), error, n, "wilson_effective"), estimates)


def noise_error(noise: Sequence[Unit], estimates: Sequence[Estimate], *, level: float) -> float:
    """Compute the standard error of a mean of B means under new attempts at the same questions; nan where undefined."""
    if any(np.isnan(one.low) for one in estimates):
        return float("nan")
    deviations, extra = [], 0.0
    for (ixs, variance_Q), one in zip(noise, estimates, strict=True):
        if one.standard_error > 1e-12:
            sd_Q = np.sqrt(np.where(np.isnan(variance_Q), 0.25, variance_Q))
            deviations.append((ixs, sd_Q / len(ixs) / len(noise)))
        else:
            extra += (_error_of_width(one, level=level) / len(noise)) ** 2
    return float(np.sqrt((_by_question(deviations) ** 2).sum() + extra))


def _error_of_width(estimate: Estimate, *, level: float) -> float:
    """Derive a standard error for what has none: the longer arm of its interval, in normal quantiles."""
    return max(estimate.high - estimate.value, estimate.value - estimate.low) / float(ndtri(0.5 + level / 2))


def _by_question(units: Sequence[Unit]) -> Floats:
    """Sum over the benchmarks that hold the same question."""
    if not units:
        return np.zeros(0)
    _, where = np.unique(np.concatenate([ixs for ixs, _ in units]), return_inverse=True)
    return np.bincount(where, weights=np.concatenate([value for _, value in units])).astype(float)
