"""Mathematics: answers that may be any expression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from relift.grading.base import Judgement, Submission
from relift.grading.exact import judge


class MathScorer:
    """Compares expressions."""

    name = "math"

    def __init__(self, *, workers: int = 1, limit_seconds: float = 2.0) -> None:
        self._workers = workers
        self._limit_seconds = limit_seconds

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        return [judge(s) for s in submissions]

    def describe(self) -> dict[str, object]:
        return {"name": self.name, "version": 1}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None
