"""Draw questions by what the run has seen of them: those that are half known often, solved ones not for a while.

    weight = 1          never asked, or not for `revisit` steps
             1          recent accuracy from `low` to `high`
             0          solved: every attempt of the last visit right
             outside    else

Recent accuracy is over decided attempts without assistance, older visits counting half as much at each new one. Within
a step no question is drawn twice; where fewer are left that weigh anything, solved ones fill the step, those not asked
for the longest time first. A draw is a function of seed, step, round and these counts, which are in the checkpoint.
The numbers are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from relift.config import CurriculumConfig
from relift.schema import seed_of
from relift.trainer.answers import GroupCounts
from relift.trainer.draws import Draws

MEMORY = 0.5  # what a visit's counts weigh at the next one


class Curriculum(Draws):
    """Questions 0 .. n-1, each with its `question_ix`, drawn with weights by their recent accuracy."""

    def __init__(self, config: CurriculumConfig, question_ixs: Sequence[int], *, seed: int) -> None:
        super().__init__(len(question_ixs), seed=seed, purpose="curriculum")
        self.config = config
        self._place_of = {ix: place for place, ix in enumerate(question_ixs)}
        self._round = 0
        self.right_N = np.zeros(self.n)  # attempts, older ones discounted
        self.decided_N = np.zeros(self.n)
        self.solved_N = np.zeros(self.n, bool)  # at the last visit
        self.seen_N = np.full(self.n, -1, np.int64)  # step of the last visit; -1: none

    def begin(self, step: int, n: int) -> list[int]:
        """Draw the first n questions of a step; asked again, the same."""
        if step != self._step:
            self._round = 0
        return super().begin(step, n)

    def more(self, n: int) -> list[int]:
        """Draw n questions that the step has not had; fewer where there are no more."""
        weight_N = self.weights(self._step)
        rng = np.random.default_rng(seed_of(self.seed, self.purpose, self._round, self._step, "", 0))
        # Exponential clocks: the n that ring first are a draw without replacement (Efraimidis and Spirakis 2006).
        clock_N = rng.exponential(size=self.n) / np.where(weight_N > 0, weight_N, 1.0)
        place_N = np.lexsort((np.where(weight_N > 0, clock_N, self.seen_N), weight_N <= 0))
        drawn = [int(place) for place in place_N if int(place) not in self._drawn][:n]
        self._drawn |= set(drawn)
        self._round += 1
        return drawn

    def weights(self, step: int) -> np.ndarray:
        """Weigh every question at the beginning of a step, float64 [n]."""
        accuracy_N = self.right_N / np.where(self.decided_N > 0, self.decided_N, 1.0)
        within_N = (accuracy_N >= self.config.low) & (accuracy_N <= self.config.high)
        weight_N = np.where(within_N, 1.0, self.config.outside)
        weight_N = np.where(self.solved_N, 0.0, weight_N)
        unknown_N = (self.decided_N == 0) | (step - self.seen_N >= self.config.revisit)
        return np.where(unknown_N, 1.0, weight_N)

    def weights_of(self, question_ixs: Sequence[int], *, step: int) -> np.ndarray | None:
        """Give the weights with which these questions were drawn, before the step's counts are noted."""
        return self.weights(step)[[self._place_of[ix] for ix in question_ixs]]

    def note(self, step: int, counts: GroupCounts) -> None:
        """Take in the counts of a step. A visit without a decided attempt tells nothing."""
        for question_ix, n_correct, n_decided, _ in counts.rows():
            if n_decided:
                place = self._place_of[question_ix]
                self.right_N[place] = MEMORY * self.right_N[place] + n_correct
                self.decided_N[place] = MEMORY * self.decided_N[place] + n_decided
                self.solved_N[place] = n_correct == n_decided
                self.seen_N[place] = step

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what comes next, as JSON values: of the questions that were asked."""
        asked = np.flatnonzero(self.seen_N >= 0)
        arrays = {"right": self.right_N, "decided": self.decided_N, "solved": self.solved_N, "seen": self.seen_N}
        return {"asked": asked.tolist(), **{name: array[asked].tolist() for name, array in arrays.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        asked = np.array(state["asked"], np.int64)
        self.right_N, self.decided_N = np.zeros(self.n), np.zeros(self.n)
        self.solved_N, self.seen_N = np.zeros(self.n, bool), np.full(self.n, -1, np.int64)
        for name, array in (
            ("right", self.right_N), ("decided", self.decided_N), ("solved", self.solved_N), ("seen", self.seen_N),
        ):  # fmt: skip
            array[asked] = state[name]
        self._step, self._first, self._drawn, self._round = -1, [], set(), 0
