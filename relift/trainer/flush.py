"""Decide in which steps the waiting demonstrations are trained on: when enough wait, by a period, or by a signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relift.config import BufferConfig
from relift.trainer.answers import GroupCounts


class Flush:
    """When a step fine-tunes (config section buffer: flush, every, the gate's settings, cooldown).

    The gate looks at the mean over the last `gate_window` steps with rollouts of their reward, or of their entropy
    (nats a token, mean over the unassisted attempts); it is shut until so many steps are there. It reads what the
    policy did before this step's updates, at no further cost.
    """

    def __init__(self, config: BufferConfig, *, batch: int) -> None:
        self.config = config
        self.batch = batch
        self.signal: list[float] = []  # of the last steps, newest last, at most gate_window
        self.last_step: int | None = None  # that fine-tuned

    def see(self, counts: GroupCounts, entropy: float | None) -> None:
        """Take in what a step's unassisted rollouts say."""
        decided = int(counts.n_decided_Q.sum())
        reward = float(counts.n_correct_Q.sum()) / decided if decided else None
        value = reward if self.config.gate == "reward" else entropy
        if value is not None:
            self.signal = [*self.signal, value][-self.config.gate_window :]

    def is_due(self, step: int, *, waiting: int, done: int) -> bool:
        """Whether a batch is due of `waiting` demonstrations, after `done` batches of this step."""
        config = self.config
        if config.flush == "never" or waiting == 0 or (done and config.drain == "one"):
            return False
        if not done and self.last_step is not None and step - self.last_step <= config.cooldown:
            return False
        if config.flush == "adaptive" or done:  # what is left after a first batch goes only in full batches
            return waiting >= self.batch
        # `all`, `uniform` and `gate` take what is there, by true counts (the official code does not say).
        if config.flush == "gate":
            return self._gate_is_open()
        return config.flush == "all" or step % config.every == 0

    def _gate_is_open(self) -> bool:
        if len(self.signal) < self.config.gate_window:
            return False
        return sum(self.signal) / len(self.signal) <= self.config.gate_below

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides what comes next, as JSON values."""
        return {"signal": self.signal, "last_step": self.last_step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state."""
        self.signal, self.last_step = list(state["signal"]), state["last_step"]
