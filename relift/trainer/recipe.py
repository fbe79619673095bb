"""Define a recipe: a plan of attempts, the updates they make, and its parts as a configuration sets them. Numpy only.

One file per recipe stands in relift/trainer/recipes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np

from relift.learner.update import Loss, Update
from relift.trainer.advantages import Advantage
from relift.trainer.answers import Answers
from relift.trainer.norms import Norm
from relift.trainer.schedules import Schedule
from relift.trainer.step import GroupRequest, Score, Step, plain_request


class Demonstrations(StrEnum):
    """When a recipe trains on demonstrations."""

    never = "never"
    stream = "stream"  # in steps of fine-tuning alone, from a shuffled stream
    buffered = "buffered"  # when enough of them wait
    at_once = "at_once"  # in the step whose rollouts call for them
    joined = "joined"  # as one more answer to a question of the step, beside its rollouts
    given = "given"  # never: their start is given to attempts
    beside = "beside"  # a batch of a shuffled stream in every update, beside the rollouts


@dataclass(frozen=True)
class Teaching:
    """A teacher's term in a step: its loss, whose log-probabilities fill the column, and which attempts it weighs."""

    loss: Loss
    score: Score
    weighed_QG: np.ndarray | None = None  # bool; None: all
    alone: bool = False  # the attempts that it weighs are all that count


@dataclass(frozen=True)
class RLPart:
    """The RL component of a recipe."""

    loss: Loss
    norm: Norm
    advantage: Advantage
    attempts: int  # at each question
    updates_per_batch: int
    drop_flat_groups: bool
    entropy_weight: float
    scale: float
    kl: Loss | None  # beside the loss, to the base model
    max_tokens: int
    temperature: float
    teaching: Teaching | None = None  # beside the loss; a recipe sets it for a step
    trains_given: bool = False  # whether the start that an attempt was given is trained on like what it wrote


@dataclass(frozen=True)
class SFTPart:
    """The fine-tuning component of a recipe."""

    loss: Loss
    norm: Norm
    entropy_weight: float
    scale: float
    max_tokens: int
    optimizer: str  # "sft": moments of its own; "rl": one optimizer for both
    mu: Schedule  # share of the loss that demonstrations have in a step, where they share one (CHORD)


@dataclass(frozen=True)
class PrefixPart:
    """The attempts that are given the start of a demonstration."""

    place: Literal["answer", "prompt"]  # as the start of the answer, or as a hint in the user's words
    questions: Literal["all", "waiting"]  # waiting: those in the buffer, all of whose last attempts were wrong
    attempts: int  # of a question's n
    low: Schedule  # least share of the demonstration's tokens, by the step's number
    high: Schedule
    stages: tuple[float, ...]  # shares that are tried one after the other within a step (ghpo, bread)
    top_entropy: float  # share of the given tokens that is trained on (prefix_rft)


@dataclass(frozen=True)
class TeacherPart:
    """The distillation of a recipe."""

    weight: Schedule  # beta by the step's number
    steps: int  # opd_rl: the first ones, which distill alone
    answers: Literal["all", "wrong"] = "all"  # those that it weighs


@dataclass(frozen=True)
class PrivilegedPart:
    """The policy as its own teacher."""

    weight: float
    ratio_cap: float


@dataclass(frozen=True)
class Recipe:
    """A recipe with the numbers of a configuration. A part is None where it has none."""

    name: str
    method: Method
    rl: RLPart | None
    sft: SFTPart | None
    phase_steps: int
    prefix: PrefixPart | None = None
    teacher: TeacherPart | None = None
    privileged: PrivilegedPart | None = None

    def plan(self, step: Step) -> list[GroupRequest]:
        """Plan the attempts of a step; none in a step of fine-tuning alone."""
        return self.method.plan(self, step)

    def again(self, step: Step, answers: Answers) -> list[GroupRequest]:
        """Plan the attempts of a further round of the same step, in view of all answers so far; none: no more."""
        return self.method.again(self, step, answers)

    def updates(self, step: Step, answers: Answers) -> Iterator[Update]:
        """Make the optimizer steps of a step, each when the one before has been taken."""
        return self.method.updates(self, step, answers)

    @property
    def sft_steps(self) -> float:
        """Number of first steps that fine-tune alone and sample nothing; inf: all."""
        if self.method.demonstrations is not Demonstrations.stream:
            return 0
        return self.phase_steps if self.rl else math.inf

    @property
    def takes_demonstrations(self) -> bool:
        """Whether it needs demonstrations at all."""
        return self.method.demonstrations is not Demonstrations.never

    @property
    def optimizers(self) -> tuple[str, ...]:
        """Names of the optimizers it needs."""
        used = {"rl"} if self.rl else set()
        return tuple(sorted(used | ({self.sft.optimizer} if self.sft else set())))


def step_questions(recipe: Recipe, step: Step) -> list[GroupRequest]:
    """Plan n plain attempts at each of the step's questions, less those whose place a demonstration takes."""
    assert recipe.rl is not None
    items = step.questions(step.number - 1 - int(recipe.sft_steps))
    return [plain_request(item, n=recipe.rl.attempts - recipe.method.places_of_demos) for item in items]


def no_more(recipe: Recipe, step: Step, answers: Answers) -> list[GroupRequest]:
    """Plan no further round."""
    return []


@dataclass(frozen=True)
class Method:
    """Hold what the file of a recipe says.

    `defaults`: values for the configuration's sections, every number with its source. A recipe has an RL part if it
    names a section rl, a fine-tuning part if it names sft, attempts with a prefix if it names prefix, a teacher if it
    names teacher, itself as a teacher if it names privileged.
    """

    defaults: Mapping[str, Mapping[str, Any]]
    updates: Callable[[Recipe, Step, Answers], Iterator[Update]]
    plan: Callable[[Recipe, Step], list[GroupRequest]] = step_questions
    demonstrations: Demonstrations = Demonstrations.never
    places_of_demos: int = 0  # of a question's n answers
    again: Callable[[Recipe, Step, Answers], list[GroupRequest]] = no_more  # further rounds within the step
