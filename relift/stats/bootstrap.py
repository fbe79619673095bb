"""Resample questions: weights, ratios of weighted sums, percentiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from relift.stats.rates import Floats, Ints, rate

_CHUNK_WEIGHTS = 1_000_000  # bootstrap weights made at once: 8 MB, three times while they are made


def bootstrap_weights(n_units: int, resamples: int, *, seed: int, cluster_N: ArrayLike | None = None) -> Iterator[Ints]:
    """Draw the weights Multinomial(N, 1/N) of resampling N units with replacement, in blocks [r, N], r summing to R.

    `cluster_N`: a label for each unit; whole clusters are resampled then. The same seed gives the same weights
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
    """Resample sum(w * numerator) / sum(w * denominator) of each group and column: [R, G, C].

    `numerator_QC`, `denominator_QC`: [Q, C]. `group_Q` [Q] is the question's group, -1 for none; `cluster_Q` [Q] its
    cluster. All questions are resampled together, so groups and columns share their weights. A resample without any
    denominator is nan. `weights`: blocks [r, Q] of `bootstrap_weights` of this seed, for a caller that needs them more
    than once.
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
    """Return a slice for rows that are adjacent: questions sorted by group need not be gathered."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def small_weights(n_units: int, resamples: int, *, seed: int) -> list[NDArray[np.integer]]:
    """Collect the blocks of `bootstrap_weights` in the smallest integers that hold them: about R * N bytes."""
    blocks = bootstrap_weights(n_units, resamples, seed=seed)
    return [block.astype(np.min_scalar_type(int(block.max(initial=0)))) for block in blocks]


def percentile_interval(estimate_R: Floats, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return the percentile interval along the first axis: `estimate_R` [R, ...] to (low, high), each [...].

    Resamples that are nan are left out; nan where all are.
    """
    if not len(estimate_R):
        empty = np.full(estimate_R.shape[1:], np.nan)
        return empty, empty
    tail = (1 - level) / 2
    missing = np.isnan(estimate_R).all(axis=0)
    filled = np.where(missing, 0.0, estimate_R)  # nanquantile warns of columns that are nan throughout
    low, high = np.nanquantile(filled, [tail, 1 - tail], axis=0)
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)
