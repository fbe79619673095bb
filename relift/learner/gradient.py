"""Turn log-probabilities and entropies into the derivative of the loss by them, and into the sums that are recorded.

Axes: S sequences of a micro-batch, C their completion tokens laid end to end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from relift.learner.importance import BINS_A_DECADE, GAP_SUMS, LARGEST_LOG_WEIGHT, LEAST, N_BINS
from relift.learner.update import Component, Term, TrainSequence

# What is summed over tokens, micro-batches and processes until the optimizer steps.
SUMS = ("loss", "n_sequences", "n_tokens", "entropy", "kl", "n_kl", "removed", "n_clippable", "n_not_finite")
N_SUMS = len(SUMS) + len(GAP_SUMS) + N_BINS  # the last ones: how many tokens' |log-probability gaps| are in each bin


class View:
    """The TokenView of one component's tokens in one micro-batch: detached tensors."""

    def __init__(
        self,
        sequences: Sequence[TrainSequence],
        length_S: torch.Tensor,
        logprob: torch.Tensor,
        entropy: torch.Tensor,
    ) -> None:
        self.logprob = logprob
        self.entropy = entropy
        self._sequences = sequences
        self._length_S = length_S
        self._sequence = torch.arange(len(sequences), device=logprob.device).repeat_interleave(length_S)
        self.advantage, _ = self._known("advantage")
        old, known = self._known("old")
        self.old = torch.where(known, old, logprob)  # none: the first step on these rollouts, a ratio of exactly 1
        self.sampler, self.sampled = self._known("sampler")

    def column(self, name: str) -> torch.Tensor:
        if lacking := sum(name not in s.columns for s in self._sequences):
            raise ValueError(f"{lacking} of {len(self._sequences)} sequences lack the column {name!r}")
        return self._known(name)[0]

    def by_sequence_mean(self, x: torch.Tensor) -> torch.Tensor:
        sums_S = x.new_zeros(len(self._sequences)).index_add_(0, self._sequence, x)
        return (sums_S / self._length_S)[self._sequence]

    def by_sequence_sum(self, x: torch.Tensor) -> torch.Tensor:
        sums_S = x.new_zeros(len(self._sequences)).index_add_(0, self._sequence, x)
        return sums_S[self._sequence]

    def by_sequence_top(self, x: torch.Tensor, among: torch.Tensor, share: float) -> torch.Tensor:
        top = torch.zeros_like(among)
        for place in torch.arange(len(x), device=x.device).split(self._length_S.tolist()):
            own = place[among[place]]
            n = len(own) - math.floor(len(own) * (1 - share) + 1e-9)  # 1 - .2 is less than .8
            top[own[torch.sort(x[own], descending=True, stable=True).indices[:n]]] = True
        return top

    def per_token(self, value_S: np.ndarray) -> torch.Tensor:
        """Repeat a value of each sequence over its tokens."""
        return torch.from_numpy(value_S).to(self.logprob.device, self.logprob.dtype)[self._sequence]

    def _known(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Lay a column end to end, 0 where a sequence lacks it; also tell which tokens have a value."""
        parts = [s.columns.get(name) for s in self._sequences]
        n_S = [len(s.completion_ids_T) for s in self._sequences]
        if not any(part is not None for part in parts):
            return torch.zeros_like(self.logprob), torch.zeros_like(self.logprob, dtype=torch.bool)
        known = np.repeat([part is not None for part in parts], n_S)
        filled = [np.zeros(n) if part is None else part for part, n in zip(parts, n_S, strict=True)]
        flat = torch.from_numpy(np.concatenate(filled).astype(np.float64))
        layout = self.logprob
        return flat.to(layout.device, layout.dtype), torch.from_numpy(known).to(layout.device)


@torch.no_grad()
def token_gradients(
    components: Sequence[Component],
    component_S: np.ndarray,
    place_S: np.ndarray,
    logprob_C: torch.Tensor,
    entropy_C: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(d loss / d logprob_C, d loss / d entropy_C, sums [N_SUMS]) of one micro-batch.

    The sums are in the order of SUMS and GAP_SUMS, then the counts of `gap_sums`.

    component_S says which component a sequence belongs to, place_S which of its sequences it is. Scores, old
    log-probabilities and advantages that are not finite are counted in `n_not_finite`, whatever the loss makes of
    them.
    """
    device = logprob_C.device
    gradient_C, entropy_gradient_C = torch.zeros_like(logprob_C), torch.zeros_like(entropy_C)
    sums = torch.zeros(N_SUMS, dtype=torch.float64, device=device)
    members_S = [components[k].sequences[s] for k, s in zip(component_S, place_S, strict=True)]
    n_S = np.array([len(s.completion_ids_T) for s in members_S], np.int64)
    component_C = np.repeat(component_S, n_S)
    for k, component in enumerate(components):
        place_s = place_S[component_S == k]
        if not len(place_s):
            continue
        tokens = torch.from_numpy(np.flatnonzero(component_C == k)).to(device)
        length_s = torch.from_numpy(n_S[component_S == k]).to(device)
        view = View([component.sequences[s] for s in place_s], length_s, logprob_C[tokens], entropy_C[tokens])
        gradient, entropy_gradient, loss = _sum_of_terms(component.terms, place_s, view)
        gradient_C[tokens], entropy_gradient_C[tokens] = gradient, entropy_gradient
        sums += _record(component.terms, view, len(place_s), loss)
    return gradient_C, entropy_gradient_C, sums


def _sum_of_terms(
    terms: Sequence[Term], place_s: np.ndarray, view: View
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(d loss / d logprob, d loss / d entropy, loss) of the tokens of a view."""
    gradient, entropy_gradient = torch.zeros_like(view.logprob), torch.zeros_like(view.logprob)
    loss = torch.zeros((), dtype=torch.float64, device=view.logprob.device)
    for term in terms:
        share = torch.full_like(view.logprob, 1 / term.denominator)
        if term.per_token_S is not None:
            share = share * view.per_token(term.per_token_S[place_s])
        gradient -= term.scale * share * term.loss.coefficient(torch, view)
        entropy_gradient -= term.entropy_weight * share
        objective = term.scale * term.loss.objective(torch, view) + term.entropy_weight * view.entropy
        loss -= (share * objective).double().sum()
    return gradient, entropy_gradient, loss


def _record(terms: Sequence[Term], view: View, n_sequences: int, loss: torch.Tensor) -> torch.Tensor:
    """The sums of one component's tokens. `kl` compares sampler and learner on the policy that sampled, whose
    log-probabilities are the old ones where there are any."""
    n_tokens = len(view.logprob)
    kl = torch.where(view.sampled, view.sampler - view.old, 0.0)
    finite = torch.isfinite(view.logprob) & torch.isfinite(view.old) & torch.isfinite(view.advantage)
    removed = [term.loss.removed(torch, view).sum() for term in terms if term.loss.removed]
    values = {
        "loss": loss,
        "n_sequences": n_sequences,
        "n_tokens": n_tokens,
        "entropy": view.entropy.double().sum(),
        "kl": kl.double().sum(),
        "n_kl": view.sampled.sum(),
        "removed": sum(removed),
        "n_clippable": n_tokens * len(removed),
        "n_not_finite": (~finite).sum(),
    }
    sums = torch.stack([torch.as_tensor(values[name], dtype=torch.float64, device=loss.device) for name in SUMS])
    return torch.cat([sums, gap_sums((view.old - view.sampler)[view.sampled])])


def gap_sums(gap_C: torch.Tensor) -> torch.Tensor:
    """Sum over sampled tokens, in the order of GAP_SUMS, and count |gap| by bin: float64 [3 + N_BINS]."""
    weight_C = gap_C.double().clamp(max=LARGEST_LOG_WEIGHT).exp()
    decades_C = (gap_C.double().abs().clamp(min=LEAST) / LEAST).log10()
    bin_C = (decades_C * BINS_A_DECADE).clamp(max=N_BINS - 1).nan_to_num(nan=N_BINS - 1).long()
    sums = torch.stack([gap_C.double().abs().sum(), weight_C.sum(), weight_C.square().sum()])
    return torch.cat([sums, torch.bincount(bin_C, minlength=N_BINS).double()])
