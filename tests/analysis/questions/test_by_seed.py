"""Methods over their seeds: single seeds beside the mean, two methods paired by seed, bands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from relift.analysis import bands_by_seed, difference_from_base, pair_seeds, seed_differences
from relift.analysis.questions.by_seed import caption_seeds, plot_seeds
from relift.errors import InputError
from tests.analysis.questions.test_seeds import METHODS, world

EVERY = {"kind": "all", "group": "all", "n_questions": 10}


def differences(**of: float) -> pd.DataFrame:
    """Give each run (called METHOD and its seed) this difference from the base."""
    return pd.DataFrame([{"run_id": run, "run": run, "difference": value, **EVERY} for run, value in of.items()])


def methods(*runs: str) -> pd.DataFrame:
    rows = [(run, run, run.rstrip("0123456789"), int(run[-1])) for run in runs]
    return pd.DataFrame(rows, columns=["run_id", "run", "method", "seed"]).astype({"seed": "Int64"})


def test_each_seed_stands_beside_the_mean_of_its_method() -> None:
    found = seed_differences(difference_from_base(world()), METHODS)
    rl = found[found["method"] == "rl"]
    # .25 and .5, mean .375; t(1) over two seeds is cut at -1 and 1
    assert rl[["seed", "difference", "mean"]].to_numpy().tolist() == [[1, 0.25, 0.375], [2, 0.5, 0.375]]
    assert rl["low"].tolist() == [-1, -1] and rl["n_seeds"].tolist() == [2, 2]
    assert found.loc[found["method"] == "sft", ["low", "high"]].isna().all(axis=None)
    assert "rl 2 seeds (1, 2)" in caption_seeds(found).lower() and "sft: one seed, so no interval" in caption_seeds(
        found
    )
    labels = [text.get_text() for text in plot_seeds(found).get_yticklabels()]
    assert labels == ["all questions (2)"]


def test_one_seed_of_each_is_no_comparison_of_methods() -> None:
    with pytest.raises(InputError, match="about these checkpoints"):
        seed_differences(difference_from_base(world()), METHODS.drop(2))


def test_two_methods_are_paired_by_seed() -> None:
    from_base = differences(a1=0.30, a2=0.10, a3=0.50, b1=0.10, b2=0.00, b4=0.9)
    found = pair_seeds(from_base, methods("a1", "a2", "a3", "b1", "b2", "b4"), a="a", b="b")
    # seeds 1 and 2 are shared: .20 and .10, mean .15; t(1) = 12.7062, sd .070711 / sqrt 2 = .05: +- .6353
    assert found["difference"].tolist() == pytest.approx([0.2, 0.1]) and found["seed"].tolist() == [1, 2]
    assert found["mean"].tolist() == pytest.approx([0.15, 0.15])
    assert found["high"].iloc[0] == pytest.approx(0.15 + 12.7062 * 0.05, abs=1e-4)
    with pytest.raises(InputError, match="share fewer than two seeds"):
        pair_seeds(differences(a1=0.3, b1=0.1), methods("a1", "b1"), a="a", b="b")
    with pytest.raises(InputError, match="no method 'c'"):
        pair_seeds(differences(a1=0.3, b1=0.1), methods("a1", "b1"), a="a", b="c")


def accuracy(**of: Any) -> pd.DataFrame:
    rows = [
        {"run_id": run, "run": run, "band": "Hard", "step": step, "n_questions": 9, "accuracy": value}
        for run, values in of.items()
        for step, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_bands_are_averaged_at_each_step_over_the_seeds_that_reached_it() -> None:
    found = bands_by_seed(accuracy(a1=[0.2, 0.4], a2=[0.4], b1=[0.1, np.nan]), methods("a1", "a2", "b1"))
    of = found.set_index(["run_id", "step"])
    assert of.loc[("a1", 0), "mean"] == pytest.approx(0.3) and of.loc[("a1", 0), "n_seeds"] == 2
    assert of.loc[("a1", 0), ["low", "high"]].tolist() == [0, 1]  # .3 +- 12.7 * .1, cut
    assert of.loc[("a1", 1), "mean"] == 0.4 and np.isnan(of.loc[("a1", 1), "low"])  # one seed has come so far
    assert ("b1", 1) not in of.index and np.isnan(of.loc[("b1", 0), "high"])
