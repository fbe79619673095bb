"""Comparisons of hand-written runs; the arithmetic stands beside each number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relift import stats
from relift.analysis import compare_scores, compare_with_baseline, render_comparisons
from relift.analysis.scores.sides import parse_side
from relift.errors import InputError
from relift.run_record import RunRecord
from relift.store import RunWriter, trajectories_of
from tests.analysis.evaluated import PROTOCOL, write_evaluation
from tests.store.rows import attempts, questions

A = {"aime24": ["cccc", "cccw", "cwww", "wwww"], "amc": ["cw", "cc"]}
B = {"aime24": ["ccww", "wwww", "cwww", "wwww"], "amc": ["cw", "ww"]}


def two(tmp_path: Path, a: Any = A, b: Any = B, **of_b: Any) -> tuple[Path, Path]:
    return write_evaluation(tmp_path / "a", a), write_evaluation(tmp_path / "b", b, **of_b)


def test_differences_are_paired_by_question(tmp_path: Path) -> None:
    frame = compare_scores(*two(tmp_path)).frame.set_index("benchmark")
    row = frame.loc["aime24"]
    # .5, .75, 0, 0
    expected = stats.paired_t([0.5, 0.75, 0, 0])
    assert (row["difference"], row["low"], row["high"], row["p_value"]) == pytest.approx(
        (expected.value, expected.low, expected.high, expected.p_value)
    )
    assert (row["value_a"], row["value_b"], row["n_questions"], row["k_a"], row["k_b"]) == (0.5, 0.1875, 4, 4, 4)
    # these: sqrt of the sum of p (1 - p) / 3 over both sides: 0 + 1/12, 1/16, 1/16 + 1/16, 0; over 4
    error = np.sqrt(1 / 12 + 3 / 16) / 4
    assert (row["low_these"], row["high_these"]) == pytest.approx(
        (0.3125 - 1.959964 * error, 0.3125 + 1.959964 * error)
    )
    assert row["detectable"] == pytest.approx(2.80158521811 * expected.standard_error)
    assert np.isnan(row["mcnemar_p"])


def test_holm_is_over_the_benchmarks_and_not_the_macro_average(tmp_path: Path) -> None:
    frame = compare_scores(*two(tmp_path)).frame.set_index("benchmark")
    raw = frame.loc[["aime24", "amc"], "p_value"]
    np.testing.assert_allclose(frame.loc[["aime24", "amc"], "p_holm"], stats.holm(raw))
    macro = frame.loc["macro_all"]
    assert np.isnan(macro["p_holm"]) and macro["difference"] == pytest.approx((0.3125 + 0.5) / 2)
    # SE^2 of D: aime24 var(.5, .75, 0, 0)/4, amc var(0, 1)/2 = 1/4; over B^2 = 4
    error = np.sqrt(np.var([0.5, 0.75, 0, 0], ddof=1) / 4 + 0.25) / 2
    assert macro["standard_error"] == pytest.approx(error) and macro["n_questions"] == 6


def test_holm_is_over_all_comparisons_with_the_baseline(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    c = write_evaluation(tmp_path / "c", {"aime24": ["cccc", "cccc", "wwww", "wwww"], "amc": ["cc", "cc"]})
    found = compare_with_baseline(b, [a, c])
    assert [(one.a, one.b) for one in found] == [("a", "b"), ("c", "b")]
    tested = pd.concat([one.frame[one.frame["p_holm"].notna()] for one in found])
    assert len(tested) == 4
    np.testing.assert_allclose(tested["p_holm"], stats.holm(tested["p_value"]))
    with pytest.raises(InputError, match="at least two runs"):
        compare_with_baseline(b, [])


def test_single_attempts_get_mcnemar_and_nothing_of_these_questions(tmp_path: Path) -> None:
    # only a 8, only b 1 of 12: 2 * (1 + 9) / 2^9
    a, b = two(tmp_path, {"amc": list("c" * 8 + "w" + "ccw")}, {"amc": list("w" * 8 + "c" + "ccw")})
    row = compare_scores(a, b).frame.iloc[0]
    assert row["mcnemar_p"] == pytest.approx(2 * (1 + 9) / 2**9)
    assert np.isnan([row["low_these"], row["high_these"], row["p_these"]]).all()
    assert (row["n_only_a"], row["n_only_b"]) == (8, 1)
    # one right of two dealt out: either run has it by a half, so chance makes every one of the nine flips
    assert (row["expected_only_a"], row["expected_only_b"]) == pytest.approx((4.5, 4.5))


def test_flips_expected_by_chance(tmp_path: Path) -> None:
    # 6 right of 4 + 4: a has 4 and b 2 in C(4,4)C(4,2)/C(8,6) = 6/28 of the deals, and the reverse; 3 and 3 is no flip
    a, b = two(tmp_path, {"amc": ["cccc"]}, {"amc": ["ccww"]})
    row = compare_scores(a, b).frame.iloc[0]
    assert (row["n_only_a"], row["n_only_b"]) == (1, 0)
    assert (row["expected_only_a"], row["expected_only_b"]) == pytest.approx((6 / 28, 6 / 28))


def test_flipped_questions_are_listed_the_surest_first(tmp_path: Path) -> None:
    a, b = two(tmp_path, {"amc": ["cccw", "ccccwwww", "w" * 8]}, {"amc": ["wwww", "wwww", "c" * 8]})
    flipped = compare_scores(a, b).flipped
    # .5 is not "more than half", so the second is no flip; Fisher: 8 right dealt to 8 + 8, all to one: 2 / C(16, 8)
    assert flipped["problem"].tolist() == ["amc 2", "amc 0"] and flipped["solved_by"].tolist() == ["b", "a"]
    assert flipped["p_value"].tolist() == pytest.approx([2 / 12_870, 2 * 4 / 56])  # C(4,3) C(4,0) / C(8,3), both ends
    assert (flipped["q_value"] >= flipped["p_value"]).all()
    assert flipped.loc[1, ["n_correct_a", "n_decided_a", "n_correct_b", "n_decided_b"]].tolist() == [3, 4, 0, 4]


def test_a_run_against_itself_differs_by_nothing_with_an_interval(tmp_path: Path) -> None:
    a, _ = two(tmp_path)
    found = compare_scores(a, a)
    frame = found.frame
    assert (frame["difference"] == 0).all() and (frame["p_value"] == 1).all() and len(found.flipped) == 0
    assert (frame["high"] - frame["low"] > 0.1).all()


def test_questions_are_joined_by_content_not_by_index(tmp_path: Path) -> None:
    order = {"amc": ["p", "q", "r"]}
    a = write_evaluation(tmp_path / "a", {"amc": ["cc", "cw", "ww"]}, problems=order)
    b = write_evaluation(tmp_path / "b", {"amc": ["ww", "cw", "cc"]}, problems={"amc": ["r", "q", "p"]})
    assert compare_scores(a, b).frame["difference"].tolist() == [0]


def test_what_is_not_shared_is_named(tmp_path: Path) -> None:
    a, b = two(tmp_path, A, {"amc": ["cw", "uu"], "math500": ["cw"]})
    found = compare_scores(a, b)
    assert found.frame["benchmark"].tolist() == ["amc"] and found.frame.loc[0, "n_questions"] == 1
    assert "only a was asked aime24" in found.notes and "only b was asked math500" in found.notes
    assert "amc: 1 of 2 questions have a decided attempt of both runs" in found.notes
    c = write_evaluation(tmp_path / "c", {"math500": ["cw"]})
    with pytest.raises(InputError, match="no answered question in common"):
        compare_scores(a, c)


def test_other_protocols_are_refused_by_their_fields_unless_forced(tmp_path: Path) -> None:
    sampling = {**PROTOCOL["sampling"], "temperature": 0.7}
    a, b = two(tmp_path, protocol={**PROTOCOL, "name": "qwen", "system": "steps"}, decodings={"benchmark": sampling})
    with pytest.raises(InputError) as refused:
        compare_scores(a, b)
    line = str(refused.value)
    assert "sampling.temperature is 0.7 there, 0.6 here" in line and "system is 'steps' there, None here" in line
    assert "--force" in line and "name is" not in line and "\n" not in line
    notes = compare_scores(a, b, force=True).notes
    assert notes[0].startswith("NOT the same protocol: ") and "sampling.temperature" in notes[0]


def test_other_numbers_of_attempts_are_no_other_protocol(tmp_path: Path) -> None:
    b = {"aime24": ["cw", "ww", "cw", "ww"], "amc": ["c", "w"]}
    a, b_folder = two(tmp_path, A, b, protocol={**PROTOCOL, "name": "custom (from relift)", "samples": {"amc": 1}})
    found = compare_scores(a, b_folder)
    assert found.frame.set_index("benchmark").loc["aime24", ["k_a", "k_b"]].tolist() == [4, 2] and found.notes == ()
    # a side of single attempts leaves these questions undefined
    assert np.isnan(found.frame.set_index("benchmark").loc["amc", "low_these"])


def test_other_graders_and_engines_are_noted(tmp_path: Path) -> None:
    graders = {"math": {"name": "relift", "version": 2}}
    a, b = two(tmp_path, graders=graders, identity={"engine": {"name": "vllm", "version": "0.32"}})
    notes = compare_scores(a, b).notes
    assert "different graders: a by relift 1 (math), b by relift 2 (math)" in notes
    assert "different engines: a by an engine not recorded, b by vllm 0.32" in notes


def write_probes(folder: Path, *, seeds: dict[int, int], name: str) -> Path:
    with RunWriter(folder) as writer:
        record = RunRecord(run_id=name, name=name, decodings={"probe": {"temperature": 1.0}})
        writer.start(record, config_toml="", questions=questions(6), demonstrations=None)
        for step, seed in seeds.items():
            rows = attempts(6, 8, seed=seed).drop(columns="text")
            writer.write("attempts", rows, step=step, origin="probe")
            made = trajectories_of(
                rows.assign(step=step, origin="probe", draw=0), rl_exposures={}, sft_exposures={}, in_buffer={}
            )
            writer.write("trajectories", made, step=step, origin="probe")
            writer.commit(step)
    return folder


def test_training_runs_are_compared_on_their_probes(tmp_path: Path) -> None:
    a = write_probes(tmp_path / "rl", seeds={0: 1, 10: 2}, name="rl")
    b = write_probes(tmp_path / "sft", seeds={0: 1, 10: 3}, name="sft")
    frame = compare_scores(a, b).frame  # the last probes of both
    rows = [attempts(6, 8, seed=seed) for seed in (2, 3)]
    rates = [(one["verdict"] == "correct").groupby(one["question_ix"]).mean() for one in rows]
    assert frame["benchmark"].tolist() == ["train"] and frame.loc[0, "difference"] == pytest.approx(
        (rates[0] - rates[1]).mean()
    )
    same = compare_scores(a, b, step_a=0, step_b=0)
    assert same.frame.loc[0, "difference"] == 0 and (same.a, same.b) == ("rl step 0", "sft step 0")
    with pytest.raises(InputError, match="no probe at step 7; there are steps 0, 10"):
        compare_scores(a, b, step_a=7)
    with pytest.raises(InputError, match="not comparable"):
        compare_scores(a, write_evaluation(tmp_path / "eval", A))


def test_a_side_is_a_folder_or_a_folder_at_a_step(tmp_path: Path) -> None:
    assert parse_side("runs/rl@40") == (Path("runs/rl"), 40) and parse_side("runs/rl", step=3) == (Path("runs/rl"), 3)
    (tmp_path / "odd@1").mkdir()
    assert parse_side(str(tmp_path / "odd@1")) == (tmp_path / "odd@1", None)
    with pytest.raises(InputError, match="'x' is no step"):
        parse_side("runs/rl@x")


def test_what_a_comparison_prints(tmp_path: Path) -> None:
    a, b = two(tmp_path, A, B, graders={})
    found = [compare_scores(a, b)]
    lines = render_comparisons(found, flips=1).splitlines()
    assert lines[0] == "a - b" and lines[1].split()[:5] == ["benchmark", "questions", "k", "a", "b"]
    assert lines[3].split()[:6] == ["aime24", "4", "4", "50.0", "18.8", "+31.2"] and "Holm over 2 tests" in "\n".join(
        lines
    )
    assert "NOTE: different graders: a by relift 1 (math), b by a grader that is not recorded" in lines
    # aime24: .5 is not solved; flips are 1 of 1 there and "amc 1"
    assert any(line.startswith("Flipped questions: 3 found") for line in lines)
    assert sum(" against " in line for line in lines) == 1
    values = json.loads(render_comparisons(found, format="json"))
    assert values["holm_family"] == 2 and values["comparisons"][0]["benchmarks"][2]["p_holm"] is None
    assert len(values["comparisons"][0]["flipped"]) == 3
    assert render_comparisons(found, format="markdown").startswith("### a - b\n\n| benchmark |")
    assert "% a - b\n" in render_comparisons(found, format="latex")
    with pytest.raises(InputError, match="at least two"):
        render_comparisons([])


def test_no_line_can_be_forged_by_a_problem_text(tmp_path: Path) -> None:
    problems = {"amc": ["what\n\x1b[2Jis | this", "q"]}
    runs = [
        write_evaluation(tmp_path / name, {"amc": letters}, problems=problems)
        for name, letters in (("a", ["cccc", "ww"]), ("b", ["wwww", "ww"]))
    ]
    text = render_comparisons([compare_scores(*runs)])
    assert "\x1b" not in text and "what [2Jis | this" in text
