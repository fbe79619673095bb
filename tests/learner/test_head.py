"""The fused head against autograd, kept and recomputed, with and without bias and entropy gradient."""

from __future__ import annotations

import pytest
import torch

from relift.learner import head
from relift.learner.head import TokenScores

C, D, V = 7, 5, 11


def inputs(*, bias: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden, weight, offset = (
        torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in ((C, D), (V, D), (V,))
    )
    return hidden, weight, offset if bias else None, torch.randint(V, (C,), generator=generator)


def plain(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, target: torch.Tensor) -> torch.Tensor:
    logprobs = torch.log_softmax(torch.nn.functional.linear(hidden, weight, bias) / 0.7, -1)
    return torch.stack([logprobs.gather(1, target[:, None])[:, 0], -(logprobs.exp() * logprobs).sum(-1)])


@pytest.mark.parametrize("chunk_elements", [10**6, 2 * V], ids=["kept", "recomputed"])
@pytest.mark.parametrize("bias", [False, True], ids=["no_bias", "bias"])
def test_values_and_gradients_are_autograds(bias: bool, chunk_elements: int, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    monkeypatch.setattr(head, "CHUNK_ELEMENTS", chunk_elements)
    hidden, weight, offset, target = inputs(bias=bias)
    leaves = [x for x in (hidden, weight, offset) if x is not None]
    seeds = torch.randn(2, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = plain(hidden, weight, offset, target)
    got = TokenScores.apply(hidden, weight, offset, target, 0.7, True)  # noqa: FBT003
    torch.testing.assert_close(torch.stack(got), expected, rtol=0, atol=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(got, leaves, tuple(seeds)), torch.autograd.grad(expected, leaves, seeds), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_each_token_may_have_its_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    """A column of .7 is the number .7, in chunks too."""
    monkeypatch.setattr(head, "CHUNK_ELEMENTS", 2 * V)
    results = []
    for temperature in (0.7, torch.full((C,), 0.7, dtype=torch.float64)):
        hidden, weight, _, target = inputs(bias=False)
        got = TokenScores.apply(hidden, weight, None, target, temperature, True)  # noqa: FBT003
        results.append((*got, *torch.autograd.grad((got[0] + 2 * got[1]).sum(), (hidden, weight))))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-14)


def test_without_entropy_gradient_the_entropy_is_a_number() -> None:
    hidden, weight, _, target = inputs(bias=False)
    logprob, entropy = TokenScores.apply(hidden, weight, None, target, 0.7, False)  # noqa: FBT003
    assert logprob.requires_grad
    assert not entropy.requires_grad
    expected = torch.autograd.grad(plain(hidden, weight, None, target)[0].sum(), hidden)[0]
    torch.testing.assert_close(torch.autograd.grad(logprob.sum(), hidden)[0], expected, rtol=0, atol=1e-12)


def test_more_than_one_chunk_keeps_no_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "CHUNK_ELEMENTS", 2 * V)
    hidden, weight, _, target = inputs(bias=False)
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()) or t, lambda t: t):
        TokenScores.apply(hidden, weight, None, target, 1.0, True)  # noqa: FBT003
    assert max(saved) == weight.numel()  # 55; logits would be 77


def test_a_certain_token_has_no_entropy_and_no_nan() -> None:
    """Logits 1000 apart: p = 0 for all others, 0 log 0 counts as 0."""
    hidden = torch.ones(1, 1, requires_grad=True)
    weight = torch.tensor([[1000.0], [0.0]], requires_grad=True)
    logprob, entropy = TokenScores.apply(hidden, weight, None, torch.tensor([0]), 1.0, True)  # noqa: FBT003
    (logprob.sum() + entropy.sum()).backward()
    assert (logprob.item(), entropy.item()) == (0.0, 0.0)
    assert weight.grad is not None
    assert (weight.grad == 0).all()
