import numpy as np
import pandas as pd
import pytest

from relift.analysis import assign_bands, band_accuracy, band_lengths
from relift.errors import InputError
from tests.analysis.frames import frozen_run, trajectories


def hand_made() -> pd.DataFrame:
    """Base: Hardest q0 q1, Easy q2 q3 by draw 0. rl moves q0 and loses q3."""
    return pd.concat(
        [
            trajectories([0, 0, 8, 6]),
            trajectories([1, 0, 8, 4], draw=1),
            trajectories([4, 2, 8, 2], run="rl", step=10),
            trajectories([8, 0, 8, 0], run="rl", step=20),
        ],
        ignore_index=True,
    )


def row(frame: pd.DataFrame, run: str, band: str, step: int) -> pd.Series:
    found = frame[(frame["run"] == run) & (frame["band"] == band) & (frame["step"] == step)]
    assert len(found) == 1
    return found.iloc[0]


def test_band_accuracy_measures_fresh_attempts() -> None:
    frame = hand_made()
    accuracy = band_accuracy(frame, assign_bands(frame, run="base"))
    hardest = row(accuracy, "base", "Hardest", 0)
    assert hardest["accuracy"] == pytest.approx((1 / 8 + 0) / 2)  # draw 1, not the zeros of draw 0
    assert (hardest["change"], hardest["change_low"], hardest["change_high"]) == (0, 0, 0)
    assert hardest["band_counts"] == "0" and hardest["band_attempts"] == "8"
    trained = row(accuracy, "rl", "Hardest", 10)
    assert trained["accuracy"] == pytest.approx((4 / 8 + 2 / 8) / 2)
    assert trained["change"] == pytest.approx(((4 - 1) / 8 + 2 / 8) / 2)
    assert (trained["n_questions"], trained["n_correct"], trained["n_decided"]) == (2, 6, 16)
    easy = row(accuracy, "rl", "Easy", 20)
    assert easy["change"] == pytest.approx(((8 - 8) / 8 + (0 - 4) / 8) / 2)
    empty = row(accuracy, "rl", "Hard", 10)
    assert empty["n_questions"] == 0 and np.isnan(empty["accuracy"]) and np.isnan(empty["low"])
    assert list(dict.fromkeys(accuracy["run"])) == ["base", "rl"]
    assert accuracy[accuracy["run"] == "rl"]["step"].tolist() == [10, 20] * 4


def test_the_same_draw_is_refused_or_stamped() -> None:
    frame = hand_made()
    bands = assign_bands(frame, run="base")
    with pytest.raises(InputError, match="cannot measure step 0 too"):
        band_accuracy(frame, bands, measure_draw=0)
    with pytest.raises(InputError, match="cannot measure step 0 too"):
        band_lengths(frame, bands, measure_draw=0)
    allowed = band_accuracy(frame, bands, measure_draw=0, allow_same_draw=True)
    assert allowed["same_draw"].all() and row(allowed, "base", "Hardest", 0)["accuracy"] == 0
    assert not band_accuracy(frame, bands)["same_draw"].any()
    swapped = band_accuracy(frame, assign_bands(frame, run="base", draw=1), measure_draw=0)
    assert row(swapped, "base", "Hardest", 0)["accuracy"] == 0  # q1 alone scored 0 in draw 1, and again in draw 0


def test_intervals_never_have_width_zero() -> None:
    frame = hand_made()
    accuracy = band_accuracy(frame, assign_bands(frame, run="base"))
    measured = accuracy[accuracy["n_questions"] > 0]
    assert (measured["high"] - measured["low"] > 0.01).all()
    # one run, where all four questions are always right: 4 of 4 by Wilson from 4 / (4 + 3.8415)
    right = pd.concat([trajectories([8] * 4), trajectories([8] * 4, draw=1), trajectories([8] * 4, step=5)])
    solved = row(band_accuracy(right, assign_bands(right)), "base", "Easy", 5)
    assert solved["interval"] == "wilson"
    assert (solved["low"], solved["high"]) == (pytest.approx(4 / (4 + 3.841458820694124)), 1)
    assert solved["change"] == 0 and np.isnan(solved["change_low"])  # equal everywhere: the width is not known


def test_bootstrap_interval_is_that_of_a_mean() -> None:
    frame = frozen_run(400, np.random.default_rng(5))
    accuracy = band_accuracy(frame, assign_bands(frame), resamples=1_000)
    easy = row(accuracy, "base", "Easy", 10)
    rate = frame[(frame["step"] == 10)]["n_correct"].to_numpy() / 8
    inside = (assign_bands(frame)["band"] == "Easy").to_numpy()
    error = rate[inside].std(ddof=1) / np.sqrt(inside.sum())
    assert easy["high"] - easy["low"] == pytest.approx(2 * 1.96 * error, rel=0.12)


def test_undecided_attempts_leave_the_rate_and_bound_it() -> None:
    frame = pd.concat(
        [
            trajectories([8, 8]),
            trajectories([8, 8], draw=1),
            trajectories([3, 6], step=5, n_undecided=[2, 0]),
        ]
    )
    easy = row(band_accuracy(frame, assign_bands(frame)), "base", "Easy", 5)
    assert easy["accuracy"] == pytest.approx((3 / 6 + 6 / 8) / 2)
    assert easy["bound_low"] == pytest.approx((3 / 8 + 6 / 8) / 2)
    assert easy["bound_high"] == pytest.approx((5 / 8 + 6 / 8) / 2)
    assert easy["n_undecided"] == 2


def test_a_question_without_decided_attempts_leaves_the_mean() -> None:
    frame = pd.concat(
        [trajectories([8, 8]), trajectories([8, 8], draw=1), trajectories([0, 6], step=5, n_undecided=[8, 0])]
    )
    easy = row(band_accuracy(frame, assign_bands(frame)), "base", "Easy", 5)
    assert easy["accuracy"] == pytest.approx(6 / 8) and easy["n_questions"] == 1


def test_top_ups_leave_band_accuracy_unchanged() -> None:
    frame = hand_made()
    bands = assign_bands(frame, run="base")
    topped = pd.concat(
        [frame, trajectories([64], draw=2, n_attempts=64), trajectories([64], step=10, draw=2, run="rl")]
    )
    pd.testing.assert_frame_equal(band_accuracy(frame, bands), band_accuracy(topped, bands))
    with pytest.raises(InputError, match="top-up"):
        band_accuracy(topped, bands, measure_draw=2)


def test_questions_are_joined_by_identity_never_by_index() -> None:
    frame = hand_made()
    bands = assign_bands(frame, run="base")
    order = np.random.default_rng(1).permutation(len(frame))
    permuted = frame.assign(question_ix=(frame["question_ix"] * 3 + 1) % 4).iloc[order]
    # runs keep the order they are given in
    permuted = permuted.sort_values("run", kind="stable")
    pd.testing.assert_frame_equal(band_accuracy(permuted, bands), band_accuracy(frame, bands))


def test_questions_probed_at_the_ends_alone_do_not_enter() -> None:
    frame = hand_made()
    ends = ["e0", "e1"]
    more = pd.concat(
        [
            frame,
            trajectories([0, 0], questions=ends),
            trajectories([0, 0], questions=ends, draw=1),
            trajectories([8, 8], questions=ends, run="rl", step=20),
        ]
    )
    bands = assign_bands(more, run="base")
    counted = ["run", "band", "step", "n_questions", "accuracy", "change"]  # the resamples differ, the means do not
    alone = band_accuracy(frame, assign_bands(frame, run="base"))
    pd.testing.assert_frame_equal(band_accuracy(more, bands)[counted], alone[counted])
    only_ends = band_accuracy(more[more["step"].isin([0, 20])], bands)
    assert row(only_ends, "rl", "Hardest", 20)["n_questions"] == 4
    with pytest.raises(InputError, match="no question was probed"):
        band_accuracy(pd.concat([frame, trajectories([1], questions=["x"], run="sft", step=3)]), bands)


def test_band_lengths_by_kind_of_answer() -> None:
    # q0: 2 of 8 right, 10 tokens when right, 16 on average; q1: none right, 30 tokens on average
    later = trajectories([2, 0], step=5, mean_tokens=[16, 30], mean_tokens_correct=[10, np.nan], n_truncated=[1, 3])
    frame = pd.concat([trajectories([0, 0]), trajectories([0, 0], draw=1), later])
    bands = assign_bands(frame)
    tokens = {
        which: row(band_lengths(frame, bands, which=which), "base", "Hardest", 5)
        for which in ("all", "correct", "other")
    }
    assert tokens["all"]["tokens"] == pytest.approx((8 * 16 + 8 * 30) / 16)
    assert tokens["correct"]["tokens"] == pytest.approx(10) and tokens["correct"]["n_questions"] == 1
    assert tokens["other"]["tokens"] == pytest.approx((8 * 16 - 2 * 10 + 8 * 30) / 14)
    assert tokens["all"]["truncated_share"] == pytest.approx(4 / 16)
    assert tokens["all"]["low"] == pytest.approx(16) and tokens["all"]["high"] == pytest.approx(30)
    assert np.isnan(row(band_lengths(frame, bands, which="correct"), "base", "Easy", 5)["tokens"])


def test_without_a_second_draw_or_a_later_step_nothing_can_be_measured() -> None:
    frame = trajectories([0, 8])
    with pytest.raises(InputError, match="nothing measures these bands"):
        band_accuracy(frame, assign_bands(frame))


def test_a_run_whose_base_has_one_draw_has_no_change() -> None:
    frame = pd.concat([trajectories([0, 8]), trajectories([4, 8], step=5)])
    accuracy = band_accuracy(frame, assign_bands(frame))
    assert set(accuracy["step"]) == {5} and accuracy["change"].isna().all()
    assert row(accuracy, "base", "Hardest", 5)["accuracy"] == 0.5
