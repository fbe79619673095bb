"""Drawing tokens: exact edges of the inverse distribution, truncation against plain numpy, frequencies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from relift.engines import token_draw
from relift.engines.token_draw import draw_tokens, truncate, uniforms_of
from relift.engines.tokens import Sampling


def draw(probs: list[float], uniforms: list[float], **sampling: float) -> list[int]:
    logits_RV = torch.tensor([probs]).log().repeat(len(uniforms), 1)
    uniform_R = torch.tensor(uniforms, dtype=torch.float64)
    return draw_tokens(logits_RV, uniform_R, sampling=Sampling(max_tokens=1, **sampling)).token_R.tolist()


def test_each_token_owns_its_piece_of_the_unit_interval() -> None:
    # cumulative: .25, .75, 1; a boundary belongs to the token above it
    assert draw([0.25, 0.5, 0.25], [0.0, 0.24, 0.26, 0.74, 0.76, 0.99]) == [0, 0, 1, 1, 2, 2]


def test_a_token_without_probability_is_never_drawn() -> None:
    largest = 1 - 2**-53  # the largest number that uniforms_of can give
    logits_RV = torch.tensor([[-1e30, 0.0, -1e30, 0.0, -1e30]] * 4)
    uniform_R = torch.tensor([0.0, 0.5 - 1e-9, 0.5 + 1e-9, largest], dtype=torch.float64)
    drawn = draw_tokens(logits_RV, uniform_R, sampling=Sampling(max_tokens=1))
    assert drawn.token_R.tolist() == [1, 1, 3, 3]
    assert drawn.logprob_R.tolist() == pytest.approx([math.log(0.5)] * 4)


def test_the_largest_uniform_stays_in_the_vocabulary() -> None:
    # Sums of many float32 probabilities are a little off 1, and the product with the largest uniform may round up.
    generator = torch.Generator().manual_seed(0)
    logits_RV = torch.randn(200, 997, generator=generator) * 4
    uniform_R = torch.full((200,), 1 - 2**-53, dtype=torch.float64)
    token_R = draw_tokens(logits_RV, uniform_R, sampling=Sampling(max_tokens=1)).token_R
    probability_R = logits_RV.softmax(-1).gather(1, token_R[:, None])
    assert int(token_R.max()) < 997 and float(probability_R.min()) > 0


def test_temperature_divides_the_logits_and_the_logprobs_are_of_that_distribution() -> None:
    # logits 0 and ln 3; at temperature 1/2 they are 0 and ln 9: probabilities 1/10 and 9/10
    logits_RV = torch.tensor([[0.0, math.log(3.0)]])
    drawn = draw_tokens(logits_RV, torch.tensor([0.11], dtype=torch.float64), sampling=Sampling(1, temperature=0.5))
    assert drawn.token_R.tolist() == [1]
    assert drawn.logprob_R.item() == pytest.approx(math.log(0.9))
    assert drawn.entropy_R.item() == pytest.approx(-0.1 * math.log(0.1) - 0.9 * math.log(0.9))


def test_greedy_takes_the_first_of_equals_and_reports_temperature_one() -> None:
    drawn = draw_tokens(torch.zeros(1, 4), torch.zeros(1, dtype=torch.float64), sampling=Sampling(1, temperature=0.0))
    assert drawn.token_R.tolist() == [0]
    assert drawn.logprob_R.item() == pytest.approx(math.log(0.25))
    assert drawn.entropy_R.item() == pytest.approx(math.log(4.0))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_entropy_shows_logits_that_are_not_finite(bad: float) -> None:
    logits_RV = torch.zeros(2, 5)
    logits_RV[1, 3] = bad
    entropy_R = draw_tokens(logits_RV, torch.zeros(2, dtype=torch.float64), sampling=Sampling(1)).entropy_R
    assert torch.isfinite(entropy_R).tolist() == [True, False]


def truncate_plainly(prob_V: np.ndarray, top_k: int, top_p: float) -> np.ndarray:
    """Top-k, then top-p of what is left, one token at a time."""
    ranked = sorted(range(len(prob_V)), key=lambda v: (-prob_V[v], v))
    ranked = ranked if top_k == -1 else ranked[:top_k]
    total = sum(float(prob_V[v]) for v in ranked)
    kept, reached = [], 0.0
    for v in ranked:
        if reached >= top_p * total:
            break
        kept.append(v)
        reached += float(prob_V[v])
    return np.where(np.isin(np.arange(len(prob_V)), kept), prob_V, 0)


@pytest.mark.parametrize(
    ("top_k", "top_p"), [(-1, 0.5), (-1, 0.9), (3, 1.0), (1, 1.0), (100, 1.0), (7, 0.6), (-1, 1e-9)]
)
def test_truncation_equals_a_plain_loop(top_k: int, top_p: float) -> None:
    generator = torch.Generator().manual_seed(3)
    # Rounded logits: many equal probabilities, so that the order of equals matters.
    prob_RV = (torch.randn(50, 23, generator=generator) * 2).round().softmax(-1)
    kept_RV = truncate(prob_RV, sampling=Sampling(1, top_k=top_k, top_p=top_p)).numpy()
    for prob_V, kept_V in zip(prob_RV.numpy(), kept_RV, strict=True):
        np.testing.assert_array_equal(kept_V, truncate_plainly(prob_V, top_k, top_p))


def test_top_p_keeps_the_token_that_reaches_p_and_no_more() -> None:
    # .5 + .25 reach .75 exactly (all are exact in binary): the third token is out
    assert draw([0.5, 0.25, 0.125, 0.125], [0.0, 0.6, 0.7, 0.99], top_p=0.75) == [0, 0, 1, 1]
    assert draw([0.5, 0.25, 0.125, 0.125], [0.8, 0.99], top_p=0.76) == [1, 2]


def test_frequencies_follow_the_distribution() -> None:
    # 20,000 draws of five tokens, one seed each; chi-square of a right sampler exceeds the limit once in 1,000 seeds
    probs = [0.05, 0.4, 0.1, 0.15, 0.3]
    tokens = draw(probs, [float(uniforms_of(seed, 1)[0]) for seed in range(20_000)])
    counts = np.bincount(tokens, minlength=5)
    assert stats.chisquare(counts, 20_000 * np.array(probs)).pvalue > 1e-3


def test_uniforms_are_counter_based() -> None:
    long = uniforms_of(2**63 - 1, 100)
    np.testing.assert_array_equal(uniforms_of(2**63 - 1, 7), long[:7])
    assert not np.any(uniforms_of(0, 100) == uniforms_of(1, 100))
    assert 0 <= long.min() and long.max() < 1


def test_rows_drawn_in_parts_are_those_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven rows of 50 tokens, two at a time: bit for bit what one pass gives."""
    generator = torch.Generator().manual_seed(0)
    logits_RV = torch.randn(7, 50, generator=generator) * 3
    uniform_R = torch.rand(7, generator=generator, dtype=torch.float64)
    for sampling in (Sampling(1), Sampling(1, temperature=0.0), Sampling(1, 0.7, 0.9, 20)):
        whole = draw_tokens(logits_RV, uniform_R, sampling=sampling)
        monkeypatch.setattr(token_draw, "AT_A_TIME", 100)
        parts = draw_tokens(logits_RV, uniform_R, sampling=sampling)
        monkeypatch.undo()
        for name in ("token_R", "logprob_R", "entropy_R"):
            assert torch.equal(getattr(whole, name), getattr(parts, name))
