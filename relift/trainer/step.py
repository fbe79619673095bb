"""Hold what a recipe sees of one step of training: its number, its data, the buffer, and scores. Numpy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from relift.learner.update import TrainSequence
from relift.schema import Assistance, Question
from relift.trainer.demos import Demo, DemoBuffer

Score = Callable[[Sequence[TrainSequence], float], list[np.ndarray]]  # (sequences, temperature) -> [T] each


@dataclass(frozen=True)
class Item:
    """A question of the run with its number in the tables and its rendered prompt.

    `thoughts_opened`: the prompt has opened the thoughts, so that an answer begins inside them.
    """

    question: Question
    question_ix: int
    prompt_ids: tuple[int, ...]
    thoughts_opened: bool = False


@dataclass(frozen=True)
class GroupRequest:
    """Attempts to be made at one question, each with its prompt and with what it is given beside the question."""

    item: Item
    prompt_ids_G: tuple[tuple[int, ...], ...]
    assistance_G: tuple[Assistance, ...]
    given_ids_G: tuple[tuple[int, ...], ...] | None = (
        None  # starts of the answers, at the end of the prompts; None: none
    )
    is_check: bool = False  # asked for its counts alone: RL does not train on it
    first: int = 0  # number of its first attempt among those of the question in this step


def plain_request(item: Item, *, n: int) -> GroupRequest:
    """Plan n attempts with the question's own prompt and nothing else."""
    return GroupRequest(item, (item.prompt_ids,) * n, (Assistance.none,) * n)


def hinted_request(item: Item, prompt_ids: tuple[int, ...], *, n_plain: int, n_given: int) -> GroupRequest:
    """Plan attempts with the question's own prompt, then attempts with a prompt that has a hint in it."""
    prompts = (item.prompt_ids,) * n_plain + (prompt_ids,) * n_given
    return GroupRequest(item, prompts, (Assistance.none,) * n_plain + (Assistance.hint,) * n_given)


def privileged_request(item: Item, prompt_ids: tuple[int, ...], *, n: int, first: int) -> GroupRequest:
    """Plan n attempts with a prompt that shows a solution; RL does not train on them."""
    return GroupRequest(item, (prompt_ids,) * n, (Assistance.privileged,) * n, is_check=True, first=first)


def prefixed_request(item: Item, given: Sequence[int], *, n_plain: int, n_given: int) -> GroupRequest:
    """Plan attempts with the question's own prompt, then attempts that continue the answer begun with these tokens."""
    prompts = (item.prompt_ids,) * n_plain + ((*item.prompt_ids, *given),) * n_given
    assistance = (Assistance.none,) * n_plain + (Assistance.prefix,) * n_given
    return GroupRequest(item, prompts, assistance, ((),) * n_plain + (tuple(given),) * n_given)


@dataclass(frozen=True)
class Step:
    """One step as its recipe sees it. The batches are numbered from 0 and the same on every call."""

    number: int  # from 1
    buffer: DemoBuffer
    questions: Callable[[int], list[Item]]  # a batch of the shuffled training questions
    demonstrations: Callable[[int], list[Demo]]  # a batch of the shuffled demonstrations
    score: Score  # log-probabilities under the weights as they are when it is called
    score_reference: Score  # the same under the base model
    score_teacher: Score  # the same under the teacher
    hinted: Callable[[Item, Sequence[int]], tuple[int, ...] | None]  # the prompt with these tokens of a solution as a
    # hint in the user's words; None: longer than a prompt may be
    privileged: Callable[[Item, Sequence[int]], tuple[int, ...] | None]  # the prompt with these tokens as a whole
    # solution; None: longer than a prompt may be
    forget_moments: Callable[[str], None]  # of an optimizer by name
    item: Callable[[int], Item]  # the training question of this question_ix
