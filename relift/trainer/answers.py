"""Hold graded answers: what sampling and grading hand to the recipe and to the record. Numpy only.

Axes: Q questions, G attempts at each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from relift.engines.tokens import Completion
from relift.grading.base import Judgement
from relift.schema import Assistance, Finish, Verdict


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


@dataclass(frozen=True)
class Rewards:
    """Hold what training sees of each attempt beside its verdict (trainer/rewards.py), [Q, G] each."""

    outcome_QG: np.ndarray  # float64: 1 and 0, or one's own; NaN: none
    shaping_QG: np.ndarray  # float64: added to it
    masked_QG: np.ndarray  # bool: cut off, and left out of the loss


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
    rewards: Rewards | None = None  # what training sees in place of the verdicts' 1 and 0
    round_Q: np.ndarray | None = None  # int16: round of sampling within the step; None: all in round 0
    weight_Q: np.ndarray | None = None  # float64: with which the questions were drawn; None: all alike
    first_Q: np.ndarray | None = None  # int32: number of each row's first attempt at its question; None: 0
    given_ids_QG: Sequence[Sequence[tuple[int, ...]]] | None = None  # starts of the answers; None: none anywhere
    surplus: frozenset[int] = frozenset()  # questions [q] that no RL sees: beyond the step's number, or only asked anew

    def __len__(self) -> int:
        """Count the questions."""
        return len(self.question_ix_Q)

    @cached_property
    def decided_QG(self) -> np.ndarray:
        """bool: the grader said correct or wrong."""
        return self._array([[j.verdict is not Verdict.undecided for j in row] for row in self.judgements_QG], bool)

    @cached_property
    def correct_QG(self) -> np.ndarray:
        """bool: the grader said correct."""
        return self._array([[j.verdict is Verdict.correct for j in row] for row in self.judgements_QG], bool)

    @cached_property
    def cut_QG(self) -> np.ndarray:
        """bool: the answer was cut off at rollout.max_tokens."""
        return self._array([[c.finish is Finish.length for c in row] for row in self.completions_QG], bool)

    @cached_property
    def rewarded_QG(self) -> np.ndarray:
        """bool: the attempt has a reward, so that it belongs to its group: decided, and judged by a reward of one's
        own where there is one."""
        return self.decided_QG if self.rewards is None else self.decided_QG & ~np.isnan(self.rewards.outcome_QG)

    @cached_property
    def outcome_QG(self) -> np.ndarray:
        """float64: the reward before shaping, 1 correct and 0 wrong or one's own; 0 where there is none."""
        outcome_QG = self.correct_QG.astype(np.float64) if self.rewards is None else self.rewards.outcome_QG
        return np.where(self.rewarded_QG, outcome_QG, 0.0)

    @cached_property
    def reward_QG(self) -> np.ndarray:
        """float64: what training sees, shaping included; 0 where there is no reward."""
        if self.rewards is None:
            return self.outcome_QG
        return np.where(self.rewarded_QG, self.outcome_QG + self.rewards.shaping_QG, 0.0)

    @cached_property
    def counted_QG(self) -> np.ndarray:
        """bool: the attempt's tokens count in the loss: it has a reward, and is not masked for being cut off."""
        return self.rewarded_QG if self.rewards is None else self.rewarded_QG & ~self.rewards.masked_QG

    @cached_property
    def has_signal_Q(self) -> np.ndarray:
        """bool: rewards before shaping differ within the group."""
        low_Q = np.where(self.rewarded_QG, self.outcome_QG, np.inf).min(axis=1, initial=np.inf)
        high_Q = np.where(self.rewarded_QG, self.outcome_QG, -np.inf).max(axis=1, initial=-np.inf)
        return high_Q > low_Q

    @cached_property
    def counts(self) -> GroupCounts:
        """Counts of the unassisted attempts: gates and accuracy look at these alone."""
        alone_QG = self._array([[a is Assistance.none for a in row] for row in self.assistance_QG], bool)
        decided_QG = self.decided_QG & alone_QG
        correct_QG = decided_QG & self.correct_QG
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

    def accuracy_of(self, n_questions: int) -> float | None:
        """Correct among decided attempts at the first n questions; None when nothing was decided."""
        n = int(self.counts.n_decided_Q[:n_questions].sum())
        return float(self.counts.n_correct_Q[:n_questions].sum() / n) if n else None

    def joined(self, more: Answers) -> Answers:
        """Put the answers of a further round of sampling behind these."""
        assert self.version == more.version, "answers of one step are written by one policy"
        rewards = None
        if self.rewards is not None and more.rewards is not None:
            rewards = Rewards(
                *(
                    np.concatenate([getattr(self.rewards, f.name), getattr(more.rewards, f.name)])
                    for f in fields(Rewards)
                )
            )
        own_Q = np.zeros(len(self), np.int16) if self.round_Q is None else self.round_Q
        next_Q = np.full(len(more), 1 + own_Q.max(initial=0), np.int16)
        first_Q = [np.zeros(len(a), np.int32) if a.first_Q is None else a.first_Q for a in (self, more)]
        given_QG = [row for a in (self, more) for row in a.given_rows]
        return Answers(
            question_ix_Q=np.concatenate([self.question_ix_Q, more.question_ix_Q]),
            prompt_ids_QG=[*self.prompt_ids_QG, *more.prompt_ids_QG],
            completions_QG=[*self.completions_QG, *more.completions_QG],
            judgements_QG=[*self.judgements_QG, *more.judgements_QG],
            texts_QG=[*self.texts_QG, *more.texts_QG],
            version=self.version,
            assistance_QG=[*self.assistance_QG, *more.assistance_QG],
            rewards=rewards,
            round_Q=np.concatenate([own_Q, next_Q]),
            first_Q=np.concatenate(first_Q),
            given_ids_QG=given_QG,
            surplus=self.surplus | frozenset(len(self) + q for q in more.surplus),
        )

    @property
    def given_rows(self) -> Sequence[Sequence[tuple[int, ...]]]:
        """The starts that attempts were given, [Q][G]; empty where an attempt had none."""
        return self.given_ids_QG or [[()] * len(row) for row in self.prompt_ids_QG]

    def _array(self, rows: Sequence[Sequence[bool]], dtype: Any) -> np.ndarray:
        return np.array(rows, dtype=dtype) if len(self) else np.zeros((0, 0), dtype)
