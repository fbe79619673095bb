"""Hold graded answers: what sampling and grading hand to the recipe and to the record. Numpy only.

Axes: Q questions, G attempts at each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from relift.engines.tokens import Completion
from relift.grading.base import Judgement
from relift.schema import Assistance, Verdict


@dataclass(frozen=True)
class GroupCounts:
    """Counts of each question's unassisted attempts: what the model can do without help. int64 [Q] each."""

    question_ix_Q: np.ndarray
    n_correct_Q: np.ndarray
    n_decided_Q: np.ndarray
    n_attempts_Q: np.ndarray

    def rows(self) -> list[tuple[int, int, int, int]]:
        """List (question_ix, n_correct, n_decided, n_attempts), without the questions that had help every time."""
        columns = (self.question_ix_Q, self.n_correct_Q, self.n_decided_Q, self.n_attempts_Q)
        return [row for row in zip(*(column.tolist() for column in columns), strict=True) if row[3]]


ROWS = ("question_ix_Q", "prompt_ids_QG", "completions_QG", "judgements_QG", "texts_QG", "assistance_QG")


@dataclass(frozen=True)
class Answers:
    """The graded answers of one sampling: answer [q][g] is the g-th attempt at question q. Possibly of no question."""

    question_ix_Q: np.ndarray  # int32
    prompt_ids_QG: Sequence[Sequence[tuple[int, ...]]]
    completions_QG: Sequence[Sequence[Completion]]
    judgements_QG: Sequence[Sequence[Judgement]]
    texts_QG: Sequence[Sequence[str]]
    version: int  # of the weights that wrote them
    assistance_QG: Sequence[Sequence[Assistance]]

    def __len__(self) -> int:
        """Count the questions."""
        return len(self.question_ix_Q)

    @cached_property
    def decided_QG(self) -> np.ndarray:
        """bool: the grader said correct or wrong."""
        return self._array([[j.verdict is not Verdict.undecided for j in row] for row in self.judgements_QG], bool)

    @cached_property
    def reward_QG(self) -> np.ndarray:
        """float64: 1 correct, 0 wrong; meaningless where undecided."""
        return self._array([[j.verdict is Verdict.correct for j in row] for row in self.judgements_QG], np.float64)

    @cached_property
    def counts(self) -> GroupCounts:
        """Counts of the unassisted attempts: gates and accuracy look at these alone."""
        alone_QG = self._array([[a is Assistance.none for a in row] for row in self.assistance_QG], bool)
        decided_QG = self.decided_QG & alone_QG
        correct_QG = decided_QG & (self.reward_QG > 0)
        return GroupCounts(self.question_ix_Q, correct_QG.sum(axis=1), decided_QG.sum(axis=1), alone_QG.sum(axis=1))

    @cached_property
    def mean_entropy(self) -> float | None:
        """Mean over the unassisted attempts of their entropy (nats a token); None where an engine does not tell it."""
        found = [
            completion.mean_entropy
            for row, assistance in zip(self.completions_QG, self.assistance_QG, strict=True)
            for completion, a in zip(row, assistance, strict=True)
            if a is Assistance.none
        ]
        told = [value for value in found if value is not None]
        return float(np.mean(told)) if told and len(told) == len(found) else None

    def first(self, n_questions: int) -> Answers:
        """Leave out all but the first n questions."""
        rows = {name: getattr(self, name)[:n_questions] for name in ROWS}
        return replace(self, **rows)

    def accuracy_of(self, n_questions: int) -> float | None:
        """Correct among decided attempts at the first n questions; None when nothing was decided."""
        n = int(self.counts.n_decided_Q[:n_questions].sum())
        return float(self.counts.n_correct_Q[:n_questions].sum() / n) if n else None

    def _array(self, rows: Sequence[Sequence[bool]], dtype: Any) -> np.ndarray:
        return np.array(rows, dtype=dtype) if len(self) else np.zeros((0, 0), dtype)
