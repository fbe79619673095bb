"""The loop with an engine by hand: every attempt once, whatever ends a start; parts; overlap; larger k."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from relift.errors import GuardStop, InputError, ReliftError, ResumeRefused
from relift.evaluate.collect import Commits
from relift.schema import RunKind, RunStatus, seed_of
from relift.store import RunReader, check_run
from relift.terminal import Stopped
from tests.evaluate.fakes import (
    CountingAnswerer,
    assert_same,
    benchmark,
    content,
    grader,
    plan_of,
    question,
    run,
)


def test_a_whole_run(tmp_path: Path) -> None:
    asked: list[str] = []
    outcome = run(tmp_path / "run", CountingAnswerer(asked))
    q = question(3)
    assert len(asked) == 20 == len(set(asked)) == outcome.asked  # 10 questions x 2
    attempts = content(tmp_path / "run")["attempts"]
    row = attempts[(attempts["question_ix"] == 3) & (attempts["attempt"] == 1)].iloc[0]
    seed = seed_of(0, "benchmark", 0, 0, q.question_id, 1)
    digit = seed % 10
    assert row["seed"] == seed and row["n_tokens"] == 3 + digit and row["policy_version"] == 0
    assert row["verdict"] == ("correct" if digit <= 4 else "wrong")
    assert row["finish"] == ("length" if digit == 9 else "stop")
    stored = RunReader(tmp_path / "run").run
    assert stored.status is RunStatus.done and stored.kind is RunKind.eval
    assert stored.totals.answers == 20 and stored.totals.tokens == attempts["n_tokens"].sum()
    assert stored.benchmarks["ten"].question_ixs == tuple(range(10))
    assert stored.decodings[row["decoding_id"]]["temperature"] == 0.6
    assert check_run(tmp_path / "run").problems == []
    (standing,) = outcome.standings
    correct = int((attempts["verdict"] == "correct").sum())
    assert standing.done == standing.total == 20 and standing.n_correct == correct
    assert standing.mean == pytest.approx(correct / 20)  # every question has two decided attempts


def test_order_of_arrival_changes_nothing(tmp_path: Path) -> None:
    run(tmp_path / "a", CountingAnswerer([]))
    run(tmp_path / "b", CountingAnswerer([], shuffled=True), commits=Commits(answers=7, seconds=0.0))
    assert_same(tmp_path / "a", tmp_path / "b")


def test_parts_by_number(tmp_path: Path) -> None:
    run(tmp_path / "run", CountingAnswerer([]), commits=Commits(answers=6, seconds=600.0))
    files = RunReader(tmp_path / "run").files("attempts")
    assert len(files) >= 20 // 12 and [file.part for file in files] == list(range(len(files)))


def test_an_engine_that_dies_loses_nothing_that_arrived(tmp_path: Path) -> None:
    asked: list[str] = []
    for dies_after in (3, 0, 7):
        with pytest.raises(ReliftError, match="fell over"):
            run(tmp_path / "run", CountingAnswerer(asked, dies_after=dies_after))
        assert RunReader(tmp_path / "run").run.status is RunStatus.interrupted
        assert check_run(tmp_path / "run").problems == []
    run(tmp_path / "run", CountingAnswerer(asked))
    assert Counter(asked) == Counter(set(asked)) and len(asked) == 20
    run(tmp_path / "whole", CountingAnswerer([]))
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_ctrl_c_commits_what_has_arrived(tmp_path: Path) -> None:
    asked: list[str] = []
    with pytest.raises(Stopped) as stopped:
        run(tmp_path / "run", CountingAnswerer(asked, dies_after=5, error=Stopped(2)))
    assert stopped.value.number == 2
    assert RunReader(tmp_path / "run").run.status is RunStatus.interrupted
    assert len(content(tmp_path / "run")["attempts"]) == 5
    run(tmp_path / "run", CountingAnswerer(asked))
    assert len(asked) == len(set(asked)) == 20


def test_a_finished_run_does_not_open_its_engine(tmp_path: Path) -> None:
    run(tmp_path / "run", CountingAnswerer([]))
    again = CountingAnswerer([])
    assert run(tmp_path / "run", again).asked == 0 and again.entered == 0
    assert RunReader(tmp_path / "run").run.status is RunStatus.done


def test_an_engine_that_leaves_answers_out_or_repeats_them_is_caught(tmp_path: Path) -> None:
    class Lazy(CountingAnswerer):
        def stream(self, asks, sampling):  # type: ignore[no-untyped-def]
            yield from list(super().stream(asks, sampling))[:-1]

    class Eager(CountingAnswerer):
        def stream(self, asks, sampling):  # type: ignore[no-untyped-def]
            answers = list(super().stream(asks, sampling))
            yield from [*answers, answers[0]]

    with pytest.raises(ReliftError, match="left 1 of 20 answers out"):
        run(tmp_path / "lazy", Lazy([]))
    with pytest.raises(ReliftError, match="again"):
        run(tmp_path / "eager", Eager([]))
    assert check_run(tmp_path / "eager").problems == []


def test_larger_k_asks_for_the_rest_alone(tmp_path: Path) -> None:
    first: list[str] = []
    run(tmp_path / "run", CountingAnswerer(first), plan_of(samples=8), commits=Commits(answers=100))
    assert len(set(first)) == 80  # avg@8 keeps 8 distinct samples of 10 questions
    more: list[str] = []
    run(tmp_path / "run", CountingAnswerer(more), plan_of(samples=32), commits=Commits(answers=100))
    assert len(more) == 240 and not set(more) & set(first)
    assert {key.rsplit("/", 1)[1] for key in more} == {str(n) for n in range(8, 32)}
    run(tmp_path / "whole", CountingAnswerer([]), plan_of(samples=32), commits=Commits(answers=100))
    assert_same(tmp_path / "run", tmp_path / "whole")
    fewer: list[str] = []
    run(tmp_path / "run", CountingAnswerer(fewer), plan_of(samples=4), commits=Commits(answers=100))
    assert fewer == [] and RunReader(tmp_path / "run").run.benchmarks["ten"].samples == 32


def test_benchmarks_are_added_to_a_run(tmp_path: Path) -> None:
    a, b = benchmark("a", range(4)), benchmark("b", range(10, 13))
    asked: list[str] = []
    run(tmp_path / "run", CountingAnswerer(asked), plan_of(a))
    run(tmp_path / "run", CountingAnswerer(asked), plan_of(b))
    assert len(asked) == len(set(asked)) == 14
    stored = RunReader(tmp_path / "run").run
    assert stored.benchmarks["a"].question_ixs == (0, 1, 2, 3)
    assert stored.benchmarks["b"].question_ixs == (4, 5, 6)
    assert set(content(tmp_path / "run")["scores"]["benchmark"]) == {"a", "b", "macro_all"}
    run(tmp_path / "whole", CountingAnswerer([]), plan_of(a, b))
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_a_shared_question_is_sampled_once(tmp_path: Path) -> None:
    """a: questions 0 to 4 twice, b: 3 to 7 three times: 3 x 2 + 5 x 3 = 21 answers."""
    a, b = benchmark("a", range(5), samples=2), benchmark("b", range(3, 8), samples=3)
    asked: list[str] = []
    outcome = run(tmp_path / "run", CountingAnswerer(asked), plan_of(a, b))
    assert len(asked) == len(set(asked)) == 21
    stored = RunReader(tmp_path / "run").run.benchmarks
    assert stored["a"].question_ixs == (0, 1, 2, 3, 4) and stored["b"].question_ixs == (3, 4, 5, 6, 7)
    assert {s.name: s.done for s in outcome.standings} == {"a": 10, "b": 15}


def test_a_shared_question_with_another_gold_is_refused() -> None:
    with pytest.raises(InputError, match=r"a and b share the question 'question 2\?' with different gold answers"):
        plan_of(benchmark("a", [1, 2]), benchmark("b", [2], gold="5"))


def test_a_changed_gold_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "run", CountingAnswerer([]))
    before = content(tmp_path / "run")
    with pytest.raises(ResumeRefused, match="gold answers of 10 questions are others there, first '4'"):
        run(tmp_path / "run", CountingAnswerer([]), plan_of(benchmark("ten", range(10), gold="5")))
    assert content(tmp_path / "run")["attempts"].equals(before["attempts"])


def test_too_many_undecided_verdicts_stop_the_run(tmp_path: Path) -> None:
    """Every answer but "it is 0" undecided: about 90 % of 20, more than 20 %."""
    with pytest.raises(GuardStop, match=r"of 20 verdicts are undecided \(none.timeout \d+\), the limit is 20%"):
        run(tmp_path / "run", CountingAnswerer([]), grader=grader(undecided=lambda text: text[-1] != "0"))
    with pytest.raises(GuardStop):  # nothing is missing any more, but that makes no scores of them
        run(tmp_path / "run", CountingAnswerer([]), grader=grader(undecided=lambda text: text[-1] != "0"))
    assert RunReader(tmp_path / "run").run.status is RunStatus.interrupted
    attempts = content(tmp_path / "run")["attempts"]
    assert attempts.loc[attempts["verdict"] == "undecided", "reward"].isna().all()


def test_a_long_run_stops_before_its_end(tmp_path: Path) -> None:
    asked: list[str] = []
    plan = plan_of(benchmark("many", range(1000)))
    with pytest.raises(GuardStop):
        run(
            tmp_path / "run",
            CountingAnswerer(asked),
            plan,
            grader=grader(undecided=lambda text: True),
            commits=Commits(answers=100, seconds=600.0),
        )
    assert len(content(tmp_path / "run")["attempts"]) < 1000


def test_a_grader_that_raises_leaves_all_undecided(tmp_path: Path) -> None:
    def broken(text: str) -> bool:
        raise RuntimeError("no")

    with pytest.raises(GuardStop, match="none.crash 20"):
        run(tmp_path / "run", CountingAnswerer([]), grader=grader(undecided=broken))
