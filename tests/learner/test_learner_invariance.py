"""Check what the gradient must not depend on: packing, token budget, order, accumulation; planted bugs must show.

The planted bugs are those of two upstream codes: losses averaged per micro-batch, only one micro-batch's gradient
handed on, one schedule for two optimizers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from relift.learner import learner as learner_module
from relift.learner.learner import Learner
from relift.learner.losses import gspo, ppo_clip, sft
from relift.learner.optim import OptimizerSpec
from relift.learner.update import TrainSequence, Update
from relift.schema import UpdateKind
from tests.learner.tiny import component, gradients, relative_difference, some_sequences, tiny_model

SPECS = {"rl": OptimizerSpec(lr=1e-2), "sft": OptimizerSpec(lr=3e-2, warmup_steps=5)}
SEQUENCES = some_sequences(24)
DEMOS = some_sequences(8, seed=1, old=False)
N_TOKENS = float(sum(len(s.completion_ids_T) for s in SEQUENCES))


def mixed(sequences: tuple[TrainSequence, ...] = SEQUENCES, demos: tuple[TrainSequence, ...] = DEMOS) -> Update:
    """Every term of the form at once; the denominators are those of the whole, whatever part is given."""
    return Update(
        UpdateKind.mixed,
        "rl",
        (
            component("rl", sequences, ppo_clip(0.2, 0.28), N_TOKENS, entropy_weight=0.01),
            component("demo", demos, sft(), 8.0, scale=0.3, entropy_weight=0.1, per_sequence=True),
        ),
    )


def gradient(*updates: Update, token_budget: int = 10_000) -> dict[str, torch.Tensor]:
    learner = Learner(tiny_model(), SPECS, token_budget=token_budget)
    for update in updates:
        learner.forward_backward(update)
    return gradients(learner)


def check_budgets() -> None:
    whole = gradient(mixed())
    for token_budget in (1, 20, 64, 300):
        assert relative_difference(gradient(mixed(), token_budget=token_budget), whole) < 1e-6


def test_token_budget_changes_only_rounding() -> None:
    check_budgets()


def test_order_changes_only_rounding() -> None:
    shuffled = tuple(SEQUENCES[ix] for ix in np.random.default_rng(0).permutation(len(SEQUENCES)))
    assert relative_difference(gradient(mixed(shuffled)), gradient(mixed())) < 1e-6


def test_sequence_level_ratio_does_not_depend_on_packing() -> None:
    update = Update(UpdateKind.rl, "rl", (component("rl", SEQUENCES, gspo(0.2, 0.28), 24.0, per_sequence=True),))
    assert relative_difference(gradient(update, token_budget=30), gradient(update)) < 1e-6


def test_equal_lengths_and_single_tokens() -> None:
    """Buckets without padding, and rows of one token, take the same way."""
    equal = tuple(s for s in SEQUENCES if len(s.prompt_ids) + len(s.completion_ids_T) > 8)
    equal = tuple(
        TrainSequence(s.prompt_ids[:1], s.completion_ids_T[:1], {"advantage": s.columns["advantage"][:1]})
        for s in equal
    )
    assert relative_difference(gradient(mixed(equal), token_budget=3), gradient(mixed(equal))) < 1e-6


def check_accumulation() -> None:
    """Weights after AdamW, three times over, from parts and from the whole."""
    whole, parts = Learner(tiny_model(), SPECS), Learner(tiny_model(), SPECS, token_budget=40)
    for _ in range(3):
        whole.forward_backward(mixed())
        for start in range(0, 24, 6):
            parts.forward_backward(mixed(SEQUENCES[start : start + 6], DEMOS[start // 3 : start // 3 + 2]))
        one, many = whole.optim_step("rl"), parts.optim_step("rl")
        assert many.loss == pytest.approx(one.loss, rel=1e-5)
        assert many.grad_norm == pytest.approx(one.grad_norm, rel=1e-5)
        assert (many.n_sequences, many.n_tokens) == (one.n_sequences, one.n_tokens)
    assert relative_difference(parts.model_state_dict(), whole.model_state_dict()) < 1e-5


def test_accumulated_parts_are_one_step() -> None:
    check_accumulation()


def check_schedules() -> None:
    """Each optimizer counts its own steps: rl is constant; sft warms up 1/5, 2/5, ... of 3e-2."""
    learner = Learner(tiny_model(), SPECS)
    seen = []
    for name in ("rl", "sft", "rl", "rl", "sft"):
        learner.forward_backward(mixed())
        seen.append(learner.optim_step(name).lr)
    assert seen == pytest.approx([1e-2, 6e-3, 1e-2, 1e-2, 1.2e-2])


def test_each_optimizer_has_its_own_schedule() -> None:
    check_schedules()


def test_each_optimizer_has_its_own_moments() -> None:
    """Two RL steps with an SFT step of rate 0 between them are two RL steps."""
    results = []
    for names in (("rl", "still", "rl"), ("rl", "rl")):
        learner = Learner(tiny_model(), SPECS | {"still": OptimizerSpec(lr=0.0)})
        for name in names:
            learner.forward_backward(mixed(DEMOS if name == "still" else SEQUENCES))
            learner.optim_step(name)
        results.append(learner.model_state_dict())
    assert all(torch.equal(results[0][n], results[1][n]) for n in results[0])


def plant_micro_batch_denominators(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every micro-batch averages over its own tokens (verl 0.1, LLaMA-Factory: mean of means)."""
    original = learner_module.token_gradients

    def planted(components: Any, component_S: Any, place_S: Any, *scores: Any) -> Any:
        local = []
        for ix, c in enumerate(components):
            n = sum(len(c.sequences[p].completion_ids_T) for p, k in zip(place_S, component_S, strict=True) if k == ix)
            local.append(replace(c, terms=tuple(replace(t, denominator=float(max(1, n))) for t in c.terms)))
        return original(local, component_S, place_S, *scores)

    monkeypatch.setattr(learner_module, "token_gradients", planted)


def plant_first_micro_batch_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first micro-batch's gradient reaches the optimizer (DeepSpeed's ZeRO with offload, #7967)."""
    original = learner_module.plan
    monkeypatch.setattr(learner_module, "plan", lambda *a, **k: original(*a, **k)[:1])


def plant_lost_accumulation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each forward_backward drops the gradient accumulated before it."""
    original = Learner.forward_backward

    def planted(self: Learner, update: Update) -> None:
        for parameter in self.model.parameters():
            parameter.grad = None
        original(self, update)

    monkeypatch.setattr(Learner, "forward_backward", planted)


def plant_shared_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """An SFT step advances the RL schedule too (ReLIFT of June 2025, fsdp_worker.py:457)."""
    original = Learner.optim_step

    def planted(self: Learner, optimizer: str) -> Any:
        stats = original(self, optimizer)
        for other in self._optimizers.values():
            other.steps = max(o.steps for o in self._optimizers.values())
        return stats

    monkeypatch.setattr(Learner, "optim_step", planted)


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (plant_micro_batch_denominators, check_budgets),
        (plant_first_micro_batch_only, check_budgets),
        (plant_lost_accumulation, check_accumulation),
        (plant_shared_schedule, check_schedules),
    ],
)
def test_planted_bugs_are_caught(plant: Any, check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check()
