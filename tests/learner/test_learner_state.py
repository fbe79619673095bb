"""Nothing to learn from, values that are not finite, saving and loading."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from relift.errors import InputError
from relift.learner.learner import Learner
from relift.learner.losses import ppo_clip, ratio, sft
from relift.learner.optim import OptimizerSpec
from relift.learner.update import TrainSequence, Update
from relift.schema import UpdateKind
from tests.learner.tiny import component, constant, gradients, some_sequences, tiny_model

SPECS = {
    "rl": OptimizerSpec(lr=1e-2, warmup_steps=3, max_grad_norm=0.1),
    "sft": OptimizerSpec(lr=2e-2, betas=(0.9, 0.95), schedule="linear", total_steps=20),
}
SEQUENCES = some_sequences(12)


def rl(sequences: tuple[TrainSequence, ...] = SEQUENCES, *, denominator: float = 50.0) -> Update:
    return Update(UpdateKind.rl, "rl", (component("rl", sequences, ppo_clip(0.2, 0.28), denominator),))


def demo() -> Update:
    return Update(UpdateKind.sft, "sft", (component("demo", SEQUENCES[:4], sft(), 30.0, entropy_weight=0.01),))


def trained(steps: int = 2) -> Learner:
    """A learner with moments in both optimizers."""
    learner = Learner(tiny_model(), SPECS)
    run(learner, steps)
    return learner


def run(learner: Learner, steps: int) -> None:
    for _ in range(steps):
        for update in (rl(), demo()):
            learner.forward_backward(update)
            assert not learner.optim_step(update.optimizer).skipped


def snapshot(learner: Learner) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tensors, scalars = learner.state_dict()
    return {name: tensor.clone() for name, tensor in tensors.items()}, json.loads(json.dumps(scalars))


def equal(a: tuple[dict[str, torch.Tensor], Any], b: tuple[dict[str, torch.Tensor], Any]) -> bool:
    return a[0].keys() == b[0].keys() and all(torch.equal(a[0][n], b[0][n]) for n in a[0]) and a[1] == b[1]


NOTHING = {
    "no component": Update(UpdateKind.rl, "rl", ()),
    "no sequence": rl((), denominator=1.0),
    "no token": rl((TrainSequence((1, 2), np.zeros(0, np.int32)),), denominator=1.0),
}


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_to_train_on_is_gradient_zero(name: str) -> None:
    learner = Learner(tiny_model(), {"rl": OptimizerSpec(lr=1.0, weight_decay=0.0)})
    before = snapshot(learner)[0]
    learner.forward_backward(NOTHING[name])
    stats = learner.optim_step("rl")
    assert (stats.loss, stats.grad_norm, stats.n_tokens, stats.skipped) == (0.0, 0.0, 0, False)
    assert (stats.entropy, stats.sampler_kl, stats.clip_fraction) == (None, None, None)
    assert all(torch.equal(before[n], t) for n, t in snapshot(learner)[0].items() if n in before)


def test_equal_rewards_are_gradient_zero() -> None:
    """A group whose advantages are 0 gives exactly what no sequence gives, also as a step with old moments."""
    flat = tuple(s.with_column("advantage", np.zeros_like(s.columns["advantage"])) for s in SEQUENCES)
    learners = trained(), trained()
    for learner, update in zip(learners, (rl(flat), rl(())), strict=True):
        learner.forward_backward(update)
        stats = learner.optim_step("rl")
        assert (stats.loss, stats.grad_norm, stats.skipped) == (0.0, 0.0, False)
    assert equal(snapshot(learners[0]), snapshot(learners[1]))


def with_value(field: str, value: float, token: int) -> Callable[[], tuple[TrainSequence, ...]]:
    def build() -> tuple[TrainSequence, ...]:
        s = SEQUENCES[5]
        values_T = s.columns[field].copy()
        values_T[token] = value
        return (*SEQUENCES[:5], s.with_column(field, values_T), *SEQUENCES[6:])

    return build


INPUTS = [
    (field, value, token)
    for field, tokens in (("advantage", (0,)), ("old", (0, -1)))
    for value in (math.nan, math.inf, -math.inf)
    for token in tokens
]  # 9 points


@pytest.mark.parametrize(("field", "value", "token"), INPUTS)
def test_inputs_that_are_not_finite_make_no_step(field: str, value: float, token: int) -> None:
    learner = trained()
    before = snapshot(learner)
    learner.forward_backward(rl(with_value(field, value, token)()))
    stats = learner.optim_step("rl")
    assert stats.skipped
    assert not math.isfinite(stats.loss)
    assert equal(snapshot(learner), before)
    run(learner, 1)  # the next update is a usual one: nothing of the bad one was kept
    again = trained()
    run(again, 1)
    assert equal(snapshot(learner), snapshot(again))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 3, -1])
def test_gradients_that_are_not_finite_make_no_step(value: float, place: int) -> None:
    learner = trained()
    before = snapshot(learner)
    learner.forward_backward(demo())
    parameter = list(learner.model.parameters())[place]
    assert parameter.grad is not None
    parameter.grad.view(-1)[-1] = value
    stats = learner.optim_step("sft")
    assert stats.skipped
    assert math.isfinite(stats.loss)
    assert not math.isfinite(stats.grad_norm)
    assert equal(snapshot(learner), before)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_model_that_is_not_finite_makes_no_step(value: float) -> None:
    """Log-probabilities of the current policy: one weight of the last norm is not finite."""
    learner = trained()
    with torch.no_grad():
        learner.model.model.norm.weight[0] = value
    before = snapshot(learner)
    learner.forward_backward(demo())
    stats = learner.optim_step("sft")
    assert (stats.skipped, stats.n_tokens) == (True, sum(len(s.completion_ids_T) for s in SEQUENCES[:4]))
    assert {n for n, t in snapshot(learner)[0].items() if not torch.equal(t, before[0][n])} <= {
        "model/model.norm.weight"
    }


def test_a_huge_loss_makes_no_step() -> None:
    """The ratio e^(l - l_old) overflows without a clip: loss and gradient are infinite."""
    s = SEQUENCES[0]
    n = len(s.completion_ids_T)
    far = replace(s, columns=constant(1.0, n) | {"old": np.full(n, -1e3, np.float32)})
    learner = trained()
    before = snapshot(learner)
    learner.forward_backward(Update(UpdateKind.rl, "rl", (component("rl", (far,), ratio(), 1.0),)))
    stats = learner.optim_step("rl")
    assert (stats.skipped, stats.loss) == (True, -math.inf)
    assert equal(snapshot(learner), before)


def test_a_learning_rate_that_is_not_finite_makes_no_step() -> None:
    learner = Learner(tiny_model(), {"sft": OptimizerSpec(lr=math.nan)})
    before = snapshot(learner)
    learner.forward_backward(demo())
    assert learner.optim_step("sft").skipped
    assert equal(snapshot(learner), before)


def test_a_norm_above_the_limit_makes_no_step_and_no_progress_of_the_schedule() -> None:
    learner = Learner(tiny_model(), {"sft": OptimizerSpec(lr=1.0, warmup_steps=4, skip_grad_norm=1e-3)})
    before = snapshot(learner)
    for _ in range(2):
        learner.forward_backward(demo())
        stats = learner.optim_step("sft")
        assert (stats.skipped, stats.lr) == (True, 0.25)
    assert equal(snapshot(learner), before)


def test_clipping_scales_the_gradient_to_the_limit() -> None:
    learner = Learner(tiny_model(), {"sft": OptimizerSpec(lr=0.0, max_grad_norm=0.05)})
    learner.forward_backward(demo())
    norm = math.sqrt(sum(g.double().square().sum().item() for g in gradients(learner).values()))
    stats = learner.optim_step("sft")
    assert stats.grad_norm == pytest.approx(norm, rel=1e-6)  # before clipping
    # AdamW's first moment after one step is (1 - .9) times the clipped gradient.
    moments = [t for n, t in learner.state_dict()[0].items() if n.endswith("exp_avg")]
    assert math.sqrt(sum(t.double().square().sum().item() for t in moments)) == pytest.approx(0.005, rel=1e-4)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_continuing_from_a_saved_state_is_bitwise_equal(steps: int) -> None:
    straight = trained(steps)
    tensors, scalars = snapshot(straight)
    resumed = Learner(tiny_model(seed=9), SPECS)
    run(resumed, 1)  # what it did before loading leaves no trace
    resumed.forward_backward(rl())
    resumed.load_state_dict(tensors, scalars)
    for learner in (straight, resumed):
        run(learner, 3)
    assert equal(snapshot(straight), snapshot(resumed))


def test_names_in_the_state() -> None:
    tensors, scalars = trained(2).state_dict()
    assert scalars == {"optimizer_steps": {"rl": 2, "sft": 2}}
    assert "model/model.embed_tokens.weight" in tensors
    assert "model/lm_head.weight" not in tensors  # tied: stored once
    assert {n.split("/")[1] for n in tensors if n.startswith("optimizer/")} == {"rl", "sft"}
    assert "optimizer/rl/model.norm.weight/exp_avg_sq" in tensors


@pytest.mark.parametrize("change", ["model", "optimizer"])
def test_a_state_of_another_learner_is_refused(change: str) -> None:
    tensors, scalars = snapshot(trained(1))
    if change == "model":
        tensors["model/extra"] = torch.zeros(1)
    else:
        del scalars["optimizer_steps"]["sft"]
    with pytest.raises(InputError, match="extra|sft"):
        trained(0).load_state_dict(tensors, scalars)


def test_reset_gives_fresh_moments_and_a_fresh_schedule() -> None:
    learner = trained()
    learner.reset_optimizer("rl")
    tensors, scalars = learner.state_dict()
    assert scalars["optimizer_steps"] == {"rl": 0, "sft": 2}
    assert not any(n.startswith("optimizer/rl/") for n in tensors)
    learner.forward_backward(rl())
    assert learner.optim_step("rl").lr == pytest.approx(1e-2 / 3)  # first step of the warm-up
