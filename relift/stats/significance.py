"""Compute p values: exact tests of paired and unpaired counts, corrections for many tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr

from relift.stats.passes import log_binomial
from relift.stats.rates import Floats


def mcnemar_exact(n_only_a: ArrayLike, n_only_b: ArrayLike) -> Floats:
    """Return p values of the exact two-sided McNemar test, 1 where there is no discordant question.

    Questions solved only by A (`n_only_a`) stand against those solved only by B, as a fair coin.
    """
    a, b = np.asarray(n_only_a, int), np.asarray(n_only_b, int)
    return np.minimum(1.0, 2 * bdtr(np.minimum(a, b).astype(float), a + b, 0.5))


def holm(p_value_N: ArrayLike) -> Floats:
    """Adjust p values [N] for many tests, step-down (Holm 1979); in the order given."""
    p = np.asarray(p_value_N, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, stepped)
    return adjusted


def benjamini_hochberg(p_value_N: ArrayLike) -> Floats:
    """Adjust p values [N] for the false discovery rate, step-up (Benjamini and Hochberg 1995); in the order given."""
    p = np.asarray(p_value_N, float)
    order = np.argsort(-p, kind="stable")
    stepped = np.minimum.accumulate(p[order] * len(p) / np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, stepped)
    return adjusted


def shares_of_split(n_correct: ArrayLike, *, n_a: ArrayLike, n_b: ArrayLike) -> Floats:
    """Return the chance that A has j of the `n_correct` right attempts if A and B are equally good: [Q, J].

    All counts are [Q]; J = 1 + the largest n_a. Hypergeometric: C(n_a, j) C(n_b, c - j) / C(n_a + n_b, c), exact for
    each question whatever its rate: the split that chance alone makes of one question's attempts (Fisher 1935).
    """
    c, a, b = (np.asarray(x, float)[..., None] for x in (n_correct, n_a, n_b))
    j = np.arange(int(a.max(initial=0)) + 1, dtype=float)
    possible = (j <= a) & (j <= c) & (c - j <= b)
    ways = log_binomial(a, np.where(possible, j, 0)) + log_binomial(b, np.where(possible, c - j, 0))
    return np.where(possible, np.exp(ways - log_binomial(a + b, c)), 0.0)


def fisher_exact(n_correct_a: ArrayLike, n_a: ArrayLike, n_correct_b: ArrayLike, n_b: ArrayLike) -> Floats:
    """Return Fisher's exact two-sided p values [Q] of "A and B are equally good at this question".

    All counts are [Q]. Summed are the shares of all splits of the right attempts that are no likelier than the one
    seen.
    """
    right_a, right_b = np.asarray(n_correct_a, int), np.asarray(n_correct_b, int)
    share_QJ = shares_of_split(right_a + right_b, n_a=n_a, n_b=n_b)
    seen_Q = np.take_along_axis(share_QJ, right_a[:, None], axis=1)
    return np.minimum(1.0, np.where(share_QJ <= seen_Q * (1 + 1e-7), share_QJ, 0.0).sum(axis=1))
