"""Scorers by the kind of answer they read (`questions.answer_kind`). A new one is one module and one line here."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from relift.errors import InputError
from relift.grading.base import Scorer
from relift.grading.choice import ChoiceScorer
from relift.grading.exact import ExactScorer
from relift.grading.math import MathScorer

SCORERS: dict[str, Callable[..., Scorer]] = {
    "exact": ExactScorer,
    "math": MathScorer,
    "choice": ChoiceScorer,
}
WITH_WORKERS = ("math",)  # these take the arguments `workers` and `limit_seconds`


def require_kind(kind: str) -> None:
    """Raises InputError for a kind of answer that no scorer reads."""
    if kind not in SCORERS:
        near = difflib.get_close_matches(kind, SCORERS, n=1)
        raise InputError(
            f"unknown answer_kind {kind!r}; known: {', '.join(SCORERS)}" + (f"; nearest: {near[0]}" if near else "")
        )


def make_scorer(kind: str, *, workers: int = 1, limit_seconds: float = 2.0) -> Scorer:
    """The scorer of this kind of answer (`questions.answer_kind`). Raises InputError for one that is not in the table.

    `workers` and `limit_seconds` are for those that work in processes of their own.
    """
    require_kind(kind)
    if kind in WITH_WORKERS:
        return SCORERS[kind](workers=workers, limit_seconds=limit_seconds)
    return SCORERS[kind]()
