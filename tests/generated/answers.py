"""Grade generated texts, as a trainer's or an evaluation's grader does."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from relift.grading import Grader, Submission
from relift.schema import Verdict
from tests.generated.makers import answer_text

GRADING_LIMIT = 1.0  # seconds of one answer in the workers
KINDS_OF_ANSWERS = ("math", "exact", "choice")
GOLDS = {"math": ("5", "\\frac{1}{2}", "x^2+1", "(1,2]", "\\pi"), "exact": ("17", "-3"), "choice": ("A", "C")}


@cache
def grader() -> Grader:
    """Make a grader with its workers started, in the process that asks first."""
    made = Grader(workers=2, limit_seconds=GRADING_LIMIT)
    made.judge([Submission("f(2)", "\\boxed{f(1+1)}", kind="math")])
    return made


def grade(rng: random.Random, folder: Path) -> None:
    """Grade one text; as the gold answer too where it is short, as a question of a stranger may have it."""
    kind = rng.choice(KINDS_OF_ANSWERS)
    text, gold = answer_text(rng), rng.choice(GOLDS[kind])
    if len(text) < 200 and rng.random() < 0.2:
        text, gold = gold, text
    options = ("1", "2 cm", "x", "none of these") if kind == "choice" else ()
    judged = grader().judge([Submission(gold, text, kind=kind, options=options)])
    assert len(judged) == 1 and judged[0].verdict in tuple(Verdict)
