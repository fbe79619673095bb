"""Hold the parts of a running training. Numpy only: tests script any of them by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from relift.config import Config
from relift.engines.tokens import Engine
from relift.grading.base import Scorer
from relift.learner.update import TrainSequence, Update, UpdateStats
from relift.trainer.answers import Answers
from relift.trainer.demos import Demo, DemoBuffer
from relift.trainer.draws import Draws
from relift.trainer.recipe import Recipe
from relift.trainer.record import Record
from relift.trainer.step import GroupRequest, Item, Score, Step
from relift.trainer.stream import Stream
from relift.trainer.teacher_online import Arrivals


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
    draws: Draws | None  # draws the questions in place of the stream where a step may need more of them
    demo_stream: Stream | None  # None: the recipe has no phase of fine-tuning alone
    engine: Engine
    grader: Scorer  # of every answer_kind that occurs
    rewards: Callable[[Sequence[GroupRequest], Answers], Answers]  # gives graded rollouts what training sees of them
    learner: LearnerLike
    decode: Callable[[Sequence[np.ndarray]], list[str]]
    stop_token_ids: tuple[int, ...]
    record: Record
    buffer: DemoBuffer
    hinted: Callable[[Item, Sequence[int]], tuple[int, ...] | None]
    score_teacher: Score  # of a recipe with a teacher; without one it is never called
    arrivals: Arrivals | None  # of demonstrations that come while training goes on; None: none do
    save: Callable[[Run, str | None], None]  # writes a checkpoint of kind base, train, final; None: unscheduled
    take_over_base: Callable[[Run], bool] = lambda run: False  # step 0 from another run, where configured
    warn: Callable[[str], None] = lambda line: None
    on_step: Callable[[StepReport], None] = lambda report: None
    track: Callable[[Mapping[str, float | None], int], None] = lambda values, step: None  # to experiment trackers
    stop_requested: Callable[[], bool] = lambda: False
    warned: set[str] = field(default_factory=set)  # topics of warn_once
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
            if self.arrivals is not None:
                self.arrivals.begin(number)
            yield Step(
                number,
                self.buffer,
                questions=self._questions_of(number),
                demonstrations=lambda k: [self.demos[i] for i in _batch(self.demo_stream, k)],
                score=lambda sequences, temperature: self.learner.score(sequences, temperature=temperature),
                score_reference=lambda sequences, temperature: self.learner.score_reference(
                    sequences, temperature=temperature
                ),
                score_teacher=self.score_teacher,
                hinted=self.hinted,
                forget_moments=self.learner.reset_optimizer,
                item=item_of.__getitem__,
            )

    def _questions_of(self, number: int) -> Callable[[int], list[Item]]:
        """Give the questions of a step: those of the stream's k-th batch, or the first that the step draws."""
        draws, per_step = self.draws, self.config.rollout.questions_per_step
        if draws is None:
            return lambda k: [self.train_items[ix] for ix in _batch(self.question_stream, k)]
        return lambda k: [self.train_items[ix] for ix in draws.begin(number, per_step)]

    def warn_once(self, line: str, *, topic: str) -> None:
        """Warn of a topic, the first time in this launch."""
        if topic not in self.warned:
            self.warned.add(topic)
            self.warn(line)

    def publish(self) -> None:
        """Give the engine the weights of the last finished step, unless it has them: before it is asked."""
        assert self.step is not None
        if self.engine.policy_version != self.step:
            self.engine.publish(self.learner.model_state_dict(), version=self.step)


def _batch(stream: Stream | None, k: int) -> np.ndarray:
    assert stream is not None, "the recipe's method says that it needs no such stream"
    return stream.batch(k)
