"""Graders: the table of those there are. A new one is one module and one line here."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from relift.errors import InputError
from relift.grading.base import Grader, Judgement, Submission
from relift.grading.exact import ExactGrader

__all__ = ["GRADERS", "Grader", "Judgement", "Submission", "make_grader"]

GRADERS: dict[str, Callable[[], Grader]] = {
    "exact": ExactGrader,
}


def make_grader(kind: str) -> Grader:
    """The grader of this name (`questions.answer_kind`). Raises InputError for a name that is not in the table."""
    if kind not in GRADERS:
        near = difflib.get_close_matches(kind, GRADERS, n=1)
        raise InputError(
            f"unknown grader {kind!r}; known: {', '.join(GRADERS)}" + (f"; nearest: {near[0]}" if near else "")
        )
    return GRADERS[kind]()
