"""What a recipe hands to the learner: sequences, a loss per component, denominators from counts. Numpy only.

The gradient of every recipe has one form (docs/method.md):

    grad loss = - sum_k scale_k/N_k * sum_{t in k} c_t * grad log pi(y_t)
                - sum_k beta_k/N_k  * sum_{t in k} grad H_t               k in {rl, demo}

with c_t detached. So the learner knows nothing of algorithms.

Axes: T completion tokens of one sequence, N tokens of a micro-batch laid end to end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from relift.schema import UpdateKind


@dataclass(frozen=True)
class TrainSequence:
    """One prompt with one completion that is trained on; the loss sees the completion's tokens alone.

    `old_logprobs_T`: log-probabilities under the policy at the start of this batch of rollouts; None says that
    this is the first optimizer step on them, so the ratio is exactly 1. `sampler_logprobs_T`: as the engine
    reported them; used for `updates.sampler_kl` alone.
    """

    prompt_ids: tuple[int, ...]
    completion_ids_T: np.ndarray  # int32, the end token included
    advantage: float = 0.0
    old_logprobs_T: np.ndarray | None = None  # float32
    sampler_logprobs_T: np.ndarray | None = None  # float32
    attempt: tuple[int, int] | None = None  # (q, g) among the step's rollouts, for the record alone
    demo_id: str | None = None  # for the record alone


class TokenView(Protocol):
    """What a loss sees: one value per completion token, as numpy arrays or detached torch tensors, never the layout.

    All are of shape [N]; `by_sequence_mean(x_N)` replaces each token's value by the mean over its sequence (of the
    whole sequence, whichever micro-batch it stands in).
    """

    logprob: Any  # current log-probability, detached
    old_logprob: Any
    advantage: Any
    entropy: Any  # current entropy of the next-token distribution, detached; None where no loss asked for it

    def by_sequence_mean(self, x: Any, /) -> Any: ...


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
    needs_entropy: bool = False
    per_sequence_mean: bool = False  # multiply every token by 1/|y|: the mean over the sequence's tokens


@dataclass(frozen=True)
class Counts:
    """What a denominator may depend on: global counts, known before the forward pass."""

    n_tokens: int  # completion tokens of the component
    n_sequences: int
    n_groups: int
    max_tokens: int  # L_max, the longest completion the sampler may write


NormFn = Callable[[Counts], float]


@dataclass(frozen=True)
class Component:
    """The sequences of one kind (rl, demo) in one update, with their loss and their global denominator."""

    name: str
    sequences: tuple[TrainSequence, ...]
    loss: Loss
    denominator: float  # N_k > 0, from counts over all processes
    scale: float = 1.0
    # beta_k: adds -beta/N * sum_t H_t to the loss (each H_t over |y| too where the loss is a per-sequence mean; the
    # scale does not apply); 0 spends no entropy gradient
    entropy_weight: float = 0.0


@dataclass(frozen=True)
class Update:
    """One optimizer step: components and the name of the optimizer that takes it."""

    kind: UpdateKind
    optimizer: str
    components: tuple[Component, ...]


@dataclass(frozen=True)
class UpdateStats:
    """What one update did; a row of `updates` but for its key. None says "not measured"."""

    loss: float
    grad_norm: float
    lr: float
    n_sequences: int
    n_tokens: int
    entropy: float | None
    sampler_kl: float | None
    clip_fraction: float | None
    skipped: bool
    seconds: float
