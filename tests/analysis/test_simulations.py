"""Claims hold as often as they say in worlds with no change, planted gains, planted losses and unsolvable questions."""

from __future__ import annotations

import pytest

from tests.analysis.simulations import beyond, excesses, seeds, turnovers

pytestmark = pytest.mark.slow


def test_beyond_is_wrong_at_most_at_its_rate_whatever_stands_beside() -> None:
    # at 20,000 questions a rate of .05 has a standard error below .002, twice that of the fewest reachable ones
    assert (beyond(20_000)["reachable called beyond"].dropna() <= 0.054).all()


def test_between_seed_intervals_hold_for_2_to_8_seeds() -> None:
    found = seeds(4_000)  # standard error .0034
    assert found["seeds"].tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert found[["holds", "holds of two methods"]].min().min() >= 0.93
    assert found[["holds", "holds of two methods"]].max().max() <= 0.97


def test_intervals_of_accuracy_hold_with_planted_gains_and_losses() -> None:
    found = excesses(200, 300)  # standard error of .95 is .0154: .90 and .995 are three of them away
    accuracy = found[found["interval of"].str.startswith("accuracy")]
    assert set(accuracy["lift"]) == {0.0, 0.1, -0.1} and set(accuracy["never"]) == {0.0, 0.15, 0.6}
    assert accuracy["holds"].between(0.90, 0.995).all(), accuracy
    copies = found[found["interval of"].str.startswith("newly")]
    assert copies["holds"].between(0.90, 1.0).all(), copies  # counts are whole numbers: they may hold too often


def test_intervals_of_what_was_acquired_beyond_chance_hold() -> None:
    found = turnovers(1_500, 200)  # standard error .0056: the bounds are .93 and .97 with one and a half of them
    assert found["holds"].between(0.925, 0.978).all(), found
