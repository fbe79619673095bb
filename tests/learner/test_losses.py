"""Each coefficient is the derivative of its author's formula, and numpy and torch agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from relift.learner import losses
from relift.learner.update import Loss

LENGTHS = (3, 1, 4)  # three sequences laid end to end
N = sum(LENGTHS)
SEQUENCE = np.repeat(np.arange(len(LENGTHS)), LENGTHS)


@dataclass
class FakeView:
    """A TokenView over eight tokens, in numpy or in torch."""

    logprob: Any
    old: Any
    advantage: Any
    entropy: Any
    by_sequence_mean: Callable[[Any], Any]

    def column(self, name: str) -> Any:
        """The old log-probabilities stand in for those of the reference, the advantages for those of the teacher; the
        first two tokens of the first sequence and three of the last were given."""
        given = type(self).given if isinstance(self.logprob, np.ndarray) else torch.from_numpy(type(self).given)
        return {"reference": self.old, "teacher": self.advantage, "given": given}[name]

    given = np.array([1, 1, 0, 0, 1, 1, 1, 0.0])

    def by_sequence_top(self, x: Any, among: Any, share: float) -> Any:
        """Choose the one with the largest value, of 2 and of 3 given tokens at a share of .2."""
        assert share == 0.2
        top = among & False
        for part in (slice(0, 2), slice(4, 7)):
            top[part.start + int(x[part].argmax())] = True
        return top


def mean_numpy(x: np.ndarray) -> np.ndarray:
    return np.concatenate([np.full(n, part.mean()) for n, part in zip(LENGTHS, split(x), strict=True)])


def mean_torch(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([part.mean().expand(n) for n, part in zip(LENGTHS, x.split(LENGTHS), strict=True)])


def split(x: np.ndarray) -> list[np.ndarray]:
    return np.split(x, np.cumsum(LENGTHS)[:-1])


def draw(seed: int) -> dict[str, np.ndarray]:
    """Log-probabilities, ratios on both sides of every bound, advantages of both signs and zero."""
    rng = np.random.default_rng(seed)
    logprob = -rng.exponential(1.0, N)
    old = logprob - rng.normal(0, 0.5, N)
    advantage = rng.normal(size=len(LENGTHS))[SEQUENCE]
    return {"logprob": logprob, "old": old, "advantage": advantage, "entropy": rng.exponential(1.0, N)}


def views(values: dict[str, np.ndarray]) -> tuple[FakeView, FakeView]:
    in_torch = {k: torch.from_numpy(v) for k, v in values.items()}
    return FakeView(**values, by_sequence_mean=mean_numpy), FakeView(**in_torch, by_sequence_mean=mean_torch)


# The authors' formulas, written again from the papers, as losses to be minimised over lp (a sum over tokens).
def surrogate(low: float, high: float) -> Callable[..., torch.Tensor]:
    def loss(lp: torch.Tensor, old: torch.Tensor, a: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        r = torch.exp(lp - old)
        return -torch.min(r * a, torch.clamp(r, 1 - low, 1 + high) * a).sum()

    return loss


def dual_clip(low: float, high: float, c: float) -> Callable[..., torch.Tensor]:
    def loss(lp: torch.Tensor, old: torch.Tensor, a: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        r = torch.exp(lp - old)
        first = torch.max(-a * r, -a * torch.clamp(r, 1 - low, 1 + high))
        second = torch.min(first, -a * c)
        return torch.where(a < 0, second, first).sum()

    return loss


def gspo(lp: torch.Tensor, old: torch.Tensor, a: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    total = lp.new_zeros(())
    for part_l, part_old, part_a in zip(lp.split(LENGTHS), old.split(LENGTHS), a.split(LENGTHS), strict=True):
        s = torch.exp((part_l - part_old).sum() / len(part_l))
        total = total - torch.min(s * part_a[0], torch.clamp(s, 0.8, 1.28) * part_a[0])
    return total


def srft_demo(sign: int) -> Callable[..., torch.Tensor]:
    def loss(lp: torch.Tensor, old: torch.Tensor, a: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        return -(0.5 * torch.exp(sign * mean_torch(h)).detach() * lp).sum()

    return loss


def srft_rollout(lp: torch.Tensor, old: torch.Tensor, a: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    weight = 0.1 * torch.exp(mean_torch(h)).detach()
    return -(weight * lp)[a > 0].sum() + lp[a < 0].sum()


def prefix_rft(lp: torch.Tensor, old: torch.Tensor, a: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Advantages of given tokens but the one of highest entropy are set to 0 before the surrogate (the code's way)."""
    mask = torch.ones_like(a)
    for part in (slice(0, 2), slice(4, 7)):
        mask[part] = 0
        mask[part.start + int(h[part].argmax())] = 1
    return dual_clip(0.2, 0.2, 3.0)(lp, old, a * mask, h)


def jensen_shannon(lp: torch.Tensor, old: torch.Tensor, a: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """E_T[(log T/M + rho log S/M) / 2] with M = (S + T)/2, by tokens that T drew."""
    s, t = lp.exp(), a.exp()
    m = (s + t) / 2
    return 0.7 * 0.5 * ((t / m).log() + s / t * (s / m).log()).sum()


def sdpo(lp: torch.Tensor, old: torch.Tensor, a: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    return (0.7 * torch.clamp((lp - old).detach().exp(), max=1.3) * (lp - a).detach() * lp).sum()


CASES: list[tuple[Loss, Callable[..., torch.Tensor]]] = [
    (losses.ppo_clip(0.2, 0.2), surrogate(0.2, 0.2)),
    (losses.ppo_clip(0.2, 0.28), surrogate(0.2, 0.28)),
    (losses.ppo_clip(0.2, 0.28, dual=3.0), dual_clip(0.2, 0.28, 3.0)),
    (losses.ratio(), lambda lp, old, a, h: -(torch.exp(lp - old) * a).sum()),
    (losses.gspo(0.2, 0.28), gspo),
    (losses.cispo(1.28), lambda lp, old, a, h: -(torch.clamp((lp - old).exp(), max=1.28).detach() * a * lp).sum()),
    (losses.luffy(0.1), lambda lp, old, a, h: -(a * lp.exp() / (lp.exp() + 0.1)).sum()),
    (losses.probability(), lambda lp, old, a, h: -(a * lp.exp()).sum()),
    (losses.sft(), lambda lp, old, a, h: -lp.sum()),
    (losses.dft(), lambda lp, old, a, h: -(lp.exp().detach() * lp).sum()),
    (losses.chord_phi(0.1), lambda lp, old, a, h: -(0.1 * (lp.exp() * (1 - lp.exp())).detach() * lp).sum()),
    (losses.srft_demo(-1), srft_demo(-1)),
    (losses.srft_demo(1), srft_demo(1)),
    (losses.srft_rollout(), srft_rollout),
    (losses.distillation(0.7), lambda lp, old, a, h: -(0.7 * (lp - old).exp() * (a - lp).detach()).sum()),
    (losses.self_distillation(0.7, cap=1.3), sdpo),
    (losses.jensen_shannon(0.7), jensen_shannon),
    (losses.of_given(losses.ppo_clip(0.2, 0.2, dual=3.0), 0.2), prefix_rft),
    (losses.k3_kl(0.04), lambda lp, old, a, h: 0.04 * ((old - lp).exp() - (old - lp) - 1).sum()),
]  # fmt: skip
IDS = [f"{n}-{loss.name}" for n, (loss, _) in enumerate(CASES)]


@pytest.mark.parametrize(("loss", "formula"), CASES, ids=IDS)
@pytest.mark.parametrize("seed", range(20))
def test_coefficient_is_the_derivative_of_the_authors_formula(
    loss: Loss, formula: Callable[..., torch.Tensor], seed: int
) -> None:
    values = draw(seed)
    in_numpy, in_torch = views(values)
    logprob = torch.from_numpy(values["logprob"]).requires_grad_()
    value = formula(logprob, in_torch.old, in_torch.advantage, in_torch.entropy)
    (gradient,) = torch.autograd.grad(value, logprob)
    coefficient = loss.coefficient(np, in_numpy)
    share = 1 / np.array(LENGTHS)[SEQUENCE] if loss.name == "gspo" else 1.0
    np.testing.assert_allclose(-gradient.numpy(), coefficient * share, rtol=0, atol=1e-12)
    np.testing.assert_allclose((loss.objective(np, in_numpy) * share).sum(), -value.item(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("loss", "formula"), CASES, ids=IDS)
def test_numpy_and_torch_agree(loss: Loss, formula: Callable[..., torch.Tensor]) -> None:
    in_numpy, in_torch = views(draw(3))
    for function in (loss.coefficient, loss.objective, loss.removed):
        if function is not None:
            got = function(torch, in_torch)
            np.testing.assert_allclose(got.numpy(), function(np, in_numpy), rtol=0, atol=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_tokens_of_the_teacher_give_the_whole_jensen_shannon_divergence(seed: int) -> None:
    """Over a vocabulary of 11, by autograd: sum_v T(v) c(v) grad log S(v) is minus the divergence's gradient, and the
    mean of the objective minus the divergence."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=11) * 2).requires_grad_()
    log_t = torch.log_softmax(torch.from_numpy(rng.normal(size=11) * 2), 0)
    log_s = torch.log_softmax(logits, 0)
    s, t = log_s.exp(), log_t.exp()
    m = (s + t) / 2
    divergence = 0.5 * ((t * (t / m).log()).sum() + (s * (s / m).log()).sum())
    (expected,) = torch.autograd.grad(divergence, logits, retain_graph=True)
    values = {
        "logprob": log_s.detach().numpy(),
        "old": np.zeros(11),
        "advantage": log_t.numpy(),
        "entropy": np.zeros(11),
    }
    loss, view = losses.jensen_shannon(1.0), views(values)[0]
    coefficient = torch.from_numpy(loss.coefficient(np, view))
    (got,) = torch.autograd.grad((t * coefficient * log_s).sum(), logits)
    np.testing.assert_allclose(-got.numpy(), expected.numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose((t.numpy() * loss.objective(np, view)).sum(), -divergence.item(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("advantage", [1.5, -1.5])
@pytest.mark.parametrize("offset", [-1e-9, 1e-9])
@pytest.mark.parametrize("bound", [0.8, 1.28, 3.0])
@pytest.mark.parametrize("dual", [None, 3.0])
def test_beside_a_clip_bound(bound: float, offset: float, advantage: float, dual: float | None) -> None:
    """The side decides: kept inside, silenced outside, for both signs of the advantage."""
    ratio = bound + offset
    values = {name: np.zeros(N) for name in ("logprob", "entropy")}
    values |= {"old": np.full(N, -np.log(ratio)), "advantage": np.full(N, advantage)}
    loss = losses.ppo_clip(0.2, 0.28, dual=dual)
    got = loss.coefficient(np, views(values)[0])
    kept = ratio <= 1.28 if advantage > 0 else 0.8 <= ratio <= (dual or np.inf)
    np.testing.assert_allclose(got, advantage * ratio if kept else 0.0, rtol=0, atol=1e-12)
    assert loss.removed is not None
    assert (loss.removed(np, views(values)[0]) == (not kept)).all()


def test_ratio_of_one_keeps_the_plain_policy_gradient() -> None:
    values = draw(0) | {"old": draw(0)["logprob"]}
    for loss in (losses.ppo_clip(0.2, 0.28, dual=3.0), losses.ratio(), losses.gspo(0.2, 0.28), losses.cispo(1.28)):
        np.testing.assert_array_equal(loss.coefficient(np, views(values)[0]), values["advantage"])


def test_zero_advantage_is_zero_and_counts_as_kept() -> None:
    values = draw(1) | {"advantage": np.zeros(N)}
    loss = losses.ppo_clip(0.2, 0.28, dual=3.0)
    assert (loss.coefficient(np, views(values)[0]) == 0).all()
    assert loss.removed is not None
    assert not loss.removed(np, views(values)[0]).any()
