import pandas as pd
import pytest

from relift.analysis.report import words as words
from relift.analysis.report.content import pairs_of_runs
from relift.analysis.training.event_study import WAITING
from relift.errors import InputError
from tests.analysis.frames import trajectories

NAMES = {"rl-1": "RL", "sft-1": "SFT", "base-1": "base", "a-1": "a", "b-1": "b"}


def test_numbers_are_written_with_a_real_minus_and_no_negative_zero() -> None:
    assert [words.signed(x) for x in (2.71, -1.04, 0.04, -0.04)] == ["+2.7", "−1.0", "0.0", "0.0"]
    assert words.plain(2.71) == "2.7" and words.percent(0.6378) == "63.8 %"
    assert words.interval(-0.01, 0.064, scale=100) == "[−1.0, 6.4]"
    assert words.interval(float("nan"), 1.0) == "[no interval]"
    assert words.points(0.01, 0.005, 0.015) == "+1.0 point [0.5, 1.5]"
    assert words.many(1, "question") == "1 question" and words.many(2304, "question") == "2,304 questions"
    assert [words.p_value(p) for p in (0.0321, 0.0004, float("nan"))] == ["= 0.032", "below 0.001", "unknown"]


def move(
    band: str, *, n: int, stayed: int, null: float, low: float, high: float, significant: bool = False
) -> dict[str, object]:
    return {
        "run_id": "rl-1", "step": 72, "band_from": band, "band_to": band, "n_from": n, "count": stayed,
        "null_share": null, "excess": stayed / n - null, "low": low, "high": high, "significant": significant,
        "null": "draws",
    }  # fmt: skip


def test_moves_are_beside_what_an_unchanged_model_shows() -> None:
    # 12 of 80 left, of which 80 x (1 - .88375) = 9.3 by chance: 2.7 more; ends -80 x .08 = -6.4 and -80 x -.0125 = 1.0
    rows = [move("Hardest", n=80, stayed=68, null=0.88375, low=-0.08, high=0.0125)]
    rows += [move("Easy", n=50, stayed=45, null=0.7, low=0.1, high=0.3, significant=True)]
    rows += [{**rows[0], "band_to": "Hard", "count": 12}]  # not of those that stayed
    assert words.say_moves(pd.DataFrame(rows), NAMES) == [
        "RL moved 12 of 80 Hardest questions to solved at least once by step 72; 9.3 expected without learning; "
        "excess 2.7 [−1.0, 6.4], not told from chance.",
        # 5 left, 50 x .3 = 15 expected: 10 fewer, ends -50 x .3 = -15 and -50 x .1 = -5
        "RL let 5 of 50 Easy questions fall to a lower band by step 72; 15.0 expected without learning; excess −10.0 "
        "[−15.0, −5.0].",
    ]


def test_an_interval_without_0_that_the_exact_test_does_not_confirm_is_no_finding() -> None:
    frame = pd.DataFrame([move("Hardest", n=10, stayed=5, null=0.8, low=-0.5, high=-0.1)]).assign(null="fitted")
    assert words.say_moves(frame, NAMES) == [
        "RL moved 5 of 10 Hardest questions to solved at least once by step 72; 2.0 expected without learning (fitted "
        "null); excess 3.0 [1.0, 5.0], not told from chance by the exact test."
    ]


def difference(group: str, low: float, high: float, run_id: str = "rl-1") -> dict[str, object]:
    return {
        "run_id": run_id,
        "kind": "all" if group == "all" else "group" if group == "longer" else "band",
        "group": group,
        "step": 72,
        "n_questions": 40,
        "n_left_out": 0,
        "accuracy": 0.6,
        "base_accuracy": 0.6 - (low + high) / 2,
        "difference": (low + high) / 2,
        "low": low,
        "high": high,
    }


def test_accuracy_and_bands() -> None:
    frame = pd.DataFrame(
        [
            difference("all", 0.1, 0.2), difference("longer", -0.3, -0.1), difference("Easy", -0.02, 0.04),
            difference("Hardest", 0.0, 0.1),
        ]
    )  # fmt: skip
    assert words.say_accuracy(frame, NAMES) == [
        "RL: 60.0 % at step 72, the base 45.0 %: +15.0 points [10.0, 20.0], paired over 40 questions. By split: "
        "longer (40) −20.0 [−30.0, −10.0]."
    ]
    unsure = pd.DataFrame([{**difference("all", -0.1, 0.2), "n_left_out": 3}])
    assert words.say_accuracy(unsure, NAMES) == [
        "RL: 60.0 % at step 72, the base 55.0 %: +5.0 points [−10.0, 20.0], paired over 40 questions, 3 left out"
        ", not told from chance."
    ]
    assert words.say_bands(frame, NAMES) == [  # from the lowest band to the highest
        "RL, change in points: Hardest (40) +5.0 [0.0, 10.0], Easy (40) +1.0 [−2.0, 4.0]."
    ]


def test_runs_that_start_alike_share_a_sentence() -> None:
    frame = pd.DataFrame(
        {
            "run_id": ["base-1", "rl-1", "rl-1", "sft-1"], "step": [0, 72, 0, 0], "value": [0.45, 0.6, 0.45, 0.5],
            "ci_low": [0.4, 0.5, 0.4, 0.4], "ci_high": [0.5, 0.7, 0.5, 0.6], "n_questions": 320,
        }
    )  # fmt: skip
    assert words.say_levels(frame, NAMES) == [
        "base, RL at step 0: 45.0 % [40.0, 50.0] of 320 questions.",
        "SFT at step 0: 50.0 % [40.0, 60.0] of 320 questions.",
    ]


def test_lists_are_headed_by_what_chance_gives() -> None:
    frame = pd.DataFrame(
        {
            "run_id": "rl-1", "class": ["gained", "lost", "stuck"], "found": [119, 2, 78], "expected": [9.35, 9.5, 78],
            "sd": [2.25, 2.4, 0], "n_questions": 320,
        }
    )  # fmt: skip
    (said,) = words.say_classes(frame, NAMES)
    assert said.startswith(
        "RL: of 320 questions 119 gained (9.3 expected without learning, standard deviation 2.2), 2 "
    )


def test_reach_says_when_the_attempts_are_too_few() -> None:
    rows = [("base-1", 0, "within", 222), ("base-1", 0, "undetermined", 98), ("base-1", 0, "beyond", 0)]
    rows += [("rl-1", 72, "within", 300), ("rl-1", 72, "undetermined", 15), ("rl-1", 72, "beyond", 5)]
    frame = pd.DataFrame(rows, columns=["run_id", "step", "reach", "count"])
    frame = frame.assign(n_questions=320, n_attempts="16", epsilon=0.0457)
    said = words.say_reach(frame, NAMES)
    assert said[0] == (
        "base at step 0: of 320 questions 222 within reach, 98 undetermined, 0 beyond reach (16 attempts at each)."
    )
    assert said[3] == "Too few attempts to call any question beyond reach: base at step 0. `relift topup` adds some."


def test_crossings_and_what_was_kept() -> None:
    nan = float("nan")
    crossings = pd.DataFrame(
        {
            "run_id": ["rl-1", "sft-1", "a-1"], "k_star": [8, nan, nan], "low": [6, nan, nan], "high": [nan, nan, nan],
            "k_max": 8, "crossed": [0.55, 0.0, 0.2],
        }
    )  # fmt: skip
    assert words.say_crossover(crossings, NAMES) == [
        "RL: the base model's pass@k reaches it from k = 8 on [6, more than 8], k up to 8 tried.",
        "SFT: the base model's pass@k stays below it up to k = 8.",
        "a: the base model's pass@k stays below it up to k = 8 (20.0 % of resamples cross).",
    ]
    kept = pd.DataFrame(
        {
            "run_id": "rl-1", "step": [72, 36], "n_mastered": 96, "n_still": [93, 90], "share": [0.96875, 0.9],
            "low": 0.912, "high": 0.989, "null_share": 0.833,
        }
    )  # fmt: skip
    assert words.say_retention(kept, NAMES) == [  # of the last step, whatever the order of the rows
        "RL: of 96 questions mastered at the first probe 93 still are at step 72 (96.9 % [91.2, 98.9]; a model that "
        "did not change keeps 83.3 %)."
    ]
    assert words.say_retention(kept.assign(n_mastered=0), NAMES) == ["RL: no question was mastered at the first probe."]


def test_after_training_names_its_controls() -> None:
    frame = pd.DataFrame(
        {
            "run_id": ["rl-1", "rl-1", "sft-1"], "from": [0, 8, 0], "to": [8, 16, 8], "att": [0.0, 0.0154, 0.1],
            "low": [None, -0.0043, None], "high": [None, 0.0515, None], "n_trained": [50, 38, 9],
            "n_controls": [19, 96, 9], "controls": [WAITING, WAITING, "rl"],
        }
    )  # fmt: skip
    assert words.say_after_training(frame, NAMES) == [
        "RL: 8 to 16 steps after its demonstration was first trained on a question is answered +1.5 points [−0.4, 5.1] "
        "better than controls that waited in the buffer as long (38 questions, 96 controls), not told from chance.",
        "SFT: no control, so that nothing is known of what a demonstration did.",
    ]


def test_limits_count_what_is_not_known() -> None:
    frame = pd.concat(
        [
            trajectories([1, 2], run="rl", n_undecided=[1, 0], n_truncated=[2, 1]),
            trajectories([1, 2], run="rl", draw=1),
        ]
    )
    # 2 questions x 2 draws x 8 attempts = 32; 1 undecided, 3 cut off
    assert words.limits(frame, n_excluded=3, names=NAMES) == [
        "Probes: 2 questions, 8 attempts at each in a draw, 2 independent draws at step 0.",
        "3 questions left out: not probed in every run and at every step.",
        "RL: of 32 attempts 1 undecided (3.1 %), 3 cut off at the longest length (9.4 %). Undecided answers are in no "
        "rate.",
    ]


def test_noise_of_bands_is_said_where_it_was_measured() -> None:
    rows = [{"band": band, "flipped": 90.0, "n_questions": 320, "share": 0.28125} for band in ("Easy", "all")]
    frame = pd.DataFrame(rows).assign(low=0.2348, high=0.3329)
    (said,) = words.say_noise(frame)
    assert "puts 90 of 320 questions into another one (28.1 % [23.5, 33.3])" in said
    assert words.say_noise(frame.assign(share=None)) == []


def test_pairs_of_runs_are_paired_by_question() -> None:
    ends = pd.concat(
        [
            trajectories([0, 4, 8], run="base"),
            trajectories([8, 8, 0], run="a", step=9),
            trajectories([0, 8, 4], run="b", step=9),
        ]
    )
    frame = pairs_of_runs(ends, without=["base-1"])
    (row,) = frame.to_dict("records")
    # b - a: (0 - 1 + 1 - 1 + .5 - 0) / 3 = -1/6; above one half: a alone the first question, b alone none
    assert (row["run_id_a"], row["run_id_b"]) == ("b-1", "a-1")
    assert row["difference"] == pytest.approx(-1 / 6) and row["n_only_a"] == 0 and row["n_only_b"] == 1
    assert row["p_holm"] == row["p_value"]  # one pair
    # 8 right of 16 dealt to 8 and 8: P(one side above 4 of 8) is alike for both
    assert row["expected_only_a"] == pytest.approx(row["expected_only_b"])
    (said,) = words.say_pairs(frame, NAMES)
    assert (
        said.startswith("These two checkpoints, b and a: −16.7 points [")
        and "(p " not in said
        and "0 by b alone" in said
        and "1 by a alone" in said
    )
    with pytest.raises(InputError, match="fewer than two runs"):
        pairs_of_runs(ends[ends["run"] != "b"], without=["base-1"])


def test_of_several_comparisons_the_adjusted_test_must_agree() -> None:
    row = {"benchmark": "math500", "n_questions": 120, "value_a": 0.45, "value_b": 0.37, "difference": 0.08}
    sides = [(0.02, 0.14, 0.015), (0.02, 0.14, 0.08), (-0.01, 0.17, 0.2), (0.02, 0.14, float("nan"))]
    frame = pd.DataFrame([{**row, "low": low, "high": high, "p_holm": p} for low, high, p in sides])
    start = "math500: 45.0 % against 37.0 %, +8.0 points"
    assert words.say_comparison(frame) == [
        f"{start} [2.0, 14.0] (p = 0.015, Holm), paired over 120 questions.",
        f"{start} [2.0, 14.0] (p = 0.080, Holm), paired over 120 questions, not told from chance once adjusted.",
        f"{start} [−1.0, 17.0] (p = 0.200, Holm), paired over 120 questions, not told from chance.",
        f"{start} [2.0, 14.0], paired over 120 questions.",  # a macro average, which is in no family
    ]


def test_findings_leave_out_what_was_not_measured() -> None:
    frame = pd.DataFrame([difference("all", 0.1, 0.2)])
    assert [topic for topic, _ in words.findings({"difference_from_base": frame}, NAMES)] == ["Accuracy"]
    assert words.findings({}, NAMES) == []
