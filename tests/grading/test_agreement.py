"""Ours beside the plain loop over math-verify 0.9.0, on gold answers rewritten in right and in wrong ways.

The rewritings are right or wrong whatever any library says; with the library we agree but for what is declared.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping

import pytest

from relift.grading import Grader, Submission
from relift.schema import Finish, Verdict
from tests.grading.real_golds import real_golds
from tests.grading.rewritings import GOLDS, RIGHT, RIGHT_TO_US, WRONG, WRONG_TO_US, Rewriting

INSTALLED = importlib.metadata.version("math-verify")
IS_CHOSEN = INSTALLED == "0.9.0"
NOT_READ = r"x \in" if INSTALLED.startswith("0.5.") else None  # 0.5.2 takes the first set of "x in A or 987" for all


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(limit_seconds=10.0) as grader:
        yield grader


def rows(golds: list[str], rewritings: Mapping[str, Rewriting]) -> list[tuple[str, str, str]]:
    """(name of the rewriting, gold, response)."""
    made = ((name, gold, rewrite(gold)) for name, rewrite in rewritings.items() for gold in golds)
    return [(name, gold, text) for name, gold, text in made if text is not None]


def ours(grader: Grader, asked: list[tuple[str, str, str]]) -> list[Verdict]:
    return grader.grade([(gold, text) for _, gold, text in asked])


def theirs(asked: list[tuple[str, str, str]]) -> list[bool]:
    from math_verify import parse, verify

    def read(text: str) -> list[object]:
        return parse(text, parsing_timeout=None)  # nothing hangs here; on a busy machine its alarm would say "no"

    golds = {gold: read(f"${gold}$") for _, gold, _ in asked}
    return [bool(verify(golds[gold], read(text), timeout_seconds=None)) for _, gold, text in asked]


def only(table: Mapping[str, tuple[Rewriting, str]]) -> dict[str, Rewriting]:
    return {name: rewrite for name, (rewrite, _) in table.items()}


def all_are(grader: Grader, golds: list[str], rewritings: Mapping[str, Rewriting], verdict: Verdict) -> None:
    asked = [row for row in rows(golds, rewritings) if not (NOT_READ and row[1].startswith(NOT_READ))]
    assert [row for row, given in zip(asked, ours(grader, asked), strict=True) if given is not verdict] == []


def test_right_rewritings_are_right(grader: Grader) -> None:
    assert len(RIGHT) >= 20
    all_are(grader, GOLDS, {**RIGHT, **only(RIGHT_TO_US)}, Verdict.correct)


def test_wrong_rewritings_are_wrong(grader: Grader) -> None:
    assert len(WRONG) >= 20
    all_are(grader, GOLDS, {**WRONG, **only(WRONG_TO_US)}, Verdict.wrong)


def test_what_was_cut_off_is_wrong_and_decided(grader: Grader) -> None:
    judged = grader.judge([Submission(g, f"so we have ${g}$", Finish.length, kind="math") for g in GOLDS])
    assert {(j.verdict, j.rule) for j in judged} == {(Verdict.wrong, "none.truncated")}


@pytest.mark.skipif(not IS_CHOSEN, reason="the agreement is with math-verify 0.9.0")
def test_no_undeclared_difference_from_math_verify(grader: Grader) -> None:
    """A part of the golds; all of them, and the real ones, below. What is declared differs for at least one gold."""
    some = GOLDS[::4]
    asked = rows(some, {**RIGHT, **WRONG})
    differing = [
        (row, str(given), there)
        for row, given, there in zip(asked, ours(grader, asked), theirs(asked), strict=True)
        if (given is Verdict.correct) != there
    ]
    assert differing == []


@pytest.mark.slow
@pytest.mark.skipif(not IS_CHOSEN, reason="the agreement is with math-verify 0.9.0")
def test_every_declared_difference_is_one(grader: Grader) -> None:
    for table, verdict in ((RIGHT_TO_US, Verdict.correct), (WRONG_TO_US, Verdict.wrong)):
        for name, (rewrite, reason) in table.items():
            asked = rows(GOLDS, {name: rewrite})
            differing = [there for there in theirs(asked) if there != (verdict is Verdict.correct)]
            assert differing, f"{name}: math-verify does the same now ({reason})"


@pytest.mark.slow
@pytest.mark.skipif(not IS_CHOSEN, reason="the agreement is with math-verify 0.9.0")
@pytest.mark.parametrize("source", ["of every kind", "of published benchmarks"])
def test_no_undeclared_difference_on_all_golds(grader: Grader, source: str) -> None:
    golds = GOLDS if source == "of every kind" else real_golds()
    asked = rows(golds, {**RIGHT, **WRONG})
    given = ours(grader, asked)
    differing = [
        (row, str(verdict), there)
        for row, verdict, there in zip(asked, given, theirs(asked), strict=True)
        if (verdict is Verdict.correct) != there
    ]
    assert differing == []
    assert given.count(Verdict.undecided) == 0


def test_published_golds_equal_themselves(grader: Grader) -> None:
    asked = rows(real_golds(), {name: RIGHT[name] for name in ("boxed", "dollars", "answer is")})
    assert set(ours(grader, asked)) == {Verdict.correct}
    assert not any(grader.unreadable_golds(real_golds()))


@pytest.mark.slow
def test_published_golds_rewritten(grader: Grader) -> None:
    """On every version of math-verify: all right rewritings right, all wrong ones wrong."""
    all_are(grader, real_golds(), {**RIGHT, **only(RIGHT_TO_US)}, Verdict.correct)
    golds = [gold for gold in real_golds() if gold != "0.0"]
    all_are(grader, golds, {**WRONG, **only(WRONG_TO_US)}, Verdict.wrong)
