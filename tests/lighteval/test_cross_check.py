"""The cause of every difference between our verdict and lighteval's, on a grader that takes the last number."""

from __future__ import annotations

from pathlib import Path

import pytest

from relift.benchmarks.lighteval.cross_check import COLUMNS, Cause, cross_check, final_text, peer_row
from relift.errors import InputError
from relift.schema import Finish, Origin, Question
from tests.lighteval.fake_python import write_fake
from tests.lighteval.runs import question, write_run

STOP, CUT = Finish.stop, Finish.length
QUESTIONS = [question("What is 3 + 4?", "7"), question("Half of one?", "\\frac{1}{2}")]
ANSWERS: list[tuple[int, str, Finish]] = [
    (0, "So $\\boxed{7}$.", STOP),  # both correct
    (0, "So $\\boxed{8}$.", STOP),  # both wrong
    (0, "<think>$\\boxed{8}$</think>So $\\boxed{7}$.", STOP),  # both correct: the thoughts are gone
    (0, "So $\\boxed{7}$ and not 8", STOP),  # they read the last number: shown \boxed{7} alone they say correct too
    (0, "Then we have 7", CUT),  # cut off: we find no answer, they take the 7
    (0, "raise $\\boxed{7}$", STOP),  # their grader fails
    (1, "So $\\boxed{0.5}$.", STOP),  # we: equal numbers; they: 5 is not 2, our reading alone included
    (1, "So $\\boxed{\\frac{1}{2}}$.", STOP),  # both correct: 2 is 2
]


def test_every_difference_has_its_cause(tmp_path: Path) -> None:
    python, _ = write_fake(tmp_path)
    folder = write_run(tmp_path / "run", QUESTIONS, ANSWERS)
    said: list[str] = []
    checked = cross_check(folder, python=python, on_progress=said.append)
    assert list(checked.columns) == list(COLUMNS)
    assert list(checked["verdict"]) == ["correct", "wrong", "correct", "correct", "wrong", *["correct"] * 3]
    assert list(checked["theirs"]) == ["correct", "wrong", "correct", "wrong", "correct", None, "wrong", "correct"]
    assert list(checked["agrees"]) == [True, True, True, False, False, None, False, True]
    assert list(checked["cause"]) == [
        None, None, None, Cause.reading, Cause.no_answer, Cause.error, Cause.comparison, None,
    ]  # fmt: skip
    assert checked["detail"][3] == "we read 7 (box.text), lighteval reads 8; shown our reading alone it agrees with us"
    assert checked["detail"][4].startswith("we find no final answer (none.truncated)")
    assert said[-1].startswith("4 of 8 verdicts are lighteval's; the others by cause: ")
    for cause in ("reading 1", "no_answer 1", "error 1", "comparison 1"):
        assert cause in said[-1]


def test_golds_are_given_as_lightevals_tasks_give_them() -> None:
    assert peer_row(gold="204", kind="math", text="").gold == "204"  # AIME: the bare number
    assert peer_row(gold="\\sqrt{2}", kind="math", text="").gold == "$\\boxed{\\sqrt{2}}$"  # MATH-500: out of a box
    assert peer_row(gold="$1$, $2$", kind="math", text="").gold == "$1$, $2$"
    choice = peer_row(gold="C", kind="choice", text="Answer: C", n_options=4)
    assert (choice.kind, choice.gold, choice.n_options) == ("choice", "C", 4)


@pytest.mark.parametrize(
    ("text", "rule", "tags", "left"),
    [
        ("<think>a</think>b", "box.text", None, "b"),
        ("a</think>b", "box.text", None, "b"),  # the prompt had opened them
        ("<think>a", "none.unclosed_thought", None, ""),
        ("a", "none.unclosed_thought", None, ""),  # opened by the prompt: the verdict knows
        ("<q>a</q>b", "box.text", [["<q>", "</q>"]], "b"),
        ("<think>a</think>b", "box.text", [["<q>", "</q>"]], "<think>a</think>b"),
    ],
)
def test_thoughts_are_removed_before(text: str, rule: str, tags: list[list[str]] | None, left: str) -> None:
    assert final_text(text, rule=rule, tags=tags) == left


def test_a_run_without_texts_is_refused(tmp_path: Path) -> None:
    python, _ = write_fake(tmp_path)
    questions: list[Question] = [question("What is 3 + 4?", "7")]
    folder = write_run(tmp_path / "run", questions, [(0, "\\boxed{7}", STOP)])
    with pytest.raises(InputError, match="no probe answers with their texts are kept there"):
        cross_check(folder, python=python, origin=Origin.probe)
