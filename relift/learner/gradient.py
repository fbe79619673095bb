"""From log-probabilities and entropies to the derivative of the loss by them, and to the sums that are recorded.

Axes: S sequences of a micro-batch, C their completion tokens laid end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from relift.learner.update import Component, TrainSequence

# What is summed over tokens, micro-batches and processes until the optimizer steps.
SUMS = ("loss", "n_sequences", "n_tokens", "entropy", "kl", "n_kl", "removed", "n_clippable", "n_not_finite")


@dataclass
class View:
    """The TokenView of one component's tokens in one micro-batch: detached tensors."""

    logprob: torch.Tensor
    old_logprob: torch.Tensor
    advantage: torch.Tensor
    entropy: torch.Tensor | None
    by_sequence_mean: Callable[[torch.Tensor], torch.Tensor]


@torch.no_grad()
def token_gradients(
    components: Sequence[Component],
    component_S: np.ndarray,
    members_S: Sequence[TrainSequence],
    logprob_C: torch.Tensor,
    entropy_C: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(d loss / d logprob_C, d loss / d entropy_C, sums in the order of SUMS) of one micro-batch.

    component_S says which component a sequence belongs to. Scores, old log-probabilities and advantages that are not
    finite are counted in `n_not_finite`, whatever the loss makes of them.
    """
    device = logprob_C.device
    gradient_C, entropy_gradient_C = torch.zeros_like(logprob_C), torch.zeros_like(entropy_C)
    sums = torch.zeros(len(SUMS), dtype=torch.float64, device=device)
    n_S = np.array([len(s.completion_ids_T) for s in members_S], np.int64)
    component_C = np.repeat(component_S, n_S)
    for k, component in enumerate(components):
        chosen = [s for s, ix in zip(members_S, component_S, strict=True) if ix == k]
        if not chosen:
            continue
        tokens = torch.from_numpy(np.flatnonzero(component_C == k)).to(device)
        length_S = torch.from_numpy(n_S[component_S == k]).to(device)
        logprob, entropy = logprob_C[tokens], entropy_C[tokens]
        view = _view(component, chosen, length_S, logprob, entropy)
        share = torch.full_like(logprob, 1 / component.denominator)
        if component.loss.per_sequence_mean:
            share = share / length_S.repeat_interleave(length_S)
        gradient_C[tokens] = -component.scale * share * component.loss.coefficient(torch, view)
        entropy_gradient_C[tokens] = -component.entropy_weight * share
        objective = component.scale * component.loss.objective(torch, view) + component.entropy_weight * entropy
        sums += _record(component, chosen, view, entropy, -(share * objective).double().sum())
    return gradient_C, entropy_gradient_C, sums


def _view(
    component: Component,
    chosen: Sequence[TrainSequence],
    length_S: torch.Tensor,
    logprob: torch.Tensor,
    entropy: torch.Tensor,
) -> View:
    advantage_S = torch.tensor([s.advantage for s in chosen], dtype=logprob.dtype, device=logprob.device)
    old, known = _per_token(chosen, [s.old_logprobs_T for s in chosen], logprob)
    sequence = torch.arange(len(chosen), device=logprob.device).repeat_interleave(length_S)

    def by_sequence_mean(x: torch.Tensor) -> torch.Tensor:
        sums_S = x.new_zeros(len(chosen)).index_add_(0, sequence, x)
        return (sums_S / length_S)[sequence]

    return View(
        logprob=logprob,
        old_logprob=torch.where(known, old, logprob),  # none: the first step on these rollouts, a ratio of exactly 1
        advantage=advantage_S.repeat_interleave(length_S),
        entropy=entropy if component.loss.needs_entropy else None,
        by_sequence_mean=by_sequence_mean,
    )


def _record(
    component: Component, chosen: Sequence[TrainSequence], view: View, entropy: torch.Tensor, loss: torch.Tensor
) -> torch.Tensor:
    """The sums of one component's tokens. `kl` compares sampler and learner on the policy that sampled, whose
    log-probabilities are the old ones where there are any."""
    n_tokens = len(view.logprob)
    sampler, known = _per_token(chosen, [s.sampler_logprobs_T for s in chosen], view.logprob)
    kl = torch.where(known, sampler - view.old_logprob, 0.0)
    finite = torch.isfinite(view.logprob) & torch.isfinite(view.old_logprob) & torch.isfinite(view.advantage)
    removed = component.loss.removed
    values = {
        "loss": loss,
        "n_sequences": len(chosen),
        "n_tokens": n_tokens,
        "entropy": entropy.double().sum(),
        "kl": kl.double().sum(),
        "n_kl": known.sum(),
        "removed": removed(torch, view).sum() if removed else 0,
        "n_clippable": n_tokens if removed else 0,
        "n_not_finite": (~finite).sum(),
    }
    return torch.stack([torch.as_tensor(values[name], dtype=torch.float64, device=loss.device) for name in SUMS])


def _per_token(
    chosen: Sequence[TrainSequence], values: Sequence[np.ndarray | None], layout: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(values end to end, 0 where there are none; which tokens have one), on the device and of the type of `layout`."""
    n_S = [len(s.completion_ids_T) for s in chosen]
    known = np.repeat([v is not None for v in values], n_S)
    parts: list[Any] = [np.zeros(n) if v is None else v for v, n in zip(values, n_S, strict=True)]
    flat = torch.from_numpy(np.concatenate(parts).astype(np.float64))
    return flat.to(layout.device, layout.dtype), torch.from_numpy(known).to(layout.device)
