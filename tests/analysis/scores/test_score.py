"""Scores of hand-written runs; the arithmetic stands beside each number."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relift import stats
from relift.analysis import score_health, score_run
from relift.analysis.scores.score import LIKE_THESE, THESE
from relift.errors import InputError
from relift.schema import SCORES
from relift.store import RunReader, RunWriter
from tests.analysis.evaluated import Attempt, attempts_of, write_evaluation


def one(
    scores: pd.DataFrame, benchmark: str, metric: str, parameter: float, *, estimand: str = LIKE_THESE
) -> pd.Series:
    found = scores[
        (scores["benchmark"] == benchmark)
        & (scores["metric"] == metric)
        & (scores["parameter"] == parameter)
        & (scores["estimand"] == estimand)
    ]
    assert len(found) == 1
    return found.iloc[0]


def test_avg_with_both_intervals(tmp_path: Path) -> None:
    # rates 2/4, 0, 4/4, 1/4: mean .4375
    scores = score_run(write_evaluation(tmp_path / "run", {"aime24": ["ccww", "wwww", "cccc", "cwww"]}))
    like, these = (one(scores, "aime24", "avg", 4, estimand=e) for e in (LIKE_THESE, THESE))
    assert like["value"] == these["value"] == 0.4375
    assert (like["n_questions"], like["n_attempts"], like["step"], like["run_id"]) == (4, 16, 0, "run")
    expected = stats.logit_t([0.5, 0, 1, 0.25])
    assert (like["ci_low"], like["ci_high"]) == (expected.low, expected.high)
    # variances p (1 - p) / 3: 1/12, 0, 0, 1/16; SE = sqrt(7/48) / 4
    n = 0.4375 * 0.5625 / (7 / 48 / 16)
    low, high = (float(end) for end in stats.wilson(0.4375 * n, n))
    assert (these["ci_low"], these["ci_high"]) == pytest.approx((low, high))


def test_rows_have_the_columns_of_the_table(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "run", {"aime24": ["ccwwccww", "wwwwwwww"], "amc": ["cwwwwwww", "cccccccc"]})
    scores = score_run(folder)
    assert list(scores.columns) == [column.name for column in SCORES.columns]
    assert not scores.duplicated(["run_id", "step", "benchmark", "metric", "parameter", "estimand"]).any()
    with RunWriter(folder) as writer:
        writer.write_whole("scores", scores)
    pd.testing.assert_frame_equal(
        RunReader(folder).read("scores").astype(object), scores.astype(object), check_dtype=False
    )
    # by default k = 1, 2, 4 with 8 attempts, maj from 4 on and of all
    parameters = {
        m: sorted(set(scores.loc[scores["metric"] == m, "parameter"])) for m in ("avg", "pass", "maj", "cover")
    }
    assert parameters == {"avg": [8], "pass": [1, 2, 4], "maj": [4, 8], "cover": [0.5]}


def test_pass_at_k_is_the_mean_over_subsets(tmp_path: Path) -> None:
    questions = ["ccwwwwww", "wwwwwwww", "cccccwww"]
    scores = score_run(write_evaluation(tmp_path / "run", {"aime24": questions}), ks=[1, 3, 8])
    for k in (1, 3, 8):
        shares = [np.mean(["c" in subset for subset in combinations(letters, k)]) for letters in questions]
        assert one(scores, "aime24", "pass", k)["value"] == pytest.approx(np.mean(shares))
    # pass@1 is avg, to its intervals
    for estimand in (LIKE_THESE, THESE):
        row, avg = (one(scores, "aime24", *of, estimand=estimand) for of in (("pass", 1), ("avg", 8)))
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((avg["ci_low"], avg["ci_high"]))


def test_k_beyond_the_attempts_is_an_error_never_padded(tmp_path: Path) -> None:
    # four of four correct at n = 8 would make pass@1 .5 where questions are padded
    folder = write_evaluation(tmp_path / "run", {"aime24": ["cccc", "cccccccc"]})
    with pytest.raises(InputError, match="aime24: k = 8, but a question has 4 attempts"):
        score_run(folder, ks=[8])
    scores = score_run(folder)
    assert one(scores, "aime24", "pass", 1)["value"] == 1
    assert sorted(set(scores.loc[scores["metric"] == "pass", "parameter"])) == [1, 2]  # 2k <= the least, 4


def test_questions_with_different_attempts_weigh_the_same(tmp_path: Path) -> None:
    # 1/2 and 0/8: mean .25, not 1/10
    scores = score_run(write_evaluation(tmp_path / "run", {"aime24": ["cw", "wwwwwwww"]}))
    assert one(scores, "aime24", "avg", 8)["value"] == 0.25


def test_undecided_is_in_no_rate_and_bounds_say_what_it_could_change(tmp_path: Path) -> None:
    # decided: 1/2, none, 3/3. Means over all three: low (1/4 + 0 + 3/4)/3, high (3/4 + 1 + 1)/3
    folder = write_evaluation(tmp_path / "run", {"aime24": ["cwuu", "uuuu", "cccu"]})
    row = one(score_run(folder), "aime24", "avg", 4)
    assert (row["value"], row["n_questions"], row["n_attempts"]) == (0.75, 2, 5)
    health = score_health(folder).iloc[0]
    assert (health["n_declared"], health["n_attempted"], health["n_measured"]) == (3, 3, 2)
    assert (health["n_attempts"], health["n_correct"], health["n_undecided"]) == (12, 4, 7)
    assert (health["value"], health["bound_low"]) == pytest.approx((0.75, 1 / 3))
    assert health["bound_high"] == health["bound_budget"] == pytest.approx(2.75 / 3)


def test_truncated_and_unanswered_are_counted(tmp_path: Path) -> None:
    # right; cut off without an answer; unanswered though it stopped; cut off after an answer: only the second could
    # gain by a larger budget, (1 + 0 + 1) of 4
    given = [Attempt("c", "7"), Attempt("t", None), Attempt("w", None), Attempt("t", "0")]
    health = score_health(write_evaluation(tmp_path / "run", {"aime24": [given]})).iloc[0]
    assert (health["n_truncated"], health["n_unanswered"], health["n_unfinished"]) == (2, 2, 1)
    assert (health["bound_high"], health["bound_budget"]) == (0.25, 0.5)


def test_pass_and_maj_leave_out_questions_with_too_few_decided(tmp_path: Path) -> None:
    scores = score_run(write_evaluation(tmp_path / "run", {"aime24": ["cuuu", "ccww"]}))
    assert one(scores, "aime24", "pass", 1)["n_questions"] == 2
    row = one(scores, "aime24", "pass", 2)  # 1 - C(2,2)/C(4,2)
    assert (row["value"], row["n_questions"], row["n_attempts"]) == (pytest.approx(5 / 6), 1, 4)


def test_maj_votes_on_answers(tmp_path: Path) -> None:
    # of four: 7 7 0 1 -> right; 0 0 7 7 -> a tie, half; two silent, one 7, one 0: half
    questions = [attempts_of("ccww"), attempts_of("wwcc"), attempts_of("ttcw")]
    questions[0][3] = Attempt("w", "1")
    scores = score_run(write_evaluation(tmp_path / "run", {"aime24": questions}))
    assert one(scores, "aime24", "maj", 4)["value"] == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_cover_counts_questions_solved_often_enough(tmp_path: Path) -> None:
    # rates .3, .2, 0, 1 of ten: at .3 two of four, at .5 one
    folder = write_evaluation(tmp_path / "run", {"aime24": ["c" * n + "w" * (10 - n) for n in (3, 2, 0, 10)]})
    scores = score_run(folder, taus=[0.3, 0.5])
    assert [one(scores, "aime24", "cover", tau)["value"] for tau in (0.3, 0.5)] == [0.5, 0.25]
    row = one(scores, "aime24", "cover", 0.5)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx([float(end) for end in stats.wilson(1, 4)])


def test_cover_has_room_for_rounding(tmp_path: Path) -> None:
    # .28 * 25 is 7.000000000000001, and 7 of 25 are enough
    folder = write_evaluation(tmp_path / "run", {"aime24": ["c" * 7 + "w" * 18, "c" * 6 + "w" * 19]})
    assert one(score_run(folder, taus=[0.28]), "aime24", "cover", 0.28)["value"] == 0.5


@pytest.mark.parametrize("letters", ["wwwwwwww", "cccccccc", "w", "c", "cw"])
def test_no_interval_has_width_zero(tmp_path: Path, letters: str) -> None:
    folder = write_evaluation(tmp_path / "run", {"aime24": [letters] * 30, "amc": [letters] * 83})
    scores = score_run(folder)
    width = scores["ci_high"] - scores["ci_low"]
    assert (width[width.notna()] > 0.001).all() and width[scores["estimand"] == LIKE_THESE].notna().all()
    assert (scores["ci_low"].fillna(0) <= scores["value"]).all() and (
        scores["value"] <= scores["ci_high"].fillna(1)
    ).all()
    # at one attempt each these questions alone say nothing: null
    single = scores["estimand"].eq(THESE) & scores["metric"].eq("avg")
    assert width[single].isna().all() == (len(letters) == 1)


def test_none_of_thirty_ends_at_wilson(tmp_path: Path) -> None:
    # z^2 / (30 + z^2)
    row = one(score_run(write_evaluation(tmp_path / "run", {"aime24": ["w" * 8] * 30})), "aime24", "avg", 8)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((0, 3.841458820694124 / 33.841458820694124))


def test_a_question_of_two_benchmarks_counts_in_both(tmp_path: Path) -> None:
    problems = {"aime24": ["a", "b"], "amc": ["b", "c"]}
    folder = write_evaluation(tmp_path / "run", {"aime24": ["cc", "cw"], "amc": ["cw", "ww"]}, problems=problems)
    scores = score_run(folder)
    assert one(scores, "aime24", "avg", 2)["value"] == 0.75 and one(scores, "amc", "avg", 2)["value"] == 0.25
    macro = one(scores, "macro_all", "avg", 2)
    assert (macro["value"], macro["n_questions"]) == (0.5, 3)


def test_attempts_beyond_the_declared_belong_to_another_benchmark(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "run", {"aime24": ["wwcc", "wccc"]}, samples=2)
    row = one(score_run(folder), "aime24", "avg", 2)  # 0/2, 1/2
    assert (row["value"], row["n_attempts"]) == (0.25, 4)


def test_top_ups_are_in_no_rate(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "run", {"aime24": ["cw", "ww"]})
    before = score_run(folder)
    again = write_evaluation(tmp_path / "topped", {"aime24": ["cc", "cc"]}, draw=2)
    with RunWriter(folder) as writer:
        rows = RunReader(again).read("attempts").drop(columns=["run_id", "origin", "draw", "step"])
        writer.write("attempts", rows, step=0, origin="benchmark", draw=2, part=0)
        writer.commit(0, suffix=".topup")
    pd.testing.assert_frame_equal(score_run(folder), before)
    with pytest.raises(InputError, match="no answers of origin benchmark"):
        score_run(again)


def test_a_run_without_answers_is_refused(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "run", {"aime24": ["cw"]})
    with pytest.raises(InputError, match="no answers of origin probe"):
        score_run(folder, origin="probe")


def test_a_benchmark_all_undecided_has_no_score_but_is_in_health(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "run", {"aime24": ["uu"], "amc": ["cw"]})
    assert set(score_run(folder)["benchmark"]) == {"amc"}
    health = score_health(folder).set_index("benchmark")
    assert np.isnan(health.loc["aime24", "value"]) and health.loc["aime24", "bound_high"] == 1
