"""Hold the parts of a running training. Numpy only: tests script any of them by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from relift.config import Config
from relift.engines.tokens import Engine
from relift.grading.base import Scorer
from relift.learner.update import TrainSequence, Update, UpdateStats
from relift.trainer.demos import Demo, DemoBuffer
from relift.trainer.recipe import Recipe
from relift.trainer.record import Record
from relift.trainer.step import Item, Step
from relift.trainer.stream import Stream


class LearnerLike(Protocol):
    """Describe what the loop asks of a learner; relift.learner.learner.Learner is the one that trains."""

    def score(self, sequences: Sequence[TrainSequence], *, temperature: float) -> list[np.ndarray]: ...
    def score_reference(self, sequences: Sequence[TrainSequence], *, temperature: float) -> list[np.ndarray]: ...
    def forward_backward(self, update: Update) -> None: ...
    def optim_step(self, optimizer: str, *, run_steps: int | None) -> UpdateStats: ...
    def reset_optimizer(self, name: str) -> None: ...
    def model_state_dict(self) -> Any: ...


@dataclass(frozen=True)
class StepReport:
    """Tell a progress display what it may show of a finished step."""

    step: int
    reward: float | None  # mean over the decided rollouts
    probe_accuracy: float | None  # mean over the decided probe attempts; None where the step had no probe
    buffer_len: int
    updates: int
    generated_tokens: int
    seconds: float


@dataclass
class Run:
    """Everything the loop works with; made by setup.open_run, or by hand in tests."""

    config: Config
    recipe: Recipe
    train_items: Sequence[Item]
    probe_items: Sequence[Item]  # probed every `probe.every` steps
    ends_items: Sequence[Item]  # probed at step 0 and at the end alone
    demos: Sequence[Demo]
    question_stream: Stream | None  # None: the recipe samples no rollouts
    demo_stream: Stream | None  # None: the recipe has no phase of fine-tuning alone
    engine: Engine
    grader: Scorer  # of every answer_kind that occurs
    learner: LearnerLike
    decode: Callable[[Sequence[np.ndarray]], list[str]]
    stop_token_ids: tuple[int, ...]
    record: Record
    buffer: DemoBuffer
    hinted: Callable[[Item, Sequence[int]], tuple[int, ...] | None]
    save: Callable[[Run, str | None], None]  # writes a checkpoint of kind base, train, final; None: unscheduled
    take_over_base: Callable[[Run], bool] = lambda run: False  # step 0 from another run, where configured
    warn: Callable[[str], None] = lambda line: None
    on_step: Callable[[StepReport], None] = lambda report: None
    stop_requested: Callable[[], bool] = lambda: False
    step: int | None = None  # last finished step; None: not even the base was probed
    skipped_in_a_row: int = 0
    n_parameters: int = 0
    ended: bool = False  # the budget is spent: no step follows

    def budget_is_spent(self) -> bool:
        """Whether the run has used what its budget allows, by what is counted up to now."""
        limits = {name: limit for name, limit in self.config.budget if limit is not None}
        if not limits:
            return False
        used = self.record.totals.used(n_parameters=self.n_parameters)
        return any(used[name] >= limit for name, limit in limits.items())

    def steps(self) -> Iterator[Step]:
        """Give the steps that are still to be made, in order, as a recipe sees them."""
        assert self.step is not None
        item_of = {item.question_ix: item for item in self.train_items}
        for number in range(self.step + 1, self.config.steps + 1):
            if self.ended:
                return
            yield Step(
                number,
                self.buffer,
                questions=lambda k: [self.train_items[i] for i in _batch(self.question_stream, k)],
                demonstrations=lambda k: [self.demos[i] for i in _batch(self.demo_stream, k)],
                score=lambda sequences, temperature: self.learner.score(sequences, temperature=temperature),
                score_reference=lambda sequences, temperature: self.learner.score_reference(
                    sequences, temperature=temperature
                ),
                hinted=self.hinted,
                forget_moments=self.learner.reset_optimizer,
                item=item_of.__getitem__,
            )

    def publish(self) -> None:
        """Give the engine the weights of the last finished step, unless it has them: before it is asked."""
        assert self.step is not None
        if self.engine.policy_version != self.step:
            self.engine.publish(self.learner.model_state_dict(), version=self.step)


def _batch(stream: Stream | None, k: int) -> np.ndarray:
    assert stream is not None, "the recipe's method says that it needs no such stream"
    return stream.batch(k)
