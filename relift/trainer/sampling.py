"""GroupRequest questions: prompts to an engine, texts to a grader, both back as one object.

Axes: Q questions, G attempts at each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from relift.engines.tokens import Completion, Request, Sampling
from relift.errors import GuardStop
from relift.grading.base import Submission
from relift.schema import WARN_UNDECIDED, Origin, Verdict, seed_of
from relift.trainer.answers import Answers
from relift.trainer.refill import refill
from relift.trainer.run import Run
from relift.trainer.step import GroupRequest, Step


def answer(run: Run, step: Step, plan: Sequence[GroupRequest]) -> Answers:
    """Sample, grade and reward what a recipe planned for a step: training rollouts, possibly none."""
    config = run.config.rollout
    sampling = Sampling(config.max_tokens, config.temperature, config.top_p, config.top_k, run.stop_token_ids)

    def sample(asked: Sequence[GroupRequest]) -> Answers:
        return run.rewards(asked, ask(run, asked, sampling, origin=Origin.rollout, draw=0, step=step.number))

    answers = sample(plan)
    while more := run.recipe.again(step, answers):
        answers = answers.joined(sample(more))
    if plan and config.refill:
        answers = refill(run, answers, sample)
    if run.draws is not None:
        weight_Q = run.draws.weights_of(answers.question_ix_Q.tolist(), step=step.number)
        answers = replace(answers, weight_Q=weight_Q)
        run.draws.note(step.number, answers.counts)
    return answers


def ask(
    run: Run, asked: Sequence[GroupRequest], sampling: Sampling, *, origin: Origin, draw: int, step: int
) -> Answers:
    """Give graded answers [q][g]. The seed of an attempt depends on nothing but what names it."""
    completions_QG: list[list[Completion]] = []
    if asked:
        run.publish()
        requests, place_R = _requests(run, asked, origin=origin, draw=draw, step=step)
        completions_QG = _in_place(run.engine.generate(requests, sampling), place_R, asked)
    texts = iter(run.decode(_whole_answers(asked, completions_QG)))
    texts_QG = [[next(texts) for _ in row] for row in completions_QG]
    submissions = [
        Submission(
            one.item.question.answer,
            text,
            completion.finish,
            kind=one.item.question.answer_kind,
            options=one.item.question.options,
            opened=one.item.thoughts_opened,
        )
        for one, row, completions in zip(asked, texts_QG, completions_QG, strict=True)
        for text, completion in zip(row, completions, strict=True)
    ]
    judged = iter(run.grader.judge(submissions) if submissions else [])
    answers = Answers(
        question_ix_Q=np.array([one.item.question_ix for one in asked], dtype=np.int32),
        prompt_ids_QG=[one.prompt_ids_G for one in asked],
        completions_QG=completions_QG,
        judgements_QG=[[next(judged) for _ in row] for row in texts_QG],
        texts_QG=texts_QG,
        version=run.engine.policy_version,
        assistance_QG=[one.assistance_G for one in asked],
        first_Q=np.array([one.first for one in asked], dtype=np.int32),
        given_ids_QG=[one.given_ids_G or ((),) * len(one.prompt_ids_G) for one in asked],
        surplus=frozenset(q for q, one in enumerate(asked) if one.is_check),
    )
    if asked:
        guard_undecided(run, answers, where=f"step {step}, {origin}")
    return answers


def _whole_answers(asked: Sequence[GroupRequest], completions_QG: Sequence[Sequence[Completion]]) -> list[np.ndarray]:
    """Put what was given before what was written: a thought may begin in one and end in the other, so that the whole
    answer is graded and kept as text. Everything else counts what was written."""
    return [
        np.array([*one.given_ids_G[g], *c.token_ids_T], np.int32) if one.given_ids_G else c.token_ids_T
        for one, row in zip(asked, completions_QG, strict=True)
        for g, c in enumerate(row)
    ]


Place = tuple[int, tuple[int, ...]]  # q, and the attempts [g] that a request stands for


def _requests(
    run: Run, asked: Sequence[GroupRequest], *, origin: Origin, draw: int, step: int
) -> tuple[list[Request], list[Place]]:
    """Make one request of the attempts at a question that share a prompt, and say where its answers belong."""
    requests, place_R = [], []
    for q, one in enumerate(asked):
        question_id = one.item.question.question_id
        attempts_of: dict[tuple[int, ...], list[int]] = {}
        for g, prompt_ids in enumerate(one.prompt_ids_G):
            attempts_of.setdefault(prompt_ids, []).append(g)
        for prompt_ids, attempts in attempts_of.items():
            seeds = tuple(
                seed_of(run.config.seed, str(origin), draw, step, question_id, one.first + g) for g in attempts
            )
            requests.append(Request(prompt_ids, seeds))
            place_R.append((q, tuple(attempts)))
    return requests, place_R


def _in_place(
    answered: Sequence[Sequence[Completion]], place_R: Sequence[Place], asked: Sequence[GroupRequest]
) -> list[list[Completion]]:
    completions: dict[tuple[int, int], Completion] = {}
    for row, (q, attempts) in zip(answered, place_R, strict=True):
        completions |= {(q, g): completion for g, completion in zip(attempts, row, strict=True)}
    return [[completions[q, g] for g in range(len(one.prompt_ids_G))] for q, one in enumerate(asked)]


def guard_undecided(run: Run, answers: Answers, *, where: str) -> None:
    """Warn of undecided verdicts; stop before they reach an update when there are too many."""
    share = (~answers.decided_QG).mean()  # not 1 - the other share: 1 - .7 is more than .3
    if share <= WARN_UNDECIDED:
        return
    rules = Counter(j.rule for row in answers.judgements_QG for j in row if j.verdict is Verdict.undecided)
    line = (
        f"{where}: {share:.1%} of the verdicts are undecided ({', '.join(f'{r} {n}' for r, n in rules.most_common(3))})"
    )
    if share > run.config.guard.max_undecided:
        raise GuardStop(f"{line}; the limit is guard.max_undecided = {run.config.guard.max_undecided}: mend the grader")
    run.warn(line)
