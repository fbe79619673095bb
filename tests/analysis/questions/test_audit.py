"""The checks against a frozen copy, by hand and in simulated worlds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from relift.analysis import (
    assign_bands,
    audit,
    band_accuracy,
    band_transitions,
    difference_from_base,
    frozen_copy,
    reach_counts,
    solved_sets,
    turnover,
)
from relift.errors import InputError
from tests.analysis.frames import frozen_rates, trajectories


def world(rng: np.random.Generator, *, lift: float, n: int = 400) -> pd.DataFrame:
    """A base with two draws, a frozen control and a run, all probed at step 9; the run's rates rise by `lift`."""
    rate_Q = frozen_rates(n, rng)
    parts = [(("base", 0, 0), rate_Q), (("base", 0, 1), rate_Q), (("frozen", 9, 0), rate_Q)]
    parts.append((("rl", 9, 0), np.clip(rate_Q + lift, 0, 1)))
    return pd.concat(
        [trajectories(rng.binomial(8, p), run=run, step=step, draw=draw) for (run, step, draw), p in parts]
    )


def test_a_run_that_did_not_learn_fails_and_one_that_did_passes() -> None:
    for lift, expected in ((0.0, False), (0.25, True)):
        found = audit(world(np.random.default_rng(1), lift=lift), control="frozen").set_index("check")
        assert set(found["run"]) == {"rl"} and len(found) == 7
        assert found.loc["expansion", "passes"] is expected and found.loc["power", "passes"] is expected
        assert found.loc["attempts", "passes"] is True and found.loc["seeds", "passes"] is False


def test_the_numbers_of_a_frozen_copy_by_hand() -> None:
    # of 4 questions unsolved at first the copy solves 1, the run 3, that one among them: 2 more, 0 fewer. With half a
    # question in each cell (2 - 1.96 sqrt(2.5 + .5 - 4/6)) / 6 * 4 and the other end (stats.paired_counts)
    frame = pd.concat(
        [
            trajectories([0, 0, 0, 0]), trajectories([1, 0, 0, 0], run="frozen", step=9),
            trajectories([1, 2, 4, 0], run="rl", step=9),
        ]
    )  # fmt: skip
    found = frozen_copy(frame, control="frozen").set_index("claim")
    new = found.loc["newly solved"]
    assert new[["count", "frozen", "excess"]].tolist() == [3, 1, 2]
    half = 1.959964 * (3 - 4 / 6) ** 0.5
    assert (new["low"], new["high"]) == pytest.approx(((2 - half) * 4 / 6, (2 + half) * 4 / 6), rel=1e-5)
    assert found.loc["rate up by a quarter", "count"] == 2  # 2/8 and 4/8
    with pytest.raises(InputError, match="no frozen copy"):
        frozen_copy(frame, base="base")


def test_the_control_is_the_floor_of_every_measure() -> None:
    frame = world(np.random.default_rng(2), lift=0.2)
    bands = assign_bands(frame)
    moves = band_transitions(frame, bands, null="control", control="frozen", resamples=40)
    assert set(moves["run"]) == {"rl"} and set(moves["null"]) == {"control"}
    frozen = frame[(frame["run"] == "frozen").to_numpy()].set_index("question_id")["n_correct"]
    hardest = bands.loc[bands["band"] == "Hardest", "question_id"]
    stays = moves[(moves["band_from"] == "Hardest") & (moves["band_to"] == "Hardest")].iloc[0]
    assert stays["null_share"] == pytest.approx((frozen[hardest] == 0).mean())
    with pytest.raises(InputError, match="go together"):
        band_transitions(frame, bands, control="frozen")
    sets = solved_sets(frame, base="base", control="frozen")
    assert set(sets["run"]) == {"rl"}
    began = frame[((frame["run"] == "base") & (frame["draw"] == 0)).to_numpy()].set_index("question_id")["n_correct"]
    assert (sets["null_set"] == "gained").sum() == ((began == 0) & (frozen > 0)).sum()
    change = difference_from_base(frame, bands=bands, control="frozen")
    every = change[(change["run"] == "rl") & (change["kind"] == "all")].iloc[0]
    rl = frame[(frame["run"] == "rl").to_numpy()].set_index("question_id")["n_correct"]
    assert every["excess"] == pytest.approx((rl - frozen).mean() / 8)
    assert every["excess_low"] < every["excess"] < every["excess_high"]
    assert "control_change" in band_accuracy(frame, bands, control="frozen", resamples=20)
    reached = reach_counts(frame, base="base", control="frozen")
    own = reached[reached["run"] == "frozen"]
    assert own["count"].tolist() == own["control_count"].tolist()
    both = pd.concat([frame, *(frame[(frame["run"] == r).to_numpy()].assign(step=5) for r in ("rl", "frozen"))])
    gone = turnover(both, control="frozen")
    assert gone["control_acquired"].notna().all()


def test_excess_over_the_control_covers_zero() -> None:
    # 120 worlds that did not change: standard error .02; `python -m tests.analysis.simulations` runs more
    held = []
    for seed in range(120):
        frame = world(np.random.default_rng(seed), lift=0.0, n=150)
        row = difference_from_base(frame, base="base", control="frozen").query("run == 'rl'").iloc[0]
        held.append(row["excess_low"] <= 0 <= row["excess_high"])
    assert np.mean(held) == pytest.approx(0.95, abs=0.06)
