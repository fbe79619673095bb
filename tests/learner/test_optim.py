"""Schedules by hand; AdamW against torch's plain loop."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from relift.errors import InputError
from relift.learner.learner import Learner
from relift.learner.optim import NamedOptimizer, OptimizerSpec
from relift.learner.update import Update
from relift.schema import UpdateKind
from tests.learner.tiny import tiny_model


def test_schedules_by_hand() -> None:
    warm = OptimizerSpec(lr=8.0, warmup_steps=4)
    assert [warm.lr_at(s) for s in (0, 1, 3, 4, 99)] == [2.0, 4.0, 8.0, 8.0, 8.0]
    linear = OptimizerSpec(lr=8.0, warmup_steps=2, schedule="linear", total_steps=10, final_ratio=0.5)
    # From step 2 to 10 it falls from 8 to 4: half way, at step 6, it is 6; later it stays.
    assert [linear.lr_at(s) for s in (1, 2, 6, 10, 50)] == [8.0, 8.0, 6.0, 4.0, 4.0]
    cosine = OptimizerSpec(lr=8.0, schedule="cosine", total_steps=4, final_ratio=0.25)
    assert [cosine.lr_at(s) for s in (0, 2, 4)] == pytest.approx([8.0, 5.0, 2.0])  # middle: (8 + 2)/2
    with pytest.raises(InputError, match="total_steps"):
        OptimizerSpec(lr=1.0, schedule="cosine")


def test_adamw_is_torchs() -> None:
    spec = OptimizerSpec(lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.2)
    start, gradient = torch.linspace(-1, 1, 6), torch.linspace(1, 3, 6)
    mine, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    named = NamedOptimizer("rl", spec, {"w": mine})
    plain = torch.optim.AdamW(
        [theirs], lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.2, foreach=False, fused=False
    )
    for n in range(3):
        mine.grad, theirs.grad = gradient * n, gradient * n
        named.step(named.spec.lr_at(named.steps))
        plain.step()
    torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-7)


def test_a_parameter_without_gradient_takes_part_with_zero() -> None:
    """Weight decay alone: w (1 - lr wd) = 2 (1 - .5 * .1) = 1.9."""
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    named = NamedOptimizer("rl", OptimizerSpec(lr=0.5, weight_decay=0.1), {"w": weight})
    named.step(named.spec.lr_at(named.steps))
    assert weight.item() == pytest.approx(1.9)
    assert set(named.moments()) == {"w/exp_avg", "w/exp_avg_sq"}
    named.reset()
    assert (named.moments(), named.steps) == ({}, 0)


def test_a_schedule_may_count_steps_of_the_run() -> None:
    """Linear from 1 to 0 over 10 steps of the run: at step 5 the optimizer's first step has .5."""
    spec = OptimizerSpec(lr=1.0, schedule="linear", total_steps=10, over_run=True)
    learner = Learner(tiny_model(), {"own": replace(spec, over_run=False), "run": spec})
    nothing = Update(UpdateKind.sft, "run", ())
    rates = []
    for name in ("own", "run"):
        learner.forward_backward(nothing)
        rates.append(learner.optim_step(name, run_steps=5).lr)
    assert rates == [1.0, 0.5]
