"""Prefix RL (PrefixRL, arXiv 2601.18795; POPE, arXiv 2601.18779): some attempts continue a demonstration's start.

    L = -1/N sum_t min(r A, clip(r, 0.8, 1.2) A),  N the tokens that the policy wrote in the batch

The start of a demonstration, a share drawn anew for each question and step, stands at the end of the prompt and has
no gradient. A = (reward - mean) / std of the attempts with the same prompt: plain ones and those with the prefix have
means of their own. Half of the n attempts are plain (POPE mixes guided and unguided one to one); they alone count in
gates, accuracy and trajectories. `prefix.questions = "waiting"` gives prefixes only to questions whose last plain
attempts were all wrong, POPE's hard questions.

Departures: papers read in their abstracts and second-hand notes. Their prefixes come from the base model's or an
oracle's solutions, here from the demonstrations; POPE takes the shortest cut that ever works, here a share is drawn
from prefix.low to prefix.high, which are ours. GRPO's loss and learning rate. `prefix_rft` trains on the start too,
`bread` looks for its length within the step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from relift.learner.update import Update
from relift.schema import Assistance, seed_of
from relift.trainer.answers import Answers
from relift.trainer.components import Groups, reinforce
from relift.trainer.recipe import Demonstrations, Method, PrefixPart, Recipe
from relift.trainer.step import GroupRequest, Item, Step, hinted_request, plain_request, prefixed_request

DEFAULTS: dict[str, dict[str, Any]] = {
    "rl": {
        "loss": "ppo_clip",
        "advantage": "std",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "denominator": "tokens",
        "optimizer": {"lr": 1e-6},
    },
    "prefix": {"place": "answer", "questions": "all", "low": 0.25, "high": 0.75},
}


def plan(recipe: Recipe, step: Step) -> list[GroupRequest]:
    """Plan n attempts at each question, some of them helped where its demonstration is to be given."""
    assert recipe.rl is not None and recipe.prefix is not None
    n, n_given = recipe.rl.attempts, recipe.prefix.attempts
    asked = []
    for item in step.questions(step.number - 1):
        given = _start_of(recipe.prefix, step, item)
        hinted = step.hinted(item, given) if given and recipe.prefix.place == "prompt" else None
        if hinted:
            asked.append(hinted_request(item, hinted, n_plain=n - n_given, n_given=n_given))
        elif given and recipe.prefix.place == "answer":
            asked.append(prefixed_request(item, given, n_plain=n - n_given, n_given=n_given))
        else:
            asked.append(plain_request(item, n=n))
    return asked


def _start_of(part: PrefixPart, step: Step, item: Item) -> list[int]:
    """Cut the start of the question's demonstration that is given in this step; empty: none."""
    demo = step.buffer.next_demo(item.question_ix)
    if demo is None or (part.questions == "waiting" and item.question_ix not in step.buffer.waiting):
        return []
    rng = np.random.default_rng(seed_of(step.buffer.seed, "prefix", 0, step.number, item.question.question_id, 0))
    share = rng.uniform(part.low(step.number), part.high(step.number))
    return demo.completion_ids_T[: int(share * len(demo.completion_ids_T))].tolist()


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Reinforce on all attempts, each against those with its prompt; note which questions are beyond reach."""
    rl = recipe.rl
    assert rl is not None
    step.buffer.offer(step.number, answers.counts, entropy=answers.mean_entropy)
    advantage_QG = np.zeros(answers.decided_QG.shape)
    given_QG = np.array([[a is not Assistance.none for a in row] for row in answers.assistance_QG], bool)
    for same_QG in (given_QG, ~given_QG):
        advantage_QG += rl.advantage(answers.reward_QG, answers.rewarded_QG & same_QG)
    groups = Groups(advantage_QG, {}, np.zeros(len(answers)))
    yield from reinforce(rl, step, answers, groups=groups)


METHOD = Method(DEFAULTS, updates, plan, Demonstrations.given)
