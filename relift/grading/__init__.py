"""Grading: what an answer is worth against the gold answer, and by which rule (docs/grading.md)."""

from __future__ import annotations

from relift.grading.base import Judgement, Scorer, Submission
from relift.grading.golds import gold_problem, normalise_gold
from relift.grading.grader import Grader
from relift.grading.scorers import GRADERS, SCORERS, make_scorer, require_grader, require_kind

__all__ = [
    "GRADERS",
    "SCORERS",
    "Grader",
    "Judgement",
    "Scorer",
    "Submission",
    "gold_problem",
    "make_scorer",
    "normalise_gold",
    "require_grader",
    "require_kind",
]
