"""lighteval's grader as a process: order, repeats, deaths, silence, and interpreters that are none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from relift.benchmarks.lighteval.peer import LightevalGrader, PeerRow
from relift.errors import InputError
from tests.lighteval.fake_python import write_fake


def row(text: str) -> PeerRow:
    return PeerRow("math", "7", text)


def test_grades_come_in_order_and_equal_rows_are_sent_once(tmp_path: Path) -> None:
    python, log = write_fake(tmp_path)
    grader = LightevalGrader(python)
    grades = grader.grade([row("it is 7"), row("it is 8"), row("it is 7")])
    assert [grade.score for grade in grades] == [1, 0, 1]
    assert grades[1].answers == ("8",) and grades[1].golds == ("7",)
    assert len(log.read_text().splitlines()) == 2
    assert grader.versions == {"lighteval": "0.13.0"}
    assert grader.grade([]) == []


def test_an_answer_that_kills_the_process_costs_only_itself(tmp_path: Path) -> None:
    python, log = write_fake(tmp_path)
    grades = LightevalGrader(python).grade([row("7"), row("die 1"), row("8"), row("die 2"), row("just 7")])
    assert [grade.score for grade in grades] == [1, None, 0, None, 1]
    assert grades[1].error is not None and "died" in grades[1].error
    # Three processes: the rows that were not graded are given again, those that were are not.
    assert len(log.read_text().splitlines()) == 5


def test_a_hanging_answer_is_given_up(tmp_path: Path) -> None:
    python, _ = write_fake(tmp_path)
    grades = LightevalGrader(python, stall_seconds=0.5).grade([row("hang 7"), row("7")])
    assert [grade.score for grade in grades] == [None, 1]


def test_what_their_grader_raises_is_passed_on(tmp_path: Path) -> None:
    python, _ = write_fake(tmp_path)
    [grade] = LightevalGrader(python).grade([row("raise")])
    assert grade.score is None and grade.error == "ValueError: told to"


def test_interpreters_without_lighteval_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: cannot start it: No such file"):
        LightevalGrader(tmp_path / "nowhere").grade([row("7")])
    with pytest.raises(InputError, match=r"lighteval does not start there \(.*lighteval.*docs/lighteval.md"):
        LightevalGrader(Path(sys.executable)).grade([row("7")])
