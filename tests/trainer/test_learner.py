"""The learner's gradient against autograd of the plain formula on transformers' own logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from relift.schema import UpdateKind
from relift.trainer.batch import Component, TrainSequence, Update
from relift.trainer.learner import Learner
from relift.trainer.losses import ppo_clip, sft
from relift.trainer.optim import OptimizerSpec
from tests.trainer.tiny import ARCHITECTURES, gradients, relative_difference, some_sequences, tiny_model

PLAIN = {"rl": OptimizerSpec(lr=1e-2)}


def rl_update(sequences: tuple[TrainSequence, ...], **component: Any) -> Update:
    n = float(sum(len(s.completion_ids_T) for s in sequences))
    part = Component("rl", sequences, ppo_clip(0.2, 0.28, dual=3.0), n, **component)
    return Update(UpdateKind.rl, "rl", (part,))


def full_logprobs(model: Any, sequence: TrainSequence, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-probability, entropy) of the completion, from the model's own logits of this one sequence."""
    ids = torch.tensor([[*sequence.prompt_ids, *sequence.completion_ids_T.tolist()]])
    logits = model(input_ids=ids).logits[0, len(sequence.prompt_ids) - 1 : -1] / temperature
    logprobs = torch.log_softmax(logits, -1)
    chosen = logprobs.gather(1, ids[0, len(sequence.prompt_ids) :, None])[:, 0]
    return chosen, -(logprobs.exp() * logprobs).sum(-1)


def plain_gradient(model: Any, update: Update, temperature: float = 1.0) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradient by autograd, one sequence after the other, nothing packed."""
    loss = torch.zeros(())
    for component in update.components:
        for s in component.sequences:
            logprob, entropy = full_logprobs(model, s, temperature)
            a = s.advantage
            old = logprob.detach() if s.old_logprobs_T is None else torch.from_numpy(s.old_logprobs_T)
            r = torch.exp(logprob - old)
            if component.loss.name == "sft":
                objective = logprob
            else:
                objective = torch.minimum(r * a, r.clamp(0.8, 1.28) * a)
                objective = torch.maximum(objective, torch.tensor(3.0 * a)) if a < 0 else objective
            weight = 1 / len(logprob) if component.loss.per_sequence_mean else 1.0
            total = component.scale * objective + component.entropy_weight * entropy
            loss = loss - weight * total.sum() / component.denominator
    loss.backward()
    return loss.item(), {n: p.grad for n, p in model.named_parameters()}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_gradient_is_autograds(architecture: str, tied: bool) -> None:  # noqa: FBT001
    sequences = some_sequences()
    demos = some_sequences(4, seed=1, old=False)
    update = Update(
        UpdateKind.mixed,
        "rl",
        (
            Component("rl", sequences, ppo_clip(0.2, 0.28, dual=3.0), 77.0, scale=0.5, entropy_weight=0.01),
            Component("demo", demos, sft(), 31.0, entropy_weight=0.1),
        ),
    )
    loss, expected = plain_gradient(tiny_model(architecture, tied=tied), update, temperature=0.7)
    learner = Learner(tiny_model(architecture, tied=tied), PLAIN, temperature=0.7)
    learner.forward_backward(update)
    assert relative_difference(gradients(learner), expected) < 1e-6
    stats = learner.optim_step("rl")
    assert stats.loss == pytest.approx(loss, rel=1e-5)
    norm = np.sqrt(sum(g.double().square().sum().item() for g in expected.values()))
    assert stats.grad_norm == pytest.approx(norm, rel=1e-5)
    assert (stats.n_sequences, stats.skipped) == (13, False)
