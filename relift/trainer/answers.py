"""Graded answers: what sampling and grading hand to the recipe and to the record. Numpy only.

Axes: Q questions, G attempts at each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from relift.engines.tokens import Completion
from relift.grading.base import Judgement
from relift.schema import Verdict


@dataclass(frozen=True)
class Answers:
    """The graded answers of one sampling: answer [q][g] is the g-th attempt at question q."""

    question_ix_Q: np.ndarray  # int32
    prompt_ids_Q: Sequence[tuple[int, ...]]
    completions_QG: Sequence[Sequence[Completion]]
    judgements_QG: Sequence[Sequence[Judgement]]
    texts_QG: Sequence[Sequence[str]]
    version: int  # of the weights that wrote them

    @cached_property
    def decided_QG(self) -> np.ndarray:
        """bool: the grader said correct or wrong."""
        return np.array([[j.verdict is not Verdict.undecided for j in row] for row in self.judgements_QG], dtype=bool)

    @cached_property
    def reward_QG(self) -> np.ndarray:
        """float64: 1 correct, 0 wrong; meaningless where undecided."""
        return np.array([[float(j.verdict is Verdict.correct) for j in row] for row in self.judgements_QG])

    @property
    def n_correct_Q(self) -> np.ndarray:
        return (self.decided_QG & (self.reward_QG > 0)).sum(axis=1)

    @property
    def n_decided_Q(self) -> np.ndarray:
        return self.decided_QG.sum(axis=1)

    def accuracy_of(self, n_questions: int) -> float | None:
        """Correct among decided attempts at the first n questions; None when nothing was decided."""
        n = int(self.decided_QG[:n_questions].sum())
        return float(self.n_correct_Q[:n_questions].sum() / n) if n else None
