from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relift import stats
from relift.analysis import assign_bands, band_transitions, label_noise, moved_questions, read_trajectories
from relift.analysis.questions.bands import BANDS
from relift.analysis.questions.unchanged import joint_band_shares
from relift.errors import InputError
from tests.analysis.frames import frozen_rates, frozen_run, trajectories
from tests.synthetic import write_run

# Selection noise of a frozen model, p = 0 with probability .15, else Beta(.45, .9): 200,000 simulated questions,
# bands by 8 attempts, per cent, from row to column, hardest first (design notes, analysis, section 1)
NULL_MATRIX = [[83.8, 14.4, 1.8, 0.0], [28.3, 47.0, 23.0, 1.7], [4.0, 24.7, 51.5, 19.8], [0.1, 2.3, 23.9, 73.7]]
STAYS = {8: [84, 47, 52, 74], 16: [85, 63, 64, 81], 32: [87, 78, 74, 86], 64: [89, 86, 82, 90]}


def matrix(frame: pd.DataFrame, value: str) -> np.ndarray:
    return frame[value].to_numpy(float).reshape(4, 4)


def exact_null(n: int) -> np.ndarray:
    joint = 0.85 * joint_band_shares(stats.BetaPrior(0.45, 0.9, 0.0), n, n)
    joint[0, 0] += 0.15  # questions without a chance stay where they are
    return joint / joint.sum(axis=1, keepdims=True)


def test_the_exact_null_is_that_of_the_design() -> None:
    np.testing.assert_allclose(100 * exact_null(8), NULL_MATRIX, atol=1)
    for n, stays in STAYS.items():
        np.testing.assert_allclose(100 * np.diag(exact_null(n)), stays, atol=1)


def test_a_frozen_model_moves_as_the_null_says() -> None:
    frame = frozen_run(40_000, np.random.default_rng(11))
    moves = band_transitions(frame, assign_bands(frame), resamples=0)
    # rows hold 5,000 to 17,000 questions: three standard errors are 2 points at most
    np.testing.assert_allclose(100 * matrix(moves, "null_share"), NULL_MATRIX, atol=2)
    np.testing.assert_allclose(100 * matrix(moves, "share"), NULL_MATRIX, atol=2)
    assert (moves["low"].isna() & moves["high"].isna() & ~moves["significant"]).all()  # nothing was resampled


def test_counts_shares_and_excess_by_hand() -> None:
    # from Hardest: q0 q1 q2 q3; null (draw 1): q3 goes to Hard; later q0 Easy, q1 Medium, q2 q3 Hardest; q4 is Easy
    frame = pd.concat(
        [
            trajectories([0, 0, 0, 0, 8]),
            trajectories([0, 0, 0, 1, 8], draw=1),
            trajectories([8, 4, 0, 0, 8], run="rl", step=10),
            trajectories([0, 0, 0, 0, 0], run="rl", step=5),
        ]
    )
    bands = assign_bands(frame, run="base")
    moves = band_transitions(frame, bands)
    assert set(moves["run"]) == {"rl"} and set(moves["step"]) == {10}
    assert moves["band_from"].tolist()[::4] == list(BANDS) and moves["band_to"].tolist()[:4] == list(BANDS)
    np.testing.assert_allclose(matrix(moves, "share")[0], [2 / 4, 0, 1 / 4, 1 / 4])
    np.testing.assert_allclose(matrix(moves, "null_share")[0], [3 / 4, 1 / 4, 0, 0])
    np.testing.assert_allclose(matrix(moves, "excess")[0], [-1 / 4, -1 / 4, 1 / 4, 1 / 4])
    assert matrix(moves, "count")[3].tolist() == [0, 0, 0, 1] and matrix(moves, "n_from")[:, 0].tolist() == [4, 0, 0, 1]
    assert np.isnan(matrix(moves, "share")[1:3]).all()
    # Hardest to Hardest: null alone q0 q1, later alone q3: McNemar 2 against 1 has p = 1
    assert matrix(moves, "p_value")[0, 0] == 1
    # other draws of the step are not pooled with draw 0: bands of different n are not compared
    more = [trajectories([8] * 5, run="rl", step=10, draw=draw) for draw in (1, 2)]
    pd.testing.assert_frame_equal(band_transitions(pd.concat([frame, *more]), bands), moves)
    earlier = band_transitions(frame, bands, step=5)
    assert matrix(earlier, "count")[3].tolist() == [1, 0, 0, 0]


def test_label_noise_by_hand() -> None:
    # Hardest q0 q1, of which draw 1 puts q1 into Hard; Easy q2 stays; q3 is unsure in draw 1
    frame = pd.concat([trajectories([0, 0, 8, 8]), trajectories([0, 1, 7, 5], draw=1, n_undecided=[0, 0, 0, 1])])
    found = label_noise(frame, assign_bands(frame)).set_index("band")
    assert found["n_questions"].to_dict() == {"Hardest": 2, "Hard": 0, "Medium": 0, "Easy": 1, "all": 3}
    assert found.loc[["Hardest", "Easy", "all"], "flipped"].tolist() == [1, 0, 1]
    assert found.loc["all", "share"] == pytest.approx(1 / 3) and found.loc["Easy", "high"] > 0.7
    alone = label_noise(frame[frame["draw"] == 0], assign_bands(frame))
    assert alone["flipped"].isna().all() and alone["expected_share"].between(0, 1).all()


def test_label_noise_of_a_frozen_model() -> None:
    frame = frozen_run(20_000, np.random.default_rng(3))
    found = label_noise(frame, assign_bands(frame)).set_index("band")
    np.testing.assert_allclose(100 * (1 - found["share"].iloc[:4]), STAYS[8], atol=2)
    np.testing.assert_allclose(found["expected_share"].iloc[:4], found["share"].iloc[:4], atol=0.04)


def test_few_questions_claim_nothing() -> None:
    for n, claimed in (1, False), (4, False), (5, False), (6, True):
        frame = pd.concat([trajectories([0] * n), trajectories([0] * n, draw=1), trajectories([8] * n, step=9)])
        moves = band_transitions(frame, assign_bands(frame))
        hardest_to_easy = moves.iloc[3]
        assert hardest_to_easy["excess"] == 1 and hardest_to_easy["significant"] == claimed
        # exact: 2 * .025^(1/6) - 1 = .081 at 6
        assert hardest_to_easy["low"] == pytest.approx(2 * 0.025 ** (1 / n) - 1)
    # 3 of 4 moved: the bootstrap alone would call it certain, McNemar has p = 2 / 2^3
    frame = pd.concat([trajectories([0] * 4), trajectories([0] * 4, draw=1), trajectories([8, 8, 8, 0], step=9)])
    three = band_transitions(frame, assign_bands(frame)).iloc[3]
    assert three["low"] > 0 and three["p_value"] == pytest.approx(0.25) and not three["significant"]


def test_unsure_questions_are_counted_apart() -> None:
    frame = pd.concat(
        [
            trajectories([0, 0, 0]),
            trajectories([0, 0, 0], draw=1, n_undecided=[0, 1, 0]),
            trajectories([0, 0, 0], step=9, n_undecided=[0, 0, 1]),
        ]
    )
    moves = band_transitions(frame, assign_bands(frame))
    assert moves.iloc[0][["n_from", "n_unmeasured", "count"]].tolist() == [1, 2, 1]


def test_transitions_refuse_what_cannot_be_compared() -> None:
    one_draw = pd.concat([trajectories([0, 1]), trajectories([0, 1], step=9)])
    bands = assign_bands(one_draw)
    with pytest.raises(InputError, match='null="fitted"'):
        band_transitions(one_draw, bands)
    second = trajectories([0, 1], draw=1)
    with pytest.raises(InputError, match="step 7"):
        band_transitions(pd.concat([one_draw, second]), bands, step=7)
    with pytest.raises(InputError, match="cannot measure step 0 too"):
        both = pd.concat([one_draw, second])
        band_transitions(both, assign_bands(both, draw=1))
    with pytest.raises(InputError, match="different n"):
        sixteen = trajectories([0, 1], draw=1, n_attempts=16)
        band_transitions(pd.concat([one_draw, sixteen]), bands)


def test_the_fitted_null_needs_one_draw_and_resembles_the_drawn_one() -> None:
    rng = np.random.default_rng(2)
    rate_Q = rng.beta(0.45, 0.9, 3_000)  # what a beta prior can describe
    probes = [(0, 0), (0, 1), (10, 0)]
    frame = pd.concat([trajectories(rng.binomial(8, rate_Q), step=step, draw=draw) for step, draw in probes])
    bands = assign_bands(frame)
    drawn = band_transitions(frame, bands, resamples=20)
    fitted = band_transitions(frame[frame["draw"] == 0], bands, null="fitted", resamples=20)
    np.testing.assert_allclose(matrix(fitted, "null_share"), matrix(drawn, "null_share"), atol=0.06)
    np.testing.assert_allclose(matrix(fitted, "null_share").sum(axis=1), 1)
    assert (fitted["null"] == "fitted").all() and fitted["p_value"].isna().all()
    # the null is smooth: its interval is that of the observed share, so narrower than with a drawn null
    assert (fitted["high"] - fitted["low"]).mean() < (drawn["high"] - drawn["low"]).mean()


def test_joint_shares_equal_a_simulation() -> None:
    rng = np.random.default_rng(4)
    rate_Q = rng.beta(0.6, 1.2, 200_000)
    codes = [stats_codes(rng.binomial(n, rate_Q), n) for n in (8, 16)]
    counted = np.bincount(codes[0] * 4 + codes[1], minlength=16).reshape(4, 4) / 200_000
    joint = joint_band_shares(stats.BetaPrior(0.6, 1.2, 0.0), 8, 16)
    assert joint.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(joint, counted, atol=0.004)  # three standard errors of a share of .2


def stats_codes(correct_Q: np.ndarray, n: int) -> np.ndarray:
    share_Q = correct_Q / n
    return (share_Q > 0).astype(int) + (share_Q >= 5 / 16) + (share_Q >= 11 / 16)


def coverage(n_sets: int, *, gain: float, truth_C: np.ndarray) -> tuple[float, float]:
    """Share of simulated sets of 1,000 questions whose interval holds the true excess: one cell, all cells."""
    rng = np.random.default_rng(6)
    inside = np.zeros((n_sets, 16))
    for one in range(n_sets):
        rate_Q = frozen_rates(1_000, rng)
        later_Q = np.where(rate_Q > 0, np.minimum(1, rate_Q + gain), 0)
        draws = [rng.binomial(8, p) for p in (rate_Q, rate_Q, later_Q)]
        frame = pd.concat([trajectories(draws[0]), trajectories(draws[1], draw=1), trajectories(draws[2], step=10)])
        moves = band_transitions(frame, assign_bands(frame), seed=one)
        inside[one] = (moves["low"] <= truth_C) & (truth_C <= moves["high"])
    return float(inside[:, 0].mean()), float(inside.mean())


def true_excess(gain: float) -> np.ndarray:
    """By simulation of 400,000 questions: standard errors below .002."""
    rng = np.random.default_rng(1)
    rate_Q = frozen_rates(400_000, rng)
    later_Q = np.where(rate_Q > 0, np.minimum(1, rate_Q + gain), 0)
    code = [stats_codes(rng.binomial(8, p), 8) for p in (rate_Q, rate_Q, later_Q)]
    null, moved = (np.bincount(code[0] * 4 + c, minlength=16).reshape(4, 4) for c in code[1:])
    return ((moved - null) / moved.sum(axis=1, keepdims=True)).ravel()


def test_excess_interval_holds_zero_in_frozen_sets() -> None:
    leaving_hardest, all_cells = coverage(200, gain=0.0, truth_C=np.zeros(16))
    assert 0.90 <= leaving_hardest <= 0.98
    assert 0.93 <= all_cells <= 0.98


@pytest.mark.slow
def test_excess_interval_covers_over_a_thousand_sets() -> None:
    leaving_hardest, all_cells = coverage(1_000, gain=0.0, truth_C=np.zeros(16))
    assert 0.93 <= leaving_hardest <= 0.97 and 0.93 <= all_cells <= 0.98
    leaving_hardest, all_cells = coverage(1_000, gain=0.03, truth_C=true_excess(0.03))
    assert 0.93 <= leaving_hardest <= 0.97 and 0.92 <= all_cells <= 0.98


def test_a_fitted_null_knows_questions_that_are_never_solved() -> None:
    # .3 never, the others Beta(1.5, 1.1): a plain beta prior would let 27 % of the Hardest be solved next time
    rng = np.random.default_rng(5)
    rate_Q = np.where(rng.random(2_000) < 0.3, 0, rng.beta(1.5, 1.1, 2_000))
    frame = pd.concat([trajectories(rng.binomial(8, rate_Q), step=step) for step in (0, 10)])
    moves = band_transitions(frame, assign_bands(frame), null="fitted", resamples=50)
    stays = moves.iloc[0]
    assert stays["null_share"] == pytest.approx(((1 - rate_Q) ** 16).sum() / ((1 - rate_Q) ** 8).sum(), abs=0.03)
    assert stays["low"] < 0 < stays["high"]


def test_the_questions_of_a_cell_are_as_many_as_it_counts(tmp_path: Path) -> None:
    write_run(tmp_path / "rl", n_questions=80, n_steps=8, learn=0.8, seed=3, probe_every=4, demos_per_step=4)
    rows = read_trajectories([tmp_path / "rl"])
    bands = assign_bands(rows)
    cells = band_transitions(rows, bands, resamples=20)
    assert cells["count"].sum() == 80
    for cell in cells.to_dict("records"):
        found = moved_questions(
            rows, bands, run="rl-3", step=8, band_from=cell["band_from"], band_to=cell["band_to"]
        )  # fmt: skip
        assert len(found) == cell["count"]
    easy = moved_questions(rows, bands, run="rl-3", step=8, band_from="Medium", band_to="Easy")
    assert (easy["n_correct"] >= 6).all() and easy["n_correct_base"].between(3, 5).all()  # of 8
    with pytest.raises(InputError, match="no band"):
        moved_questions(rows, bands, run="rl-3", step=8, band_from="Easy", band_to="Impossible")
    with pytest.raises(InputError, match="no probe at step 7"):
        moved_questions(rows, bands, run="rl-3", step=7, band_from="Easy", band_to="Easy")
