"""Compute pass@k without bias, its variance, and the binomial shares behind them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, xlog1py, xlogy

from relift.stats.rates import Floats


def log_binomial(n: Floats, k: Floats) -> Floats:
    """Return ln C(n, k)."""
    return np.asarray(-betaln(n - k + 1, k + 1) - np.log1p(n), float)


def pass_at_k(n_correct: ArrayLike, n_decided: ArrayLike, *, k: int) -> Floats:
    """Return the chance that k attempts, drawn without replacement, hold a correct one: 1 - C(n-c, k) / C(n, k).

    Unbiased (Chen et al. 2021, arXiv 2107.03374). Raises ValueError if any n < k: padding such questions would bias the
    mean.
    """
    c, n = np.broadcast_arrays(np.asarray(n_correct, float), np.asarray(n_decided, float))
    if k < 1 or (n < k).any():
        raise ValueError(f"pass_at_k: k = {k} needs that many decided attempts, the least is {n.min():.0f}")
    missed = np.ones(c.shape)
    for i in range(k):  # as a product: the binomials themselves overflow
        missed *= np.maximum(n - c - i, 0) / (n - i)
    return 1 - missed


def pass_variance(n_correct: ArrayLike, n_decided: ArrayLike, *, k: int) -> Floats:
    """Return the variance of `pass_at_k` under n new attempts of the same question, nan where n = 1.

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
    """Return P(j of n) for j = 0 to n: [J], J = n + 1."""
    j = np.arange(n + 1, dtype=float)
    with np.errstate(divide="ignore"):
        log_share = log_binomial(np.full(n + 1, float(n)), j) + xlogy(j, p) + xlog1py(n - j, -p)
    return np.exp(log_share)
