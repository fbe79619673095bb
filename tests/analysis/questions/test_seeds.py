"""Methods over seeds: means, between-seed intervals, and where the variance comes from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from relift.analysis import compare_methods, difference_from_base, methods_from_base, over_seeds, variance_split
from relift.errors import InputError
from tests.analysis.frames import trajectories

METHODS = pd.DataFrame(
    {
        "run_id": ["base-1", "rl1-1", "rl2-1", "sft-1"], "run": ["base", "rl1", "rl2", "sft"],
        "method": ["base", "rl", "rl", "sft"], "seed": pd.array([None, 1, 2, 1], dtype="Int64"),
    }
)  # fmt: skip


def world() -> pd.DataFrame:
    """Two questions; the base answers 0 and 4 of 8; rl seed 1 gains .25, seed 2 .5, sft loses .25 of a point."""
    return pd.concat(
        [
            trajectories([0, 4]),
            trajectories([2, 6], run="rl1", step=9),
            trajectories([4, 8], run="rl2", step=9),
            trajectories([0, 0], run="sft", step=9),
        ]
    )


def test_a_method_is_the_mean_of_its_seeds() -> None:
    found = methods_from_base(difference_from_base(world()), METHODS).set_index("method")
    # .25 and .5: mean .375, sd .17678; t(1) = 12.706, over sqrt(2): +- 1.588, cut at 1 and -1
    assert found.loc["rl", "mean"] == 0.375 and found.loc["rl", "sd_seed"] == pytest.approx(0.1767767)
    assert found.loc["rl", ["n_seeds", "seeds", "values"]].tolist() == [2, "1, 2", "+25.0, +50.0"]
    assert found.loc["rl", ["low", "high"]].tolist() == [-1, 1]
    assert found.loc["sft", "n_seeds"] == 1 and np.isnan(found.loc["sft", "low"])
    three = over_seeds(np.array([0.1, 0.2, 0.3]))
    # t(2) = 4.30265, sd .1 over sqrt(3) = .057735
    assert three["high"] - three["mean"] == pytest.approx(4.302653 * 0.0577350, rel=1e-5)


def test_seeds_that_are_all_equal_have_no_interval() -> None:
    found = over_seeds(np.array([0.1, 0.1, 0.1]))
    assert found["mean"] == pytest.approx(0.1) and np.isnan(found["low"]) and np.isnan(found["high"])
    equal = difference_from_base(world()).assign(difference=0.25)
    assert methods_from_base(equal, METHODS)[["low", "high"]].isna().all(axis=None)


def test_methods_of_one_seed_have_no_p_value() -> None:
    from_base = methods_from_base(difference_from_base(world()), METHODS)
    one = compare_methods(from_base, a="rl", b="sft")
    assert one["difference"] == pytest.approx(0.625) and np.isnan(one["p_value"]) and np.isnan(one["low"])
    with pytest.raises(InputError, match="no method 'ppo'"):
        compare_methods(from_base, a="ppo", b="sft")
    both = from_base.assign(method=["a", "b"], n_seeds=3, sd_seed=0.1, mean=[0.2, 0.0])
    found = compare_methods(both, a="a", b="b")
    # se = sqrt(.01 / 3 * 2) = .0816, 4 degrees of freedom: t = 2.449, two-sided p .0705 (R: 2 * pt(-2.449490, 4))
    assert found["p_value"] == pytest.approx(0.0705, abs=2e-4)
    assert found["high"] - 0.2 == pytest.approx(2.776445 * 0.0816497, rel=1e-5)


def test_variance_is_split_by_source() -> None:
    rng = np.random.default_rng(4)
    n_questions, n_attempts, seeds = 400, 16, 60
    base_Q = rng.beta(1.0, 1.0, n_questions) * 0.6
    lift_Q = rng.normal(0.1, 0.15, n_questions)
    frames, rows = [trajectories(rng.binomial(200, base_Q), n_attempts=200)], []
    for seed in range(seeds):
        rate_Q = np.clip(base_Q + lift_Q + rng.normal(0.0, 0.03), 0, 1)
        frames.append(trajectories(rng.binomial(n_attempts, rate_Q), run=f"s{seed}", step=5, n_attempts=n_attempts))
        rows.append((f"s{seed}-1", f"s{seed}", "rl", seed))
    methods = pd.DataFrame(rows, columns=["run_id", "run", "method", "seed"])
    found = variance_split(pd.concat(frames), methods, base="base").iloc[0]
    # sd of the seeds' mean is .03 by design (a little less where rates are cut at 0 and 1), of 60 seeds: +- 9 %
    assert found["sd_seed"] == pytest.approx(0.028, abs=0.006)
    noise = np.sqrt(np.mean(np.clip(base_Q + lift_Q, 0, 1) * (1 - np.clip(base_Q + lift_Q, 0, 1))) / 16 / 400)
    assert found["sd_draw"] == pytest.approx(noise, rel=0.05)
    spread = (np.clip(base_Q + lift_Q, 0, 1) - base_Q).std() / 20
    assert found["sd_question"] == pytest.approx(spread, rel=0.1)
    assert np.isnan(variance_split(pd.concat(frames[:2]), methods.head(1), base="base")["sd_seed"].iloc[0])


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_between_seed_intervals_cover(seeds: int) -> None:
    # runs whose true means vary by .03 and are measured with draws: 2,000 sets, standard error .005
    rng = np.random.default_rng(seeds)
    value_RS = 0.1 + rng.normal(0, 0.03, (2_000, seeds)) + rng.normal(0, 0.008, (2_000, seeds))
    held = [row["low"] <= 0.1 <= row["high"] for row in (over_seeds(value_S) for value_S in value_RS)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)
