import numpy as np
import pandas as pd
import pytest

from relift import stats
from relift.analysis import assign_bands, compare_runs, paired_difference
from relift.errors import InputError
from tests.analysis.frames import trajectories


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
