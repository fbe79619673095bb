"""Gold answers that cannot be read are found before anything is sampled."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from relift.errors import InputError
from relift.grading import Grader
from relift.grading.gold_check import kind_of_golds, require_readable_golds, unreadable_golds
from relift.schema import Question, question_id_of


def questions(golds: Sequence[str], kind: str) -> list[Question]:
    return [
        Question(question_id_of(f"{kind} {i}?"), f"{kind} {i}?", gold, answer_kind=kind) for i, gold in enumerate(golds)
    ]


def check(asked: Sequence[Question]) -> list[str]:
    """The warnings; row i + 1 holds question i."""
    lines: list[str] = []
    with Grader(workers=1) as grader:
        row_of = {q.question_id: i + 1 for i, q in enumerate(asked)}
        require_readable_golds("q.jsonl", asked, grader, row_of=row_of, warn=lines.append)
    return lines


@pytest.mark.parametrize(
    ("golds", "kind"),
    [
        (["1", "-2.5", "3/4", "1,000", "$7$"], "exact"),
        (["1", r"\frac{1}{2}"], "math"),
        (["x+1"], "math"),
        ([], "exact"),
    ],
)
def test_answers_are_numbers_or_mathematics(golds: list[str], kind: str) -> None:
    assert kind_of_golds(golds) == kind


def test_golds_are_read_by_their_kind() -> None:
    asked = [*questions(["1", r"\frac{1}{2}", ""], "exact"), *questions([r"\frac{1}{2}", "$$"], "math")]
    with Grader(workers=1) as grader:
        found = [(q.answer, reason) for q, reason in unreadable_golds(asked, grader)]
    assert found == [(r"\frac{1}{2}", "is no number"), ("", "is empty"), ("$$", "has no content")]


def test_more_than_one_in_fifty_is_refused_and_fewer_are_told() -> None:
    """1 of 50 is 2 %, the limit; 1 of 49 is more."""
    assert check(questions(["1"] * 50, "exact")) == []
    (line,) = check(questions(["1"] * 49 + ["many"], "exact"))
    assert "q.jsonl: 1 of 50 gold answers cannot be read" in line and "row 50: 'many' is no number" in line
    with pytest.raises(InputError) as caught:
        check(questions(["1"] * 48 + ["many"], "exact"))
    assert "1 of 49" in str(caught.value) and "name their kind (now exact)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_first_rows_are_named() -> None:
    with pytest.raises(InputError) as caught:
        check(questions(["a\nb", "c", "d", "e"], "exact"))
    assert "row 1: 'a b' is no number; row 2: 'c' is no number; row 3: 'd' is no number;" in str(caught.value)
    assert "row 4" not in str(caught.value)


@pytest.mark.parametrize(
    ("gold", "reason"),
    [
        (r"We get $x=3$, so \boxed{3}", r"is a whole solution (it contains \boxed)"),
        ("so 3 + 4 = 7\n#### 7", "is a whole solution (it contains ####)"),
        (r"\boxed{10-2\sqrt{5}}", None),
        (r"$\boxed{\frac{1}{2}}$.", None),
        (r"\boxed{1} or \boxed{2}", r"is a whole solution (it contains \boxed)"),
    ],
)
def test_golds_that_are_solutions_are_named(gold: str, reason: str | None) -> None:
    with Grader(workers=1) as grader:
        found = [said for _, said in unreadable_golds(questions([gold], "math"), grader)]
    assert found == ([] if reason is None else [reason])
