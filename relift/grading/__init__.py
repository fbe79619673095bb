"""Grading: what an answer is worth against the gold answer, and by which rule (docs/grading.md)."""

from __future__ import annotations

from relift.grading.base import Judgement, Scorer, Submission
from relift.grading.grader import Grader
from relift.grading.scorers import SCORERS, make_scorer, require_kind

__all__ = ["SCORERS", "Grader", "Judgement", "Scorer", "Submission", "make_scorer", "require_kind"]
