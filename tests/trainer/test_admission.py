"""The door of demonstrations: what may be trained on, and the row that every refusal leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from relift.errors import InputError
from relift.grading import Grader, Judgement, Submission
from relift.grading.exact import ExactScorer
from relift.schema import Demonstration, Verdict, demo_id_of
from relift.trainer.admission import admit
from relift.trainer.step import Item
from tests.trainer.scripted import END, items

ITEM = items(3)  # answers 1, 2, 3; prompts of 11 tokens ("question 0?")
BY_ID = {item.question.question_id: item for item in ITEM}


def demonstration(ix: int, text: str, source: str = "dataset") -> Demonstration:
    question_id = ITEM[ix].question.question_id
    return Demonstration(demo_id_of(question_id, text), question_id, text, source)


def door(offered: Sequence[Demonstration], *, bad: str = "skip", max_tokens: int = 99, **more: Any) -> Any:
    return admit(
        offered,
        more.pop("by_id", BY_ID),
        more.pop("grader", Grader()),
        encode=lambda text, prompt_ids: [ord(c) for c in text],
        end_token=END,
        max_tokens=max_tokens,
        bad=bad,
        **more,
    )


def reasons(rows: pd.DataFrame) -> list[str | None]:
    return [reason if isinstance(reason, str) else None for reason in rows["reject_reason"]]


def test_accepted_with_its_end_token() -> None:
    (demo,), rows = door([demonstration(1, r"\boxed{2}", "human")])
    assert demo.question_ix == 1 and demo.prompt_ids == ITEM[1].prompt_ids
    assert demo.completion_ids_T.tolist() == [*map(ord, r"\boxed{2}"), END]
    assert rows.to_dict("records") == [
        {
            "demo_id": demo.demo_id, "question_ix": 1, "source": "human", "text": r"\boxed{2}", "n_tokens": 10,
            "verified": True, "accepted": True, "reject_reason": None,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason", "verified"),
    [
        (r"\boxed{7}", "wrong_answer", False),
        ("I do not know", "no_final_answer", False),
        (r"\boxed{1", "no_final_answer", False),  # cut off
        ("", "empty", False),
        (" \n", "empty", False),
        ("x" * 90 + r"\boxed{1}", "too_long", True),  # 99 characters and the end token: 100
    ],
)
def test_refusals(text: str, reason: str, verified: bool) -> None:  # noqa: FBT001
    accepted, rows = door([demonstration(0, text)])
    assert accepted == []
    (row,) = rows.to_dict("records")
    assert (row["reject_reason"], row["verified"], row["accepted"]) == (reason, verified, False)
    assert row["text"] == text and row["n_tokens"] == len(text) + 1  # whole: nothing is cut


def test_undecided_is_not_accepted() -> None:
    """A gold answer that cannot be read decides nothing, though the texts agree."""
    item = replace(ITEM[0], question=replace(ITEM[0].question, answer="one"))
    accepted, rows = door([demonstration(0, r"\boxed{one}")], by_id={item.question.question_id: item})
    assert accepted == [] and reasons(rows) == ["undecided"]


@pytest.mark.parametrize(("max_tokens", "fits"), [(9, False), (10, True), (11, True)])
def test_length_one_under_at_and_over(max_tokens: int, fits: bool) -> None:  # noqa: FBT001
    accepted, _ = door([demonstration(0, r"\boxed{1}")], max_tokens=max_tokens)
    assert bool(accepted) == fits


@pytest.mark.parametrize(("context", "fits"), [(20, False), (21, True), (None, True)])
def test_prompt_and_demonstration_fit_together(context: int | None, fits: bool) -> None:  # noqa: FBT001
    """11 tokens of prompt, 9 of text, the end token."""
    accepted, rows = door([demonstration(0, r"\boxed{1}")], context=context)
    assert bool(accepted) == fits
    assert reasons(rows) == [None if fits else "too_long"]


def test_a_duplicate_has_no_second_row() -> None:
    """demo_id is the key of the table. The same text for another question is another demonstration."""
    offered = [demonstration(0, r"\boxed{1}"), demonstration(0, r"\boxed{1}"), demonstration(1, r"\boxed{1}")]
    accepted, rows = door(offered)
    assert [d.question_ix for d in accepted] == [0]
    assert reasons(rows) == [None, "wrong_answer"]
    with pytest.raises(InputError, match="1 duplicate"):
        door(offered[:2], bad="refuse")


def test_two_solutions_of_one_question() -> None:
    accepted, _ = door([demonstration(0, r"\boxed{1}"), demonstration(0, r"so \boxed{1}")])
    assert [d.question_ix for d in accepted] == [0, 0]


def test_refuse_names_what_failed_in_one_line() -> None:
    offered = [
        demonstration(0, r"\boxed{1}"),
        *(demonstration(1, f"line\n{i}") for i in range(6)),
        demonstration(2, ""),
    ]
    with pytest.raises(InputError) as caught:
        door(offered, bad="refuse")
    message = str(caught.value)
    assert message.startswith("7 of 8 demonstrations cannot be trained on: 6 no_final_answer, 1 empty; first: ")
    assert r"no_final_answer (number 2: 'line\n0')" in message
    assert "number 7" not in message  # five are named
    assert 'data.bad_demonstrations = "skip"' in message and "\n" not in message


def test_refuse_lets_good_ones_pass() -> None:
    accepted, rows = door([demonstration(ix, rf"\boxed{{{ix + 1}}}") for ix in range(3)], bad="refuse")
    assert len(accepted) == len(rows) == 3


def test_nothing_offered() -> None:
    accepted, rows = door([], bad="refuse")
    assert accepted == [] and len(rows) == 0


class Approving(ExactScorer):
    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        return [Judgement(Verdict.correct, "test") for _ in submissions]


def test_every_kind_of_answer_has_its_grader() -> None:
    """Question 1 is of another kind, whose grader approves of everything; the order is kept."""
    other = replace(ITEM[1], question=replace(ITEM[1].question, answer_kind="other"))
    by_id: dict[str, Item] = {i.question.question_id: i for i in (ITEM[0], other, ITEM[2])}
    offered = [demonstration(1, "a"), demonstration(0, "b"), demonstration(1, "c"), demonstration(2, r"\boxed{3}")]
    accepted, rows = door(offered, by_id=by_id, grader=Grader(scorers={"other": Approving()}))
    assert reasons(rows) == [None, "no_final_answer", None, None]
    assert [d.question_ix for d in accepted] == [1, 1, 2]


def test_of_a_hundred_mixed_ones_no_wrong_one_enters() -> None:
    texts = [rf"answer \boxed{{{i % 4}}} ({i})" for i in range(100)]  # right where i % 4 == 1
    accepted, rows = door([demonstration(0, text) for text in texts])
    assert len(rows) == 100 and len(accepted) == 25
    assert all("{1}" in "".join(map(chr, d.completion_ids_T[:-1])) for d in accepted)
