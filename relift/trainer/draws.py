"""Draw questions one after another, as many as a step needs; where the drawing stands is state of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from relift.trainer.answers import GroupCounts
from relift.trainer.stream import order_of


class Draws:
    """Questions 0 .. n-1 in a fresh order each epoch; none twice within a step.

    `begin` opens a step, `more` goes on with it. A question whose turn comes again within its step waits for the next
    one. `state_dict` is what a resume needs; what a step has drawn since the last checkpoint it draws again.
    """

    def __init__(self, n: int, *, seed: int, purpose: str) -> None:
        self.n = n
        self.seed = seed
        self.purpose = purpose
        self.epoch = -1  # of the newest order in the queue
        self.queue: list[int] = []  # what comes next
        self._step = -1
        self._first: list[int] = []
        self._drawn: set[int] = set()  # in this step

    def begin(self, step: int, n: int) -> list[int]:
        """Draw the first n questions of a step; asked again, the same."""
        if step != self._step:
            self._step, self._drawn = step, set()
            self._first = self.more(n)
        return self._first

    def more(self, n: int) -> list[int]:
        """Draw n questions that the step has not had; fewer where there are no more."""
        drawn: list[int] = []
        while len(drawn) < n and len(self._drawn) < self.n:
            place = next((place for place, q in enumerate(self.queue) if q not in self._drawn), None)
            if place is None:
                self.epoch += 1
                self.queue += order_of(self.n, seed=self.seed, purpose=self.purpose, epoch=self.epoch).tolist()
                continue
            drawn.append(self.queue.pop(place))
            self._drawn.add(drawn[-1])
        return drawn

    def note(self, step: int, counts: GroupCounts) -> None:
        """Take in the counts of a step's questions: an order of its own heeds none."""

    def weights_of(self, question_ixs: Sequence[int], *, step: int) -> np.ndarray | None:
        """Give the weights with which these questions were drawn; None: all alike."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what comes next, as JSON values."""
        return {"epoch": self.epoch, "queue": list(self.queue)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.queue = int(state["epoch"]), [int(q) for q in state["queue"]]
        if not all(0 <= q < self.n for q in self.queue):
            raise ValueError(f"drawn questions beyond the {self.n} that there are")
        self._step, self._first, self._drawn = -1, [], set()
