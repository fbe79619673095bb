"""Do 95 % intervals hold 95 % of the time? Simulated and, at one attempt a question, counted out.

True rates p of N questions are drawn from four beta distributions, then k attempts at each. "Questions like these":
the interval should hold the mean of the beta; "these questions": the mean of the p drawn. docs/statistics.md has the
results of the slow tests; `python -m tests.analysis.scores.test_coverage` prints them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from scipy.special import expit

from relift import stats
from relift.analysis.scores.macro import macro_like_these

BETAS = ((0.3, 0.9), (0.6, 0.6), (0.08, 0.8), (2.0, 0.5))  # means .25, .5, .09, .8
# harder than asked for: nearly all questions failed, or all of two kinds, or all alike
HARD = ((0.02, 0.8), (0.05, 3.0), (0.02, 0.02), (3.0, 27.0), (1.0, 1.0), (5.0, 5.0), (0.5, 0.05))
NS = (30, 83, 500)


def covered(holds: list[bool]) -> float:
    return float(np.mean(holds))


def like_these(n: int, k: int, beta: tuple[float, float], *, sets: int, seed: int = 0) -> float:
    rng = np.random.default_rng([seed, n, k])
    mean, decided_Q = beta[0] / sum(beta), np.full(n, k)
    holds = []
    for _ in range(sets):
        found = stats.mean_over_questions(rng.binomial(k, rng.beta(*beta, size=n)), decided_Q)
        holds.append(found.low <= mean <= found.high)
    return covered(holds)


def these(n: int, k: int, beta: tuple[float, float], *, sets: int, seed: int = 0) -> float:
    rng = np.random.default_rng([seed, n, k])
    decided_Q = np.full(n, k)
    holds = []
    for _ in range(sets):
        p_Q = rng.beta(*beta, size=n)
        rate_Q = rng.binomial(k, p_Q) / k
        found = stats.mean_over_these(rate_Q, rate_Q * (1 - rate_Q) / (k - 1), n_decided=decided_Q)
        holds.append(found.low <= p_Q.mean() <= found.high)
    return covered(holds)


def single_attempts(n: int, mean: float) -> float:
    """Coverage at k = 1, exactly: what p are drawn does not matter, the number solved is Binomial(n, mean)."""
    low, high = single_intervals(n)
    return float(stats.shares_of_binomial(n, mean) @ ((low <= mean) & (mean <= high)))


@cache
def single_intervals(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Both ends by number solved, 0 to n."""
    found = [stats.mean_over_questions(np.arange(n) < c, np.ones(n)) for c in range(n + 1)]
    return np.array([one.low for one in found]), np.array([one.high for one in found])


def paired(n: int, k: int, *, shift: float, sets: int, seed: int = 0) -> tuple[float, float, float]:
    """Logit-normal difficulty (sd 2.5), one run better by `shift` on the logit scale. How often the interval for
    questions like these holds the mean difference, the one for these questions theirs, and how often p < .05."""
    rng = np.random.default_rng([seed, n, k])
    wide_z = rng.normal(scale=2.5, size=200_000)
    truth = float((expit(wide_z + shift) - expit(wide_z)).mean())
    decided_Q, holds, holds_these, rejects = np.full(n, k), [], [], []
    for _ in range(sets):
        z_Q = rng.normal(scale=2.5, size=n)
        p_a, p_b = expit(z_Q + shift), expit(z_Q)
        a, b = rng.binomial(k, p_a) / k, rng.binomial(k, p_b) / k
        like = stats.paired_rates(a - b)
        holds.append(like.low <= truth <= like.high)
        rejects.append(like.p_value < 0.05)
        if k > 1:
            variance_Q = (a * (1 - a) + b * (1 - b)) / (k - 1)
            alone = stats.paired_these(a - b, variance_Q, n_decided=decided_Q)
            holds_these.append(alone.low <= (p_a - p_b).mean() <= alone.high)
    return covered(holds), covered(holds_these) if holds_these else float("nan"), covered(rejects)


@pytest.mark.parametrize("n", NS)
@pytest.mark.parametrize("k", [8, 32])
def test_questions_like_these(n: int, k: int) -> None:
    # 4 x 600 sets: a standard error of .0045 for their mean, .009 for each
    found = [like_these(n, k, beta, sets=600 if n < 500 else 300) for beta in BETAS]
    assert 0.935 <= np.mean(found) <= 0.97 and min(found) > 0.91 and max(found) < 0.99


@pytest.mark.parametrize("n", NS)
def test_questions_like_these_at_one_attempt_each(n: int) -> None:
    # exact; for every mean from .05 to .95, 30 questions keep between .921 and .980, because counts are whole
    found = [single_attempts(n, a / (a + b)) for a, b in BETAS]
    assert 0.93 <= min(found) and max(found) <= 0.97
    means = np.linspace(0.05, 0.95, 181)
    least, most = {30: (0.92, 0.981), 83: (0.928, 0.971), 500: (0.939, 0.961)}[n]
    everywhere = [single_attempts(n, float(mean)) for mean in means]
    assert least <= min(everywhere) and max(everywhere) <= most


@pytest.mark.parametrize(("n", "k"), [(30, 8), (83, 8), (30, 32)])
def test_almost_nothing_solved(n: int, k: int) -> None:
    # the logit-t interval without its two questions of weight .1 holds .97, .91, .83 of the time here
    assert 0.93 <= like_these(n, k, HARD[0], sets=600) <= 0.99


@pytest.mark.parametrize(("n", "k"), [(30, 8), (83, 32), (500, 8)])
def test_these_questions(n: int, k: int) -> None:
    found = [these(n, k, beta, sets=500 if n < 500 else 250) for beta in BETAS]
    assert 0.935 <= np.mean(found) <= 0.965 and min(found) > 0.91


@pytest.mark.parametrize(("n", "k"), [(30, 1), (30, 8), (83, 8)])
def test_paired_differences(n: int, k: int) -> None:
    like, alone, _ = paired(n, k, shift=0.5, sets=1_000)
    assert 0.93 <= like <= 0.97 and (k == 1 or 0.93 <= alone <= 0.97)
    _, _, rejected = paired(n, k, shift=0.0, sets=1_000)
    assert 0.03 <= rejected <= 0.07


def macro_holds(*, sets: int, seed: int = 0) -> float:
    """Count how often the interval of the mean over three unlike benchmarks holds the mean of their betas' means."""
    rng = np.random.default_rng(seed)
    parts = [(30, 8, BETAS[2]), (83, 8, BETAS[0]), (500, 1, BETAS[3])]
    truth = np.mean([a / (a + b) for _, _, (a, b) in parts])
    holds = []
    for _ in range(sets):
        units, estimates, first = [], [], 0
        for n, k, beta in parts:
            correct_Q = rng.binomial(k, rng.beta(*beta, size=n))
            units.append((np.arange(first, first + n), correct_Q / k))
            estimates.append(stats.mean_over_questions(correct_Q, np.full(n, k)))
            first += n
        found = macro_like_these(units, estimates, level=0.95)
        holds.append(found.low <= truth <= found.high)
    return covered(holds)


def test_macro_average() -> None:
    assert 0.93 <= macro_holds(sets=1_500) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("beta", BETAS, ids=str)
def test_coverage_in_full(beta: tuple[float, float]) -> None:
    for n in NS:
        sets = 20_000 if n < 500 else 5_000
        for k in (8, 32):
            assert 0.93 <= like_these(n, k, beta, sets=sets) <= 0.97, (n, k)
            assert 0.93 <= these(n, k, beta, sets=sets) <= 0.97, (n, k)


def table() -> Iterator[str]:
    """The slow simulation as lines: cell, coverage of each beta."""
    for name, coverage in (("like", like_these), ("these", these)):
        for n in NS:
            for k in (2, 8, 32):
                sets = 20_000 if n < 500 and k > 2 else 5_000
                found = [coverage(n, k, beta, sets=sets, seed=1) for beta in BETAS]
                found += [coverage(n, k, beta, sets=2_500, seed=1) for beta in HARD]
                yield f"{name} {n} {k} " + " ".join(f"{share:.3f}" for share in found)
    for n in NS:
        found = [single_attempts(n, a / (a + b)) for a, b in (*BETAS, *HARD)]
        means = np.linspace(0.05, 0.95, 1_801)
        everywhere = np.array([single_attempts(n, float(mean)) for mean in means])
        share = ((everywhere >= 0.93) & (everywhere <= 0.97)).mean()
        yield f"like {n} 1 " + " ".join(f"{share:.3f}" for share in found)
        yield f"  means .05 to .95: {everywhere.min():.3f} to {everywhere.max():.3f}, {share:.2f} of them in .93 to .97"
    yield f"macro: {macro_holds(sets=20_000, seed=1):.3f}"
    for n in NS:
        for k in (1, 8, 32):
            for shift in (0.0, 0.5):
                found = paired(n, k, shift=shift, sets=10_000 if n < 500 else 5_000, seed=1)
                yield f"paired {n} {k} shift {shift}: " + " ".join(f"{share:.3f}" for share in found)


if __name__ == "__main__":
    for line in table():
        print(line, flush=True)
