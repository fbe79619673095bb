import numpy as np
import pandas as pd
import pytest

from relift.analysis import sets_by_run, solved_by, solved_sets, support
from relift.errors import InputError
from tests.analysis.frames import trajectories

# base 0 0 3 3 5, its second draw 0 1 0 3 5, the run 0 4 0 8 8: neither, gained, lost, kept, kept
BOTH = pd.concat(
    [
        trajectories([0, 0, 3, 3, 5]),
        trajectories([0, 1, 0, 3, 5], draw=1),
        trajectories([0, 4, 0, 8, 8], run="rl", step=9),
    ]
)


def test_sets_beside_those_of_chance() -> None:
    found = solved_sets(BOTH, base="base")
    assert found["set"].tolist() == ["neither", "gained", "lost", "kept", "kept"]
    assert found["null_set"].tolist() == ["neither", "gained", "lost", "kept", "kept"]
    assert found["epsilon"].tolist() == [pytest.approx(1 - 0.05 ** (1 / 8))] * 5
    assert found[["n_correct_base", "n_correct_run"]].to_numpy().tolist() == [[0, 0], [0, 4], [3, 0], [3, 8], [5, 8]]


def test_a_control_alone_is_a_refusal() -> None:
    """The frozen copy's own report: it is the base and the control, and no run is left."""
    with pytest.raises(InputError, match="the control is the only run"):
        solved_sets(BOTH, base="base", control="rl")


def test_the_four_ratios_by_hand() -> None:
    row = support(solved_sets(BOTH, base="base")).iloc[0]
    # P 2, E 1, S 1: srr 2/3, ndr 1/3, nscr 0, sds 2 (2/3)(1/3) / 1 = 4/9
    assert row[["kept", "gained", "lost", "neither", "undetermined"]].tolist() == [2, 1, 1, 1, 0]
    assert row[["srr", "ndr", "nscr", "sds"]].tolist() == [pytest.approx(x) for x in (2 / 3, 1 / 3, 0, 4 / 9)]
    assert row["srr_low"] == pytest.approx(0.2077, abs=1e-4)  # Wilson of 2 of 3
    assert row["null_gained"] == 1 and row["srr_null"] == pytest.approx(2 / 3)


def test_who_alone_gained_or_lost() -> None:
    frame = pd.concat([BOTH, trajectories([1, 4, 0, 8, 8], run="sft", step=3)])
    found = sets_by_run(solved_sets(frame, base="base")).set_index("question_id")
    assert found["gained_by"].tolist() == ["sft", "rl + sft", "", "", ""]
    assert found["lost_by"].tolist() == ["", "", "rl + sft", "", ""]
    assert found.loc["q0", ["rl", "sft"]].tolist() == ["neither", "gained"]


def test_nothing_lost_is_not_certainty() -> None:
    frame = pd.concat([trajectories([3, 3]), trajectories([3, 3], run="rl", step=9)])
    row = support(solved_sets(frame, base="base")).iloc[0]
    assert row["srr"] == 1 and row["srr_low"] < 0.7 and np.isnan(row["nscr_low"])
    assert np.isnan(row["srr_null"]) and np.isnan(row["null_lost"])  # no second draw was made


def test_undecided_attempts_keep_a_question_open() -> None:
    frame = pd.concat([trajectories([0, 1], n_undecided=[1, 1]), trajectories([1, 1], run="rl", step=9)])
    found = solved_sets(frame, base="base")
    assert found["set"].isna().tolist() == [True, False]
    assert support(found)["undetermined"].tolist() == [1]


def test_more_attempts_would_solve_more() -> None:
    frame = pd.concat([trajectories([0, 1]), trajectories([0, 1], n_attempts=16, run="rl", step=9)])
    with pytest.raises(InputError, match="rl at step 9 and the base have different numbers of attempts"):
        solved_sets(frame, base="base")


def test_sets_by_posterior_use_top_ups() -> None:
    base = trajectories([0, 0, 8])
    rl = trajectories([0, 8, 8], run="rl", step=9)
    prior = pd.DataFrame({"run_id": ["base-1"], "a": [0.45], "b": [0.9]})
    few = solved_sets(pd.concat([base, rl]), base="base", epsilon=0.0457, prior=prior)
    assert few["set"].isna().tolist() == [True, True, False]  # 0 of 8 is not sure to be beyond
    top_up = trajectories([0, 0], n_attempts=200, draw=2, questions=["q0", "q1"])
    end = trajectories([0], n_attempts=200, draw=2, run="rl", step=9)
    more = solved_sets(pd.concat([base, rl, top_up, end]), base="base", epsilon=0.0457, prior=prior)
    assert more.set_index("question_id")["set"].to_dict() == {"q0": "neither", "q1": "gained", "q2": "kept"}
    with pytest.raises(InputError, match="needs the prior"):
        solved_sets(BOTH, base="base", epsilon=0.1)


def test_which_runs_solve_a_question() -> None:
    frame = pd.concat([BOTH, trajectories([1, 1, 0, 8, 8], run="sft", step=3)])
    found = solved_by(frame, base="base")
    counts = dict(zip(found["solved_by"], found["count"], strict=True))
    assert counts == {"base + rl + sft": 2, "sft": 1, "rl + sft": 1, "base": 1}
    assert found["rl"].dtype == bool and found["n_questions"].tolist() == [5] * 4
    assert list(solved_by(frame, base="base", runs=["sft"]).columns[1:3]) == ["base", "sft"]
    own = solved_by(pd.concat([trajectories([0, 1]), trajectories([1, 1], step=4)]), base="base")
    assert own["solved_by"].tolist() == ["base", "step 0 + base"]  # the trained run, and its own start
