from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relift import stats
from relift.analysis import (
    assign_bands,
    compare_runs,
    difference_from_base,
    mean_difference,
    paired_difference,
    read_counts,
    read_trajectories,
    say_change,
)
from relift.errors import InputError
from tests.analysis.frames import trajectories
from tests.synthetic import write_run


def two_runs() -> pd.DataFrame:
    return pd.concat(
        [
            trajectories([0, 4, 8, 0, 3], run="rl", step=10),
            trajectories([8, 2, 8, 0, 0], run="sft", step=20, n_undecided=[0, 0, 0, 0, 8]),
            trajectories([1, 1, 1, 1, 1], run="sft", step=10),
        ]
    )


def test_compare_runs_question_by_question_at_their_last_steps() -> None:
    compared = compare_runs(two_runs(), a="rl", b="sft").set_index("question_id")
    assert compared["difference"].tolist()[:4] == [-1, 0.25, 0, 0] and np.isnan(compared.loc["q4", "difference"])
    assert compared["cell"].tolist()[:4] == ["only b", "both", "both", "neither"] and pd.isna(
        compared.loc["q4", "cell"]
    )
    assert compare_runs(two_runs(), a="rl-1", b="sft-1", step=10)["n_correct_b"].tolist() == [1] * 5


def test_runs_with_permuted_question_ix_compare_equal() -> None:
    frame = two_runs()
    other = frame[frame["run"] == "sft"].assign(question_ix=lambda f: 4 - f["question_ix"]).sort_values("question_ix")
    permuted = pd.concat([frame[frame["run"] == "rl"], other])
    pd.testing.assert_frame_equal(compare_runs(permuted, a="rl", b="sft"), compare_runs(frame, a="rl", b="sft"))


def test_paired_difference_over_all_and_by_band() -> None:
    frame = pd.concat([two_runs(), trajectories([0, 0, 8, 8, 8])])
    compared = compare_runs(frame, a="rl", b="sft")
    whole = paired_difference(compared).iloc[0]
    expected = stats.paired_t([-1, 0.25, 0, 0])
    assert (whole["difference"], whole["high"], whole["p_value"]) == (expected.value, expected.high, expected.p_value)
    assert expected.low < -1 == whole["low"]
    assert whole["n_questions"] == 4 and np.isnan(whole["mcnemar_p"])
    bands = assign_bands(frame, run="base").set_index("question_id")["band"]
    by_band = paired_difference(compared, by=bands).set_index("group")
    assert by_band.loc["Hardest", "difference"] == pytest.approx((-1 + 0.25) / 2)
    assert by_band.loc["Easy", "n_questions"] == 2 and by_band.loc["Easy", "p_value"] == 1


def test_intervals_of_few_questions_end_where_differences_must() -> None:
    # differences 1, .125, 1 of three questions: mean .708, se .292, t(2) 4.30: the plain interval ends at 1.96
    frame = pd.concat([trajectories([8, 1, 8], run="rl", step=1), trajectories([0, 0, 0], run="sft", step=1)])
    whole = paired_difference(compare_runs(frame, a="rl", b="sft")).iloc[0]
    assert whole["high"] == 1 and whole["low"] == pytest.approx(17 / 24 - 4.302653 * 7 / 24, abs=1e-5)


def test_single_attempts_get_mcnemar() -> None:
    # a alone 1, b alone 8 of 12: 2 * (1 + 9) / 2^9
    a, b = [1] + [0] * 8 + [1] * 3, [0] + [1] * 8 + [1] * 3
    frame = pd.concat([trajectories(a, run="rl", n_attempts=1), trajectories(b, run="sft", n_attempts=1)])
    found = paired_difference(compare_runs(frame, a="rl", b="sft")).iloc[0]
    assert found["mcnemar_p"] == pytest.approx(2 * (1 + 9) / 2**9)


def test_nothing_shared_is_an_error() -> None:
    frame = pd.concat([trajectories([1], run="rl"), trajectories([1], run="sft", questions=["other"])])
    with pytest.raises(InputError, match="no probed question in common"):
        compare_runs(frame, a="rl", b="sft")


def _trajectories(counts: list[tuple[int, int, int, int]]) -> pd.DataFrame:
    """(step, draw, question, n_correct of 8), one run."""
    frame = pd.DataFrame(counts, columns=["step", "draw", "question", "n_correct"])
    return frame.assign(
        run_id="r", run="rl", origin="probe", n_attempts=8, n_undecided=0, n_truncated=0,
        question_id=["q" + str(q) for q in frame["question"]],
    )  # fmt: skip


def test_the_headline_is_the_mean_of_paired_differences() -> None:
    # step 0: draw 0 assigns (0 and 8 of 8: Hardest, Easy), draw 1 measures 0/8 and 6/8; step 5: 4/8 and 8/8
    rows = _trajectories([(0, 0, 1, 0), (0, 0, 2, 8), (0, 1, 1, 0), (0, 1, 2, 6), (5, 0, 1, 4), (5, 0, 2, 8)])
    found = difference_from_base(rows, bands=assign_bands(rows)).set_index("group")
    # differences .5 and .25: mean .375; t interval of two values with 1 degree of freedom, t = 12.706,
    # sd .17678, standard error .125: .375 +- 1.588
    assert found.loc["all", "difference"] == pytest.approx(0.375)
    assert found.loc["all", "base_accuracy"] == pytest.approx(0.375)
    # what no difference of accuracies can be is cut off: 1.963 at 1, -1.213 at -1
    assert found.loc["all", "high"] == 1 and found.loc["all", "low"] == -1
    assert found.loc["Hardest", "difference"] == pytest.approx(0.5) and np.isnan(found.loc["Hardest", "low"])
    assert found.loc["Easy", "difference"] == pytest.approx(0.25) and found.loc["Hard", "n_questions"] == 0
    said = say_change(found.reset_index())
    assert said.startswith("accuracy 0.375 to 0.750 at step 5, +37.5 [−100.0, +100.0] points over 2 questions. By band")
    assert "By band of the base, with questions: Hardest +50.0 (1), Easy +25.0 (1)" in said and "Medium" not in said


def test_counts_give_the_same_difference(tmp_path: Path) -> None:
    run = tmp_path / "rl"
    write_run(run, n_questions=80, n_steps=8, learn=0.8, seed=3, probe_every=4)
    rows, counts = read_trajectories([run]), read_counts([run])
    found = difference_from_base(rows, bands=assign_bands(rows))
    same = difference_from_base(counts, bands=assign_bands(counts))
    pd.testing.assert_frame_equal(found, same, check_dtype=False)


def test_the_two_ends_alone_decide_and_what_is_left_out_is_counted() -> None:
    # q1 and q2 at every step, q3 at the ends, q4 at step 0 alone; the differences are .5, .25, -.5
    rows = _trajectories(
        [(0, 0, q, c) for q, c in ((1, 0), (2, 6), (3, 8), (4, 8))]
        + [(2, 0, 1, 4), (2, 0, 2, 8)]
        + [(5, 0, 1, 4), (5, 0, 2, 8), (5, 0, 3, 4)]
    )
    split = pd.Series({"q1": "test", "q2": "test", "q3": "longer", "q4": "longer"})
    found = difference_from_base(rows, groups=split).set_index("group")
    assert found.loc["all", "difference"] == pytest.approx(0.25 / 3)
    assert found["n_questions"].tolist() == [3, 1, 2] and found["n_left_out"].tolist() == [1, 1, 0]
    assert found.loc["longer", "difference"] == -0.5 and found.loc["test", "difference"] == 0.375
    said = say_change(found.reset_index())
    assert "over 3 questions, 1 left out: not asked at this step." in said
    assert "By split, with questions: longer −50.0 (1), test +37.5" in said


def test_one_draw_measures_all_but_not_the_bands_it_assigned() -> None:
    rows = _trajectories([(0, 0, 1, 0), (0, 0, 2, 8), (5, 0, 1, 4), (5, 0, 2, 8)])
    assert difference_from_base(rows)["difference"].tolist() == [0.25]
    with pytest.raises(InputError, match="no draw 1 at step 0"):
        difference_from_base(rows, bands=assign_bands(rows))
    with pytest.raises(InputError, match="no run has a probe at step 7"):
        difference_from_base(rows, step=7)


def test_a_run_is_not_compared_with_itself() -> None:
    rows = _trajectories([(0, 0, 1, 0), (5, 0, 1, 4)])
    with pytest.raises(InputError, match="are the same run"):
        compare_runs(rows, a="rl", b="r")


def test_differences_that_are_all_equal_have_no_interval() -> None:
    found = mean_difference(np.array([0.25, 0.25, 0.25]))
    assert found["difference"] == 0.25 and np.isnan(found["low"]) and np.isnan(found["high"])
