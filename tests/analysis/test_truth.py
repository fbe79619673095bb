"""Simulated runs whose true rates are known: what the analysis says against what is so."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from relift.analysis import (
    EPSILON_64,
    assign_bands,
    band_accuracy,
    band_transitions,
    compare_runs,
    fit_prior,
    paired_difference,
    reach,
    solved_sets,
    support,
)
from relift.analysis.questions.bands import band_codes
from tests.analysis.frames import frozen_rates, trajectories

Floats = NDArray[np.float64]
N = 8


@dataclass(frozen=True)
class Planted:
    """One tenth of the questions gains up to .3, one tenth loses up to .3, the others stay: rates [Q]."""

    before_Q: Floats
    after_Q: Floats


def plant(n_questions: int, rng: np.random.Generator) -> Planted:
    before_Q = frozen_rates(n_questions, rng)
    shift_Q = np.repeat([0.3, -0.3, 0.0], [n_questions // 10, n_questions // 10, n_questions - n_questions // 5])
    return Planted(before_Q, np.clip(before_Q + shift_Q, 0, 1))


def probe(planted: Planted, rng: np.random.Generator) -> pd.DataFrame:
    draws = [(planted.before_Q, "base", 0, 0), (planted.before_Q, "base", 0, 1), (planted.after_Q, "rl", 9, 0)]
    return pd.concat([trajectories(rng.binomial(N, p), run=run, step=s, draw=d) for p, run, s, d in draws])


def band_chances(rate_Q: Floats) -> Floats:
    """P(band) of each question: [Q, 4], exactly."""
    from scipy.special import comb

    c = np.arange(N + 1)
    chance_Qc = comb(N, c) * rate_Q[:, None] ** c * (1 - rate_Q[:, None]) ** (N - c)
    return np.stack([chance_Qc[:, band_codes(c, N) == i].sum(axis=1) for i in range(4)], axis=1)


def estimates(planted: Planted, rng: np.random.Generator) -> dict[str, Floats]:
    frame = probe(planted, rng)
    bands = assign_bands(frame, run="base")
    moves = band_transitions(frame, bands, resamples=0)
    change = band_accuracy(frame, bands, resamples=0)
    pairs = compare_runs(frame[(frame["step"] > 0) | (frame["draw"] == 1)], a="rl", b="base")
    sets = support(solved_sets(frame, base="base"), resamples=0).iloc[0]
    return {
        "excess": moves["excess"].to_numpy(),
        "change": change.loc[change["run"] == "rl", "change"].to_numpy(),
        "difference": paired_difference(pairs)["difference"].to_numpy(),
        "gained, lost": np.array([sets[k] - sets[f"null_{k}"] for k in ("gained", "lost")], float),
    }


def truths(planted: Planted) -> dict[str, Floats]:
    before_QB, after_QB = band_chances(planted.before_Q), band_chances(planted.after_Q)
    in_band_B = before_QB.sum(axis=0)
    unsolved_Q, later_Q = (1 - planted.before_Q) ** N, (1 - planted.after_Q) ** N
    flips = [(unsolved_Q * (unsolved_Q - later_Q)).sum(), ((1 - unsolved_Q) * (later_Q - unsolved_Q)).sum()]
    return {
        "excess": ((before_QB.T @ (after_QB - before_QB)) / in_band_B[:, None]).ravel(),
        "change": before_QB.T @ (planted.after_Q - planted.before_Q) / in_band_B,
        "difference": np.array([(planted.after_Q - planted.before_Q).mean()]),
        "gained, lost": np.array(flips),
    }


def largest_bias(n_sets: int) -> dict[str, float]:
    """Largest |mean error| of each estimate, in standard errors of that mean, over sets with the same rates."""
    rng = np.random.default_rng(21)
    planted = plant(1_000, rng)
    sets = [estimates(planted, rng) for _ in range(n_sets)]
    found = {}
    for name, truth in truths(planted).items():
        error = np.stack([one[name] for one in sets]) - truth
        found[name] = float(np.abs(error.mean(axis=0) / (error.std(axis=0, ddof=1) / np.sqrt(n_sets))).max())
    return found


def test_planted_gains_and_losses_are_recovered_without_bias() -> None:
    # 23 numbers in all: the largest of as many standard normal ones exceeds 3.7 once in 200
    for name, bias in largest_bias(60).items():
        assert bias < 3.7, name


@pytest.mark.slow
def test_planted_gains_and_losses_are_recovered_without_bias_over_a_thousand_sets() -> None:
    for name, bias in largest_bias(1_000).items():
        assert bias < 3.7, name


WORLDS: dict[str, Callable[[int, np.random.Generator], Floats]] = {
    "as fitted": lambda n, rng: rng.beta(0.45, 0.9, n),
    "some never": frozen_rates,
    "half never": lambda n, rng: np.where(rng.random(n) < 0.5, 0.0, rng.beta(1.5, 1.5, n)),
    "just reachable": lambda n, rng: rng.choice([0.0, 0.06, 0.5, 0.9], p=[0.3, 0.2, 0.3, 0.2], size=n),
}


def wrong_labels(world: str, n_sets: int, *, n_attempts: int = 64) -> dict[str, float]:
    """Share of the labels given that are wrong, over sets of 1,000 questions."""
    rng = np.random.default_rng(31)
    given, wrong = dict.fromkeys(("beyond", "within"), 0), dict.fromkeys(("beyond", "within"), 0)
    for _ in range(n_sets):
        rate_Q = WORLDS[world](1_000, rng)
        frame = trajectories(rng.binomial(n_attempts, rate_Q), n_attempts=n_attempts)
        label = reach(frame, fit_prior(frame))["reach"].to_numpy()
        for name, true_Q in (("beyond", rate_Q < EPSILON_64), ("within", rate_Q >= EPSILON_64)):
            given[name] += int((label == name).sum())
            wrong[name] += int(((label == name) & ~true_Q).sum())
    return {name: wrong[name] / max(1, given[name]) for name in given}


@pytest.mark.parametrize("world", list(WORLDS))
def test_labels_are_wrong_at_most_as_often_as_stated(world: str) -> None:
    found = wrong_labels(world, 10)
    assert found["beyond"] <= 0.05 and found["within"] <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("world", list(WORLDS))
def test_labels_are_wrong_at_most_as_often_as_stated_over_a_thousand_sets(world: str) -> None:
    found = wrong_labels(world, 1_000)
    assert found["beyond"] <= 0.05 and found["within"] <= 0.05


@pytest.mark.slow
def test_turnover_of_a_frozen_model_covers_zero_over_a_thousand_sets() -> None:
    from tests.analysis.questions.test_stability import frozen_turnover

    found = frozen_turnover(1_000, n_questions=1_000)
    for kind in ("acquired", "lost"):
        inside = (found[f"{kind}_excess_low"] <= 0) & (found[f"{kind}_excess_high"] >= 0)
        assert 0.93 <= inside.mean() <= 0.97
