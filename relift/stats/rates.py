"""Compute rates, shares of correct attempts, and their intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def rate(n_correct: ArrayLike, n_decided: ArrayLike) -> Floats:
    """Divide n_correct by n_decided; nan where nothing was decided."""
    correct, decided = np.broadcast_arrays(np.asarray(n_correct, float), np.asarray(n_decided, float))
    return np.divide(correct, decided, out=np.full(correct.shape, np.nan), where=decided > 0)


def wilson(n_correct: ArrayLike, n_decided: ArrayLike, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return Wilson's score interval (low, high) of a proportion (E. B. Wilson 1927); nan where n_decided is 0.

    Counts may be fractional sums of rates.
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
    """Return the exact interval (low, high) of a proportion (Clopper and Pearson 1934); nan where n_decided is 0.

    Its ends are quantiles of beta distributions.
    """
    c, n = np.broadcast_arrays(np.asarray(n_correct, float), np.asarray(n_decided, float))
    tail = (1 - level) / 2
    low = np.where(c > 0, betaincinv(np.maximum(c, 1), n - c + 1, tail), 0.0)
    high = np.where(c < n, betaincinv(c + 1, np.maximum(n - c, 1), 1 - tail), 1.0)
    measured = n > 0
    return np.where(measured, low, np.nan), np.where(measured, high, np.nan)
