"""Signs in the texts of answers, on small texts."""

from __future__ import annotations

import pandas as pd
import pytest

from relift.analysis.training.text_signs import SIGNS, compression, frequent_wrong, text_signs


def signs(text: str | None, problem: str = "What is 12 + 30?") -> dict[str, object]:
    return {str(k): v for k, v in text_signs([text], [problem]).iloc[0].items()}


def test_a_loop_compresses_and_prose_does_not() -> None:
    assert signs("12 + 30 = 42. " * 40)["repetitive"] is True  # 560 bytes, one period and back-references
    prose = "Twelve and thirty make forty-two, since ten and thirty are forty and two remain."
    assert signs(prose)["repetitive"] is False
    assert compression("") == 1.0
    assert compression("a" * 1000) > 50
    assert compression("\ud800") > 0  # a lone surrogate is no error


@pytest.mark.parametrize(
    ("text", "problem", "changes"),
    [
        ("so the answer is forty-two", "What is x?", False),
        ("所以答案是四十二", "What is x?", True),
        ("所以答案是四十二", "求四十加二", False),  # the problem's own script
        ("α + β = γδε, ∑", "What is x?", False),  # Greek letters and signs are mathematics
        ("да", "What is x?", False),  # two letters are too few
        ("значит", "What is x?", True),
    ],
)
def test_another_script_is_seen(text: str, problem: str, changes: bool) -> None:  # noqa: FBT001
    assert signs(text, problem)["other script"] is changes


def test_echo_and_bare_format() -> None:
    assert signs("What  is\n12 + 30? It is 42.")["echoes the problem"] is True
    assert signs("x", "x")["echoes the problem"] is False  # too short to be an echo
    assert signs("Answer: \\boxed{42}")["only the format"] is True
    assert signs("\\boxed{\\frac{1}{2}}")["only the format"] is True
    assert signs("12 + 30 = 42, \\boxed{42}")["only the format"] is False
    assert signs("42")["only the format"] is False  # nothing was boxed


def test_what_has_no_text_has_no_sign() -> None:
    found = text_signs([None, "x"], ["p", "p"])
    assert found["compression"].isna().tolist() == [True, False]
    assert all(found.loc[0, name] is None for name in SIGNS)


def test_wrong_answers_that_attempts_share() -> None:
    frame = pd.DataFrame(
        [
            ("q1", "wrong", "7"), ("q1", "wrong", "7"), ("q1", "wrong", "8"), ("q1", "correct", "9"),
            ("q2", "wrong", "7"), ("q2", "undecided", "7"), ("q2", "wrong", None),
        ],
        columns=["question_id", "verdict", "answer"],
    )  # fmt: skip
    (row,) = frequent_wrong(frame).to_dict("records")
    # 7 twice for q1, of 3 wrong attempts and 4 in all; q2 shares none: undecided is not wrong
    assert row == {"question_id": "q1", "answer": "7", "count": 2, "n_wrong": 3, "n_attempts": 4}
