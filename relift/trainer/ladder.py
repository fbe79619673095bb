"""Ask a question that was all wrong again within the step, with ever more of its demonstration. Numpy only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from relift.learner.update import Update
from relift.trainer.answers import Answers
from relift.trainer.components import reinforce
from relift.trainer.recipe import Recipe
from relift.trainer.step import GroupRequest, Step, hinted_request, prefixed_request


def last_rows(answers: Answers) -> dict[int, list[int]]:
    """List the rows [q] of each question, by question_ix, in the order in which they were asked."""
    rows: dict[int, list[int]] = {}
    for q, ix in enumerate(answers.question_ix_Q.tolist()):
        rows.setdefault(ix, []).append(q)
    return rows


def all_wrong_Q(answers: Answers) -> np.ndarray:
    """Tell which rows were decided throughout and had no right answer: undecided is not wrong."""
    return np.asarray(answers.decided_QG.all(axis=1) & ~answers.correct_QG.any(axis=1))


def climb(recipe: Recipe, step: Step, answers: Answers) -> list[GroupRequest]:
    """Plan n attempts with the next longer start at each question whose last n attempts were all wrong.

    A question without a demonstration, or whose hint makes the prompt too long, is not asked again.
    """
    assert recipe.rl is not None and recipe.prefix is not None
    wrong_Q, n, part = all_wrong_Q(answers), recipe.rl.attempts, recipe.prefix
    asked = []
    for ix, rows in last_rows(answers).items():
        demo = step.buffer.next_demo(ix)
        if demo is None or not wrong_Q[rows[-1]] or len(rows) > len(part.stages):
            continue
        tokens = demo.completion_ids_T.tolist()
        given, item = tokens[: max(1, int(part.stages[len(rows) - 1] * len(tokens)))], step.item(ix)
        if part.place == "answer":
            request = prefixed_request(item, given, n_plain=0, n_given=n)
        else:
            prompt_ids = step.hinted(item, given)
            if prompt_ids is None:
                continue
            request = hinted_request(item, prompt_ids, n_plain=0, n_given=n)
        asked.append(replace(request, first=n * len(rows)))
    return asked


def reinforce_last(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Reinforce on the last attempts at each question, which take the place of those before them."""
    assert recipe.rl is not None
    step.buffer.offer(step.number, answers.counts, entropy=answers.mean_entropy)
    replaced = frozenset(q for rows in last_rows(answers).values() for q in rows[:-1])
    yield from reinforce(recipe.rl, step, replace(answers, surplus=answers.surplus | replaced))
