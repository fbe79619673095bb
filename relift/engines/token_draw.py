"""Draw next tokens from logits with given uniform numbers: inverse of the cumulative distribution.

Axes: R rows, V vocabulary, T tokens of an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from relift.engines.tokens import Sampling

# Logits drawn from at a time on a CPU. Their probabilities then stay in the cache, their buffers below the size that
# the allocator gives back to the system and takes anew at every step: 64 rows of 49,152 tokens took 24 ms at once, a
# third of it system time, and 15 ms in fours (one core, torch 2.13, float32).
AT_A_TIME = 200_000


@dataclass(frozen=True)
class Draw:
    """Tokens drawn, with the log-probability of each and the entropy of its distribution, both in nats, before
    truncation. The entropy is not finite exactly where a logit is not."""

    token_R: torch.Tensor  # int64
    logprob_R: torch.Tensor  # float32
    entropy_R: torch.Tensor  # float32


def uniforms_of(seed: int, n: int) -> np.ndarray:
    """Make the answer's own random numbers, from Philox keyed by its seed: number t, in [0, 1), decides token t."""
    return np.random.Generator(np.random.Philox(key=seed)).random(n)


def draw_tokens(logits_RV: torch.Tensor, uniform_R: torch.Tensor, *, sampling: Sampling) -> Draw:
    """Draw one token a row. At temperature 0 the likeliest token (the first of equals), with log-probability and
    entropy at temperature 1.

    `uniform_R` is float64. A token that has no probability after truncation is never drawn.
    """
    n_rows, vocab = logits_RV.shape
    each = max(1, AT_A_TIME // vocab) if logits_RV.device.type == "cpu" else n_rows
    if each >= n_rows:
        return _draw(logits_RV, uniform_R, sampling=sampling)
    pairs = zip(logits_RV.split(each), uniform_R.split(each), strict=True)
    parts = [_draw(logits_rV, uniform_r, sampling=sampling) for logits_rV, uniform_r in pairs]
    columns = zip(*((part.token_R, part.logprob_R, part.entropy_R) for part in parts), strict=True)
    return Draw(*(torch.cat(column) for column in columns))


def _draw(logits_RV: torch.Tensor, uniform_R: torch.Tensor, *, sampling: Sampling) -> Draw:
    logits_RV = logits_RV.float()
    if sampling.temperature not in (0.0, 1.0):
        logits_RV = logits_RV / sampling.temperature
    logprob_RV = torch.log_softmax(logits_RV, dim=-1)
    prob_RV = logprob_RV.exp()
    entropy_R = -(prob_RV * logprob_RV).sum(dim=-1)
    if sampling.temperature == 0.0:
        token_R = logits_RV.argmax(dim=-1)
    else:
        token_R = _invert(truncate(prob_RV, sampling=sampling), uniform_R)
    return Draw(token_R, logprob_RV.gather(1, token_R[:, None])[:, 0], entropy_R)


def truncate(prob_RV: torch.Tensor, *, sampling: Sampling) -> torch.Tensor:
    """Zero what top-k and then top-p leave out: the k likeliest, then of these, renormalised, the fewest whose
    probabilities reach p. Equals rank by token id. The result is not renormalised."""
    if sampling.top_k == -1 and sampling.top_p == 1.0:
        return prob_RV
    ranked_RV, token_RV = prob_RV.sort(dim=-1, descending=True, stable=True)
    if sampling.top_k != -1:
        ranked_RV[:, sampling.top_k :] = 0.0
    if sampling.top_p < 1.0:
        cumulative_RV = ranked_RV.cumsum(dim=-1, dtype=torch.float64)
        before_RV = cumulative_RV - ranked_RV  # probability of all that rank higher; 0 for the first, which stays
        ranked_RV = ranked_RV.where(before_RV < sampling.top_p * cumulative_RV[:, -1:], 0.0)
    return torch.zeros_like(prob_RV).scatter_(1, token_RV, ranked_RV)


def _invert(weight_RV: torch.Tensor, uniform_R: torch.Tensor) -> torch.Tensor:
    """Find the first token whose cumulative weight exceeds uniform * total; weights need not sum to 1."""
    cumulative_RV = weight_RV.cumsum(dim=-1, dtype=torch.float64)
    total_R = cumulative_RV[:, -1]
    # uniform < 1, but the product may round up to the total, which no cumulative weight exceeds.
    threshold_R = torch.minimum(uniform_R * total_R, torch.nextafter(total_R, torch.zeros_like(total_R)))
    token_R = torch.searchsorted(cumulative_RV, threshold_R[:, None], right=True)[:, 0]
    return token_R.clamp_(max=weight_RV.shape[1] - 1)  # reached by non-finite weights alone, refused by the caller
