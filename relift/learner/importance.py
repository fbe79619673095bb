"""Weigh rollouts that were sampled under slightly other probabilities than the learner's: importance weights.

Sampler and learner compute the same policy with other kernels and dtypes, so that tokens come from probabilities that
are not quite those whose gradient is taken. A weight pi_old/pi_sampler on each coefficient takes that bias away, up to
a cap that bounds the variance (Espeholt et al., arXiv 1802.01561; truncated importance sampling between vLLM and a
trainer: Yao et al., "Your efficient RL framework secretly brings you off-policy RL training", August 2025).

| by | weight of a token, with gap = l_old - l_sampler |
|---|---|
| token | e^gap of the token |
| sequence | e^(sum of the sequence's gaps), for each of its tokens |

A weight above the cap is the cap, or 0 where it is masked. Written for numpy and torch alike, and detached: a constant
in the derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from relift.learner.update import Loss, TokenView

# The distribution of |gap|: bins of equal width in the logarithm, from 1e-7 to 100 nats and beyond. A quantile read
# from them is the upper edge of its bin: at most 7.5 % too large (10^(1/32)).
LEAST, BINS_A_DECADE = 1e-7, 32
N_BINS = 9 * BINS_A_DECADE
LARGEST_LOG_WEIGHT = 20.0  # e^20: beyond it a sum of squares tells nothing more
GAP_SUMS = ("gap", "weight", "weight_squared")  # over sampled tokens, uncapped


def weighted(loss: Loss, *, by: Literal["token", "sequence"], cap: float, masked: bool) -> Loss:
    """Multiply a loss's coefficient and objective by importance weights; tokens without a sampler's log-probability
    (demonstrations) keep theirs."""

    def weight(xp: Any, view: TokenView) -> Any:
        gap = xp.where(view.sampled, view.old - view.sampler, 0.0)
        ratio = xp.exp(view.by_sequence_sum(gap) if by == "sequence" else gap)
        return xp.where(ratio > cap, 0.0 if masked else cap, ratio)

    def coefficient(xp: Any, view: TokenView) -> Any:
        return weight(xp, view) * loss.coefficient(xp, view)

    def objective(xp: Any, view: TokenView) -> Any:
        return weight(xp, view) * loss.objective(xp, view)

    return replace(loss, coefficient=coefficient, objective=objective)


def quantile(counts: Sequence[float], share: float) -> float | None:
    """Find the upper edge of the bin in which this share of the tokens is reached; None without tokens."""
    total, reached = sum(counts), 0.0
    for place, count in enumerate(counts):
        reached += count
        if total and reached >= share * total:
            return float(LEAST * 10 ** ((place + 1) / BINS_A_DECADE))
    return None
