"""Check the gold answers of a file before anything is spent on answers to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from relift.errors import InputError
from relift.grading.base import Scorer
from relift.grading.boxes import last_box
from relift.grading.exact import as_number, normalise_answer
from relift.grading.golds import gold_problem, solution_in
from relift.schema import Question

MAX_UNREADABLE = 0.02  # share of gold answers that nobody can read; above it a file is refused
SHOWN = 3  # rows named in a message


class GoldReader(Protocol):
    """Says which gold answers of kind math cannot be read; relift.grading.Grader is one."""

    def unreadable_golds(self, golds: Sequence[str]) -> list[bool]: ...


class Judge(Scorer, GoldReader, Protocol):
    """A grader that also says which gold answers it cannot read."""


def kind_of_golds(golds: Sequence[str]) -> str:
    """Choose the kind of answers of these gold answers: exact if every one is a number, else math."""
    return "exact" if all(as_number(normalise_answer(gold)) is not None for gold in golds) else "math"


def unreadable_golds(questions: Sequence[Question], grader: GoldReader) -> list[tuple[Question, str]]:
    """List the questions whose gold answer cannot be read by their kind, each with the reason."""
    reasons = {q.question_id: gold_problem(q.answer, q.answer_kind) or _worked_out(q) for q in questions}
    unclear = [q for q in questions if q.answer_kind == "math" and reasons[q.question_id] is None]
    for question, is_bad in zip(unclear, grader.unreadable_golds([q.answer for q in unclear]), strict=True):
        if is_bad:
            reasons[question.question_id] = "is no formula that can be read"
    return [(q, reason) for q in questions if (reason := reasons[q.question_id]) is not None]


def _worked_out(question: Question) -> str | None:
    """Tell that a gold of kind math is a worked solution; a box alone is an answer."""
    gold = question.answer.strip(" $.\n")
    alone = last_box(gold) if gold.startswith("\\boxed{") and gold.endswith("}") else None
    if question.answer_kind != "math" or (alone is not None and gold == f"\\boxed{{{alone}}}"):
        return None
    solution = solution_in(question.answer)
    return None if solution is None else f"is a whole solution ({solution})"


def require_readable_golds(
    source: str,
    questions: Sequence[Question],
    grader: GoldReader,
    *,
    row_of: Mapping[str, int],
    warn: Callable[[str], None],
) -> None:
    """Refuse a file with more than MAX_UNREADABLE gold answers that cannot be read, and warn of fewer.

    Every answer to such a question stays undecided: it is sampled and paid for, and teaches nothing. Raises
    InputError, one line with the number of them and the first rows.
    """
    bad = unreadable_golds(questions, grader)
    if not bad:
        return
    rows = "; ".join(
        f"row {row_of.get(q.question_id, 0)}: {' '.join(q.answer.split())[:40]!r} {reason}" for q, reason in bad[:SHOWN]
    )
    line = f"{source}: {len(bad)} of {len(questions)} gold answers cannot be read, so no answer can be judged: {rows}"
    if len(bad) > MAX_UNREADABLE * len(questions):
        kinds = ", ".join(sorted({q.answer_kind for q, _ in bad}))
        raise InputError(f"{line}; mend them, leave them out, or name their kind (now {kinds}) in a column answer_kind")
    warn(line)
