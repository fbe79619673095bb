"""Sample further questions within a step until enough groups carry signal (dynamic sampling, DAPO, arXiv 2503.14476).

A group carries signal when the rewards of its attempts differ. Its authors' code draws rounds of a fixed size, fails
when the tenth is not enough, and cuts what is beyond the batch (verl, recipe/dapo/dapo_ray_trainer.py). Here a round is
as large as the missing groups need at the share that has carried signal so far, at most one step's questions; a step
that stays short trains on what it has; and what is beyond the batch is recorded with no advantage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from relift.trainer.answers import Answers
from relift.trainer.run import Run
from relift.trainer.step import GroupRequest, plain_request


def refill(run: Run, answers: Answers, sample: Callable[[Sequence[GroupRequest]], Answers]) -> Answers:
    """Add rounds to the answers of a step until enough groups carry signal, or the cap is reached.

    `sample` asks, grades and rewards. Warns in the first step of a launch that stays short.
    """
    assert run.draws is not None and run.recipe.rl is not None
    wanted, n_attempts = run.config.rollout.questions_per_step, run.recipe.rl.attempts
    rounds = 0
    while (missing := wanted - int(answers.has_signal_Q.sum())) > 0 and rounds < run.config.rollout.refill:
        more = run.draws.more(round_size(missing, wanted=wanted, n_asked=len(answers)))
        if not more:
            break
        answers = answers.joined(sample([plain_request(run.train_items[ix], n=n_attempts) for ix in more]))
        rounds += 1
    if missing > 0:
        run.warn_once(
            f"after {rounds} further rounds {wanted - missing} of {wanted} groups carry signal, of {len(answers)} "
            "questions asked: the step trains on these (rollout.refill is the cap; columns round and advantage of "
            "attempts tell of later steps)",
            topic="refill",
        )
    round_Q = np.zeros(len(answers), np.int16) if answers.round_Q is None else answers.round_Q
    return replace(answers, round_Q=round_Q, surplus=beyond(answers, wanted))


def round_size(missing: int, *, wanted: int, n_asked: int) -> int:
    """Count the questions to ask for so many missing groups, at the share that has carried signal so far."""
    n_signal = wanted - missing
    return wanted if n_signal == 0 else min(wanted, math.ceil(missing * n_asked / n_signal))


def beyond(answers: Answers, wanted: int) -> frozenset[int]:
    """Find the questions [q] that carry signal beyond the first `wanted` ones: the step does not train on them."""
    with_signal = [q for q, signal in enumerate(answers.has_signal_Q.tolist()) if signal]
    return frozenset(with_signal[wanted:])
