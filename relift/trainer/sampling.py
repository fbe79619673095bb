"""Asking questions: prompts to an engine, texts to a grader, both back as one object.

Axes: Q questions, G attempts at each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from relift.engines.tokens import Request, Sampling
from relift.errors import GuardStop
from relift.grading.base import Submission
from relift.schema import WARN_UNDECIDED, Origin, Verdict, seed_of
from relift.trainer.answers import Answers
from relift.trainer.run import Item, Run


def ask(
    run: Run, items: Sequence[Item], sampling: Sampling, *, n: int, origin: Origin, draw: int, step: int
) -> Answers:
    """n graded answers to each question. The seed of an attempt depends on nothing but what names it."""
    requests = [
        Request(
            item.prompt_ids,
            tuple(seed_of(run.config.seed, str(origin), draw, step, item.question.question_id, g) for g in range(n)),
        )
        for item in items
    ]
    completions_QG = run.engine.generate(requests, sampling)
    texts = iter(run.decode([c.token_ids_T for row in completions_QG for c in row]))
    texts_QG = [[next(texts) for _ in row] for row in completions_QG]
    judged = iter(
        run.grader.judge(
            [
                Submission(
                    item.question.answer,
                    text,
                    c.finish,
                    kind=item.question.answer_kind,
                    options=item.question.options,
                )
                for item, row, completions in zip(items, texts_QG, completions_QG, strict=True)
                for text, c in zip(row, completions, strict=True)
            ]
        )
    )
    answers = Answers(
        question_ix_Q=np.array([item.question_ix for item in items], dtype=np.int32),
        prompt_ids_Q=[item.prompt_ids for item in items],
        completions_QG=completions_QG,
        judgements_QG=[[next(judged) for _ in row] for row in texts_QG],
        texts_QG=texts_QG,
        version=run.engine.policy_version,
    )
    guard_undecided(run, answers, where=f"step {step}, {origin}")
    return answers


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
