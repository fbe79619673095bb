"""Importance weights between sampler and learner, by hand; their gaps as sums and a quantile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from relift.learner.gradient import N_SUMS, SUMS, gap_sums
from relift.learner.importance import GAP_SUMS, N_BINS, quantile, weighted
from relift.learner.losses import ratio, sft
from relift.trainer.configuration import load_config
from relift.trainer.recipes import build

LENGTHS = [2, 3]
SEQUENCE = np.array([0, 0, 1, 1, 1])


@dataclass
class View:
    """Two sequences of 2 and 3 tokens; the sampler told nothing of the last one."""

    logprob: Any
    old: Any
    sampler: Any
    sampled: Any
    advantage: Any

    def by_sequence_sum(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            return torch.stack([part.sum() for part in x.split(LENGTHS)])[torch.from_numpy(SEQUENCE)]
        return np.add.reduceat(x, [0, 2])[SEQUENCE]


VALUES = {
    "logprob": np.full(5, -1.0),
    "old": np.full(5, -1.0),
    "sampler": -1.0 - np.log([1.5, 4.0, 0.5, 1.0, 1.0]),  # weights 1.5, 4, .5, 1
    "sampled": np.array([True, True, True, True, False]),
    "advantage": np.array([1.0, 1.0, -2.0, -2.0, -2.0]),
}


@pytest.mark.parametrize(
    ("by", "masked", "weights"),
    [
        ("token", False, [1.5, 2.0, 0.5, 1.0, 1.0]),  # capped at 2
        ("token", True, [1.5, 0.0, 0.5, 1.0, 1.0]),
        ("sequence", False, [2.0, 2.0, 0.5, 0.5, 0.5]),  # products 6 and .5
        ("sequence", True, [0.0, 0.0, 0.5, 0.5, 0.5]),
    ],
)
def test_weights_by_hand(by: Any, masked: bool, weights: list[float]) -> None:  # noqa: FBT001 - a parameter of cases
    """The ratio to the old policy is 1, so that the coefficient is weight times advantage; so is the objective."""
    loss = weighted(ratio(), by=by, cap=2.0, masked=masked)
    expected = np.array(weights) * VALUES["advantage"]
    in_torch = View(**{name: torch.from_numpy(value) for name, value in VALUES.items()})
    for fn in (loss.coefficient, loss.objective):
        np.testing.assert_allclose(fn(np, View(**VALUES)), expected)
        np.testing.assert_allclose(fn(torch, in_torch).numpy(), expected)
    assert loss.name == "ratio"


def test_weights_are_of_the_old_policy_and_huge_ones_are_capped() -> None:
    """The learner has moved on since: the weight is that of `old`. A gap of 1,000 nats is the cap, never infinity."""
    moved = View(**{**VALUES, "logprob": np.full(5, -2.0), "sampler": np.array([-1001.0, -1.0, -1.0, -1.0, -1.0])})
    with np.errstate(over="ignore"):
        got = weighted(sft(), by="token", cap=2.0, masked=False).coefficient(np, moved)
    np.testing.assert_allclose(got, [2.0, 1.0, 1.0, 1.0, 1.0])


def test_sums_of_gaps_and_their_quantile() -> None:
    """99 gaps of +-.01 and one of 2: mean |gap| (.99 + 2)/100, p99 in the bin of .01, p100 in that of 2."""
    gaps = torch.tensor([0.01, -0.01] * 49 + [0.01, 2.0], dtype=torch.float64)
    values = gap_sums(gaps)
    sums, counts = dict(zip(GAP_SUMS, values.tolist(), strict=False)), values[len(GAP_SUMS) :].tolist()
    assert len(SUMS) + len(values) == N_SUMS and len(counts) == N_BINS and sum(counts) == 100
    assert sums["gap"] == pytest.approx(2.99)
    weights = [math.exp(gap) for gap in gaps.tolist()]
    assert sums["weight"] == pytest.approx(sum(weights))
    assert sums["weight_squared"] == pytest.approx(sum(w * w for w in weights))
    for share, exact in ((0.99, 0.01), (1.0, 2.0)):
        found = quantile(counts, share)
        assert found is not None and exact <= found <= 1.08 * exact
    assert quantile([0.0] * N_BINS, 0.99) is None
    assert quantile(gap_sums(torch.tensor([0.0, 1e9]))[3:].tolist(), 0.5) == pytest.approx(1e-7, rel=0.08)


def test_weights_are_on_where_another_program_samples() -> None:
    def loss_of(*settings: str) -> str:
        recipe = build(load_config("relift", overrides=["model.path=m", "data.questions=q.jsonl", *settings]))
        assert recipe.rl is not None
        return recipe.rl.loss.coefficient.__qualname__

    assert loss_of().startswith("ppo_clip")
    assert loss_of("rollout.engine=vllm").startswith("weighted")
    assert loss_of("rollout.engine=vllm", "rl.importance=none").startswith("ppo_clip")
    assert loss_of("rl.importance=sequence").startswith("weighted")
