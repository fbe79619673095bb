"""HDPO (Ding, arXiv 2603.23871): where RL fails, the policy learns what it answers with a solution before it.

    all questions:    L = -1/N sum_t min(r A, clip(r, 0.8, 1.2) A),  A = (reward - mean) / std
    those all wrong:  L = lambda/M sum_t f(rho_t),  rho = p(y_t | x) / p(y_t | x, solution),
                      f(rho) = (rho log(2 rho/(1 + rho)) + log(2/(1 + rho))) / 2

When all n attempts at a question are wrong, n more are made within the step with its demonstration in the prompt. The
right ones of these are trained on without it: f over tokens that the policy with the solution drew is the
Jensen-Shannon divergence of the two. The privileged policy is that of the step, detached; N the tokens of the first
attempts, M those of the second ones that are trained on. Privileged attempts count in no gate, accuracy or trajectory;
what they generate is counted.

Departures: the paper was read in its abstract and second-hand notes, no code was found: lambda = 1, both averages,
GRPO's clip and learning rate are ours. Their divergence is over the 64 likeliest tokens, here by the token that was
drawn, the same in expectation over the whole vocabulary. Solutions come from the demonstrations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from relift.learner.losses import jensen_shannon
from relift.learner.update import Component, Term, TrainSequence, Update
from relift.schema import UpdateKind
from relift.trainer.answers import Answers
from relift.trainer.components import rl_components
from relift.trainer.ladder import all_wrong_Q, last_rows
from relift.trainer.recipe import Demonstrations, Method, Recipe, step_questions
from relift.trainer.self_teacher import Place, scores_with
from relift.trainer.step import GroupRequest, Step, privileged_request

DEFAULTS: dict[str, dict[str, Any]] = {
    "rl": {
        "loss": "ppo_clip",
        "advantage": "std",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "denominator": "tokens",
        "optimizer": {"lr": 1e-6},
    },
    "privileged": {"weight": 1.0},
}


def again(recipe: Recipe, step: Step, answers: Answers) -> list[GroupRequest]:
    """Plan n attempts that see the demonstration at each question whose first attempts were all wrong."""
    assert recipe.rl is not None
    n, wrong_Q = recipe.rl.attempts, all_wrong_Q(answers)
    asked = []
    for ix, rows in last_rows(answers).items():
        demo = step.buffer.next_demo(ix)
        if len(rows) > 1 or demo is None or not wrong_Q[rows[0]]:
            continue
        prompt_ids = step.privileged(step.item(ix), demo.completion_ids_T.tolist())
        if prompt_ids is not None:
            asked.append(privileged_request(step.item(ix), prompt_ids, n=n, first=n))
    return asked


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Reinforce on the plain attempts and, in the same update, distill on the right privileged ones."""
    rl, privileged = recipe.rl, recipe.privileged
    assert rl is not None and privileged is not None
    step.buffer.offer(step.number, answers.counts, entropy=answers.mean_entropy)
    taught = taught_sequences(rl.temperature, step, answers)
    rows = last_rows(answers)
    for questions, component in rl_components(rl, step, answers):
        parts = [] if component is None else [component]
        second = {rows[int(answers.question_ix_Q[q])][-1] for q in questions}
        sequences = tuple(s for s in taught if s.attempt is not None and s.attempt[0] in second)
        if sequences:
            n_tokens = sum(len(s.completion_ids_T) for s in sequences)
            term = Term(jensen_shannon(privileged.weight), n_tokens, scale=rl.scale)
            parts.append(Component("rl", sequences, (term,), rl.temperature))
        if parts:
            yield Update(UpdateKind.rl, "rl", tuple(parts))


def taught_sequences(temperature: float, step: Step, answers: Answers) -> list[TrainSequence]:
    """Make what is trained on of the right privileged attempts: their tokens behind the question's own prompt, with
    their log-probabilities behind the prompt that they had."""
    places: list[Place] = [(q, int(g)) for q in sorted(answers.surplus) for g in np.flatnonzero(answers.correct_QG[q])]
    sequences = [
        TrainSequence(
            step.item(int(answers.question_ix_Q[q])).prompt_ids,
            answers.completions_QG[q][g].token_ids_T,
            attempt=(q, g),
        )
        for q, g in places
        if len(answers.completions_QG[q][g].token_ids_T)
    ]
    prompts = {(q, g): answers.prompt_ids_QG[q][g] for q, g in places}
    teacher = scores_with(step.score, prompts)(sequences, temperature)
    return [s.with_column("teacher", values_T) for s, values_T in zip(sequences, teacher, strict=True)]


METHOD = Method(DEFAULTS, updates, step_questions, Demonstrations.given, again=again)
