"""Multiple choice: the forms in which an answer names its letter, and those in which it names none."""

from __future__ import annotations

import pytest

from relift.grading import Submission
from relift.grading.choice import LETTERS, judge, letter_of_gold
from relift.schema import Finish, Verdict

OPTIONS = tuple(f"the {name} one" for name in "red green blue white black grey pink brown cyan lime".split())

FORMS = [
    (r"so \boxed{%s}", "box"),
    (r"so \boxed{(%s)}", "box"),
    (r"so \boxed{\text{%s}}", "box"),
    (r"so \boxed{\textbf{(%s)}}", "box"),
    (r"so \boxed{%s. the text of it}", "box"),
    (r"so \boxed{\text{(%s) the text}}", "box"),
    (r"\boxed{Option %s}", "box"),
    ("<answer>%s</answer>", "tag"),
    ("<answer>(%s)</answer>", "tag"),
    ("I think.\nANSWER: %s", "line"),
    ("Answer: %s.", "line"),
    ("**Answer:** %s", "line"),
    ("**Answer: %s**", "line"),
    ("The answer is (%s).", "line"),
    ("The answer is %s.", "line"),
    ("The correct answer is **%s**.", "line"),
    ("The correct option is %s, because it fits.", "line"),
    ("the correct choice is: (%s)", "line"),
    ("The answer is %s because it fits.", "line"),
    ("The answer is %s) the text", "line"),
    ("Answer: $%s$", "line"),
    (r"Answer: \(\text{%s}\)", "line"),
    ("The answer is option %s.", "line"),
    ("Answer:\n%s", "line"),
]
WHOLE = ["%s", "(%s)", "%s.", "**%s**", "%s) the text"]


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize(("form", "where"), FORMS)
def test_forms_of_every_letter(form: str, where: str, letter: str) -> None:
    wrong = "A" if letter != "A" else "B"
    judgement = judge(Submission(letter, form % letter))
    assert (judgement.verdict, judgement.rule, judgement.answer) == (Verdict.correct, f"{where}.choice", letter)
    assert judge(Submission(wrong, form % letter)).verdict is Verdict.wrong
    assert judge(Submission(letter, f"<think>{form % wrong}</think>{form % letter}")).verdict is Verdict.correct


@pytest.mark.parametrize("letter", LETTERS.replace("I", ""))
@pytest.mark.parametrize("form", WHOLE)
def test_a_text_that_is_nothing_but_a_letter(form: str, letter: str) -> None:
    assert judge(Submission(letter, form % letter)).rule == "whole.choice"
    assert judge(Submission(letter, form % letter, Finish.length)).rule == "none.truncated"


@pytest.mark.parametrize("text", ["I", "(I)", "I think so", "The answer is I think B or so", "what I said"])
def test_a_bare_i_needs_a_cue(text: str) -> None:
    assert judge(Submission("I", text)).verdict is Verdict.wrong
    assert judge(Submission("I", text)).rule.startswith("none.")


@pytest.mark.parametrize(
    "text",
    [r"\boxed{A, C}", r"\boxed{A and C}", "The answer is (A) or (C).", "Answer: A or C", "<answer>A/C</answer>"],
)
def test_two_letters_are_wrong(text: str) -> None:
    judgement = judge(Submission("A", text))
    assert judgement.verdict is Verdict.wrong and judgement.rule.endswith("ambiguous_choice")


@pytest.mark.parametrize(
    "text",
    ["The Answer is a function of time", "A man walks", "B is nice", "so it is A", "", "the answer is not given"],
)
def test_prose_is_no_choice(text: str) -> None:
    assert judge(Submission("A", text)).rule == "none.no_answer"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (r"\boxed{the blue one}", "box"),
        (r"\boxed{\text{The blue  one.}}", "box"),
        ("The answer is the blue one.", "line"),
        ("The blue one", "whole"),
    ],
)
def test_the_text_of_one_option(text: str, where: str) -> None:
    assert judge(Submission("C", text, options=OPTIONS)).rule == f"{where}.choice"
    assert judge(Submission("C", text, options=OPTIONS)).verdict is Verdict.correct
    assert judge(Submission("B", text, options=OPTIONS)).verdict is Verdict.wrong
    twice = (*OPTIONS[:3], "the blue one")
    assert judge(Submission("C", text, options=twice)).verdict is Verdict.wrong  # two options have it


def test_thoughts_and_truncation() -> None:
    assert judge(Submission("A", r"<think>\boxed{A}")).rule == "none.unclosed_thought"
    assert judge(Submission("A", r"\boxed{A}", opened=True)).rule == "none.unclosed_thought"
    assert judge(Submission("A", r"x</think>\boxed{A}", opened=True)).verdict is Verdict.correct
    assert judge(Submission("A", "The answer is A", Finish.length)).rule == "none.truncated"
    assert judge(Submission("A", r"\boxed{A} as", Finish.length)).verdict is Verdict.correct


@pytest.mark.parametrize(
    ("gold", "letter"),
    [("C", "C"), ("(c)", "C"), ("C.", "C"), (r"\text{(C)}", "C"), ("the blue one", "C"), ("42", None), ("", None)],
)
def test_golds(gold: str, letter: str | None) -> None:
    assert letter_of_gold(gold, OPTIONS) == letter
    if letter is None:
        assert judge(Submission(gold, r"\boxed{A}")).rule == "none.gold_unreadable"
        assert judge(Submission(gold, r"\boxed{A}")).verdict is Verdict.undecided
