"""Compute the table by hand: averages over seeds and bases, the rule of the sweep, the estimate of the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relift.study.measure import Measured, against_reference, average, by_question
from relift.study.price import Price, plan, say_plan, steps_of
from relift.study.rates import choose, factors_of
from tests.study.studies import study, values

METHODS: dict[str, Any] = values()["methods"]


def cells(*rows: tuple[str, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["base", "seed", "value"]).assign(method="m")


def test_one_base_has_students_interval_over_its_seeds() -> None:
    (row,) = average(cells(("a", 1, 0.5), ("a", 2, 0.6), ("a", 3, 0.7)), by=["method"]).to_dict("records")
    # mean .6, sd .1, t(.975, 2) = 4.3027: half 4.3027 * .1 / sqrt 3 = .2484; t = .6 / .057735 = 10.392: p = .009134
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((0.6, 0.6 - 0.24842, 0.6 + 0.24842), abs=1e-4)
    assert row["p_value"] == pytest.approx(0.009134, abs=1e-5)
    assert (row["n_bases"], row["n_seeds"], row["n_cells"]) == (1, 3, 3)
    assert np.isnan(row["sd_base"]) and np.isnan(row["base_low"])


def test_bases_count_alike_and_seeds_spread_within_them() -> None:
    own = cells(("a", 1, 0.1), ("a", 2, 0.3), ("b", 1, 0.6), ("b", 2, 0.6), ("c", 1, 0.9))
    (row,) = average(own, by=["method"]).to_dict("records")
    # means .2, .6, .9: .5667. Within: (.01 + .01) / (1 + 1 + 0) = .01, sd .1. Error: .1 sqrt(1/2 + 1/2 + 1) / 3
    # = .04714; t(.975, 2) = 4.3027: half .20283. Over bases: sd of the means .35119, half 4.3027 * .35119 / sqrt 3
    # = .87240
    assert row["mean"] == pytest.approx(0.566667, abs=1e-6) and row["sd_seed"] == pytest.approx(0.1)
    assert row["high"] - row["mean"] == pytest.approx(0.20283, abs=1e-4)
    assert row["base_high"] - row["mean"] == pytest.approx(0.87240, abs=1e-4)
    assert (row["n_bases"], row["n_seeds"], row["n_cells"]) == (3, 1, 5)


def test_single_seeds_have_no_interval_and_missing_values_are_left_out() -> None:
    (row,) = average(cells(("a", 1, 0.2), ("b", 1, 0.4), ("b", 2, np.nan)), by=["method"]).to_dict("records")
    assert row["mean"] == pytest.approx(0.3) and np.isnan(row["low"]) and np.isnan(row["p_value"])
    assert row["values"] == "+20.0, +40.0"


def test_differences_are_paired_by_question_within_a_cell() -> None:
    pairs = pd.DataFrame(
        [("a", 1, "m", "q1", 0.5, "Hardest"), ("a", 1, "m", "q2", -0.1, "Easy"), ("a", 2, "m", "q1", 0.25, "Hardest"),
         ("a", 2, "m", "q2", 0.05, None)],
        columns=["base", "seed", "method", "question_id", "difference", "band"],
    )  # fmt: skip
    empty = pd.DataFrame()
    rows = against_reference(Measured(empty, pairs, empty)).set_index("group")
    assert rows.loc["all", "mean"] == pytest.approx((0.2 + 0.15) / 2)
    assert rows.loc["Hardest", "mean"] == pytest.approx(0.375) and rows.loc["Hardest", "n_cells"] == 2
    assert rows.loc["Easy", "n_cells"] == 1  # a question without a band is in `all` alone
    questions = by_question(Measured(empty, pairs, empty)).set_index("question_id")
    assert questions.loc["q1", ["cells", "ahead", "behind"]].tolist() == [2, 2, 0]
    assert questions.loc["q2", ["cells", "ahead", "behind"]].tolist() == [2, 1, 1]


def test_the_rule_of_the_sweep() -> None:
    swept = pd.DataFrame(
        [("m", 0.5, 0.40), ("m", 0.5, 0.50), ("m", 1.0, 0.45), ("m", 1.0, 0.45), ("m", 2.0, 0.99)],
        columns=["method", "factor", "accuracy"],
    )
    assert choose(swept, "m", n_runs=2) == 0.5  # .45 twice: the smallest; x2 has one run of two, the other failed
    assert choose(swept, "m", n_runs=1) == 2.0
    assert choose(swept, "other", n_runs=2) is None
    made = study()
    assert factors_of(made, "relift", {"rl": 2.0, "sft": 0.5}) == {"rl": 2.0, "sft": 0.5}
    assert factors_of(made, "rl", {"rl": 2.0}) == {"rl": 2.0, "sft": 2.0}
    assert factors_of(made, "frozen", {}) == {}


def price(step: float, **used: float) -> Price:
    return Price(step, 0.0, 2.0, 3.0, {"flops": 10.0, "demonstrations": 0.0, **used})


def test_the_plan_multiplies_what_was_measured(tmp_path: Path) -> None:
    made = study(methods={**METHODS, "tiny": {"recipe": "grpo", "budget": {"flops": 25}}}, sweep=None)
    prices = {
        "frozen": price(1.0), "rl": price(1.0), "sft": price(0.1, flops=4.0, demonstrations=4.0), "relift": price(1.5),
        "tiny": price(1.0),
    }  # fmt: skip
    assert steps_of(made, tmp_path, "rl", prices) == 4
    assert steps_of(made, tmp_path, "sft", prices) == 4  # 40 operations of rl / 4 are 10 steps; [run] allows 4
    assert steps_of(made, tmp_path, "tiny", prices) == 3  # 25 / 10
    planned = plan(made, tmp_path, prices).set_index("name")
    assert len(planned) == 2 * 2 * 5 and not planned["done"].any()
    # start 3, four steps of 1, one probe (every 30 steps, and at the end) of 2; step 0 is the control's
    assert planned.loc["b1-seed-1/rl", "seconds"] == pytest.approx(3 + 4 + 2)
    assert planned.loc["b1-seed-1/frozen", "seconds"] == pytest.approx(3 + 1 + 2 + 2 * 2)  # and two draws of step 0
    lines = say_plan(planned.reset_index(), made, workers=2)
    assert lines[0].startswith("20 runs: 5 methods x 2 bases x 2 seeds, and 0 of the sweep; 0 are done")
