"""The tables of the grading package: scorers by the kind of answer, graders of mathematics by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial

from relift.errors import InputError
from relift.grading.base import Scorer
from relift.grading.choice import ChoiceScorer
from relift.grading.exact import ExactScorer
from relift.grading.extract import THINKING_TAGS, TagPairs
from relift.grading.math import MathScorer
from relift.grading.others import LastBoxScorer, NaiveScorer, PaperScorer

# By `questions.answer_kind`. All take `tags`.
SCORERS: dict[str, Callable[..., Scorer]] = {
    "exact": ExactScorer,
    "math": MathScorer,
    "choice": ChoiceScorer,
}

# Who grades the kind math: protocols and `--second-grader` name them. All take `workers`, `limit_seconds`, `tags`.
GRADERS: dict[str, Callable[..., Scorer]] = {
    "relift": MathScorer,
    "relift-1e-2": partial(MathScorer, tolerance=Fraction(1, 100)),
    "math-verify": NaiveScorer,
    "math-verify-0.6": LastBoxScorer,
    "qwen": partial(PaperScorer, "qwen"),
    "oat": partial(PaperScorer, "oat"),
    "prime": partial(PaperScorer, "prime"),
}


def require_kind(kind: str) -> None:
    """Refuse a kind of answer that no scorer reads. Raises InputError."""
    _require(kind, SCORERS, "answer_kind")


def require_grader(name: str) -> None:
    """Refuse a grader that is not in the table. Raises InputError."""
    _require(name, GRADERS, "grader")


def make_scorer(
    kind: str,
    *,
    grader: str = "relift",
    workers: int = 1,
    limit_seconds: float = 2.0,
    tags: TagPairs = THINKING_TAGS,
) -> Scorer:
    """Make the scorer of this kind of answer (`questions.answer_kind`). Raises InputError for an unknown one.

    `grader`, `workers` and `limit_seconds` are for the kind math.
    """
    require_kind(kind)
    require_grader(grader)
    if kind != "math":
        return SCORERS[kind](tags=tags)
    return GRADERS[grader](workers=workers, limit_seconds=limit_seconds, tags=tags)


def _require(name: str, table: Iterable[str], what: str) -> None:
    names = list(table)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        raise InputError(
            f"unknown {what} {name!r}; known: {', '.join(names)}" + (f"; nearest: {near[0]}" if near else "")
        )
