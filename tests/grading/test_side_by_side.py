"""The same pairs by several graders: what counts as expected, and the table."""

from __future__ import annotations

from typing import Any

from relift.grading.side_by_side import compare, is_expected, table
from relift.schema import Verdict

ROWS: list[dict[str, Any]] = [
    {"gold": "5", "answer_text": r"\boxed{5}", "expected": "correct"},
    {"gold": "50", "answer_text": r"\boxed{0.5}", "expected": "wrong"},  # Qwen's rules accept a hundredth
    {"gold": "f(2)", "answer_text": r"\boxed{9^{9^{9^9}}}", "expected": "undecided-ok", "truth": "wrong"},
    {"gold": "5", "answer_text": r"\boxed{6}", "expected": "correct", "arguable": True},
]


def test_expected_verdicts() -> None:
    assert is_expected(ROWS[0], Verdict.correct) and not is_expected(ROWS[0], Verdict.undecided)
    assert is_expected(ROWS[2], Verdict.wrong) and is_expected(ROWS[2], Verdict.undecided)
    assert not is_expected(ROWS[2], Verdict.correct)


def test_a_line_for_each_grader() -> None:
    verdicts = compare(ROWS, ["relift", "qwen"])
    assert verdicts["relift"] == [Verdict.correct, Verdict.wrong, Verdict.undecided, Verdict.wrong]
    lines = table(ROWS, verdicts)
    assert lines[1].split() == ["relift", "3", "of", "3", "0", "1"]  # three firm pairs; one answer over the caps
    assert lines[2].split()[:5] == ["qwen", "2", "of", "3", "1"]  # it accepts 0.5 for 50
