"""Describe to the learner what to train on: sequences with per-token columns, and losses as sums of terms. Numpy only.

The gradient of every recipe has one form (docs/method.md):

    grad loss = - sum_k scale_k/N_k * sum_{t in k} c_t * grad log pi(y_t)
                - sum_k beta_k/N_k  * sum_{t in k} grad H_t               k: the terms of rl and of demo

with c_t detached. So the learner knows nothing of algorithms.

Axes: T completion tokens of one sequence, S sequences of a component, N tokens of a micro-batch laid end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from relift.schema import UpdateKind

# Per-token values of a sequence, float32 [T]; a recipe gives those that its losses need:
# advantage   absent: 0
# old         log-probability under the policy at the start of this batch of rollouts; absent: this is the first
#             optimizer step on them, so the ratio is exactly 1
# sampler     log-probability as the engine reported it: for `updates.sampler_kl` and importance weights
# reference   log-probability under a fixed model: for a KL term
# teacher     log-probability under a teacher: for distillation
# given       1 where the token was given (a prefix), 0 where the policy wrote it
COLUMNS = ("advantage", "old", "sampler", "reference", "teacher", "given")


@dataclass(frozen=True)
class TrainSequence:
    """One prompt with one completion that is trained on; the loss sees the completion's tokens alone.

    Raises ValueError for a column that is not one of COLUMNS or not of the completion's length.
    """

    prompt_ids: tuple[int, ...]
    completion_ids_T: np.ndarray  # int32, the end token included
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    attempt: tuple[int, int] | None = None  # (q, g) among the step's rollouts, for the record alone
    demo_id: str | None = None  # for the record alone

    def __post_init__(self) -> None:
        for name, values_T in self.columns.items():
            if name not in COLUMNS or len(values_T) != len(self.completion_ids_T):
                raise ValueError(f"column {name!r}: {len(values_T)} values for {len(self.completion_ids_T)} tokens")

    def with_column(self, name: str, values_T: np.ndarray) -> TrainSequence:
        """Add or replace one column."""
        return replace(self, columns={**self.columns, name: values_T})


class TokenView(Protocol):
    """Show a loss one value per completion token, as numpy arrays or detached torch tensors, never the layout.

    All are of shape [N]. `column` gives any of COLUMNS and raises ValueError where a sequence lacks it;
    `by_sequence_mean(x_N)` replaces each token's value by the mean over its sequence (of the whole sequence, whichever
    micro-batch it stands in), `by_sequence_sum(x_N)` by the sum;
    `by_sequence_top(x_N, among_N, share)` tells which of a sequence's n tokens in `among` have its largest values:
    n - floor(n (1 - share)) of them, earlier ones first where values are equal.
    """

    logprob: Any  # current log-probability, detached
    old: Any  # column old; the current log-probability where it is absent
    advantage: Any
    entropy: Any  # current entropy of the next-token distribution, detached
    sampler: Any  # column sampler; 0 where it is absent
    sampled: Any  # whether it is there

    def column(self, name: str, /) -> Any: ...
    def by_sequence_mean(self, x: Any, /) -> Any: ...
    def by_sequence_sum(self, x: Any, /) -> Any: ...
    def by_sequence_top(self, x: Any, among: Any, share: float, /) -> Any: ...


TokenFn = Callable[[Any, TokenView], Any]  # (xp, view) -> one value per token; xp is numpy or torch


@dataclass(frozen=True)
class Loss:
    """A per-token objective to be maximised and its coefficient c_t = d objective / d log pi(y_t).

    Both use only what numpy and torch share (exp, where, clip, minimum, maximum, ones_like), on the namespace xp.
    `objective` is for the record (`updates.loss`) and for tests; the gradient comes from `coefficient`.
    `removed` says which tokens the clip silences (for `updates.clip_fraction`); None: the loss has no clip.
    """

    name: str
    coefficient: TokenFn
    objective: TokenFn
    removed: TokenFn | None = None


@dataclass(frozen=True)
class Term:
    """One summand of a component's loss: a loss per token, how it is averaged, and its weight.

    A token of sequence s counts `per_token_S[s] / denominator`; None: every token 1 / denominator.
    """

    loss: Loss
    denominator: float  # N_k > 0, from counts over all processes
    per_token_S: np.ndarray | None = None  # float64
    scale: float = 1.0
    # beta_k: adds -beta * (the same average of H_t) to the loss; the scale does not apply; 0 spends no entropy gradient
    entropy_weight: float = 0.0


@dataclass(frozen=True)
class Component:
    """The sequences of one kind (rl, demo) in one update, and the terms of their loss: one forward pass for all.

    `temperature` divides the logits: that of the sampler for rollouts, 1 for demonstrations.
    """

    name: str
    sequences: tuple[TrainSequence, ...]
    terms: tuple[Term, ...]
    temperature: float = 1.0


@dataclass(frozen=True)
class Update:
    """One optimizer step: components and the name of the optimizer that takes it."""

    kind: UpdateKind
    optimizer: str
    components: tuple[Component, ...]


@dataclass(frozen=True)
class UpdateStats:
    """Report what one update did; a row of `updates` but for its key. None says "not measured"."""

    loss: float
    grad_norm: float
    lr: float
    n_sequences: int
    n_tokens: int
    entropy: float | None
    sampler_kl: float | None
    n_sampled_tokens: int | None
    sampler_gap: float | None
    sampler_gap_p99: float | None
    effective_tokens: float | None
    clip_fraction: float | None
    skipped: bool
    seconds: float
