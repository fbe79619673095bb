"""Fit beta priors of ability over all questions, with and without a share never solved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaln, digamma, expit, logit

from relift.stats.rates import Floats

_LOG_SHAPE_BOUNDS = (-8.0, 8.0)  # of ln a and ln b: beyond them the likelihood of real counts is flat


@dataclass(frozen=True)
class BetaPrior:
    """Hold Beta(a, b) over the questions' true rates; log_likelihood in nats, binomial coefficients left out."""

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
    """Fit Beta(a, b) of largest likelihood: max over a, b of sum ln B(a + c, b + n - c) - ln B(a, b).

    `n_correct`, `n_decided`: [Q]. Questions without a decided attempt say nothing and are left out. ln a and ln b are
    kept within +-8, where the maximum lies when all questions look alike. `weights` [Q] counts each question so often
    (bootstrap). Raises ValueError if no question was measured.
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
    """Hold a share `zero` of questions with rate 0, the others Beta(a, b); log_likelihood as of `BetaPrior`."""

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
    """Fit a beta-binomial with extra zeros, zero + (1 - zero) Beta(a, b), of largest likelihood over all three.

    Arguments as of `beta_binomial_fit`. Where many questions are never solved a plain beta distribution must let them
    be solved now and then, to fit the others; this one need not. It predicts new attempts better, but it is not for
    calling single questions impossible: the extra zeros are drawn from the very questions that scored 0. Raises
    ValueError if no question was measured.
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
    """Count how often each distinct (c, n) was seen: few, however many the questions. ValueError without any."""
    c, n = np.asarray(n_correct, float), np.asarray(n_decided, float)
    weight = np.ones(len(c)) if weights is None else np.asarray(weights, float)
    measured = (n > 0) & (weight > 0)
    if not measured.any():
        raise ValueError(f"{name}: no question has a decided attempt")
    # (c, n) is packed into one number
    packed, where = np.unique(c[measured] * 1e6 + n[measured], return_inverse=True)
    return np.floor(packed / 1e6), packed % 1e6, np.asarray(np.bincount(where, weights=weight[measured]), float)


def beta_below(n_correct: ArrayLike, n_decided: ArrayLike, *, a: ArrayLike, b: ArrayLike, epsilon: float) -> Floats:
    """Return the posterior P(p < epsilon | c of n) under Beta(a, b): I_epsilon(a + c, b + n - c)."""
    c, n = np.asarray(n_correct, float), np.asarray(n_decided, float)
    return np.asarray(betainc(np.asarray(a) + c, np.asarray(b) + n - c, epsilon), float)
