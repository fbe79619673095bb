"""Let the policy teach itself: the same weights, with a right answer to the question in the prompt. Numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from relift.learner.losses import self_distillation
from relift.learner.update import TrainSequence
from relift.trainer.answers import Answers
from relift.trainer.recipe import PrivilegedPart, Teaching
from relift.trainer.step import Score, Step

Place = tuple[int, int]  # (q, g) among the answers


def from_siblings(part: PrivilegedPart, step: Step, answers: Answers, *, among_QG: np.ndarray, alone: bool) -> Teaching:
    """Make the teacher's term of attempts with a right attempt of another at the same question, which it is shown.

    `among_QG`: bool, the attempts that may be taught; `alone`: they are all that counts in the average. A right attempt
    is never shown to itself, and one with which the prompt is too long is not shown.
    """
    prompts: dict[Place, tuple[int, ...]] = {}
    for q, ix in enumerate(answers.question_ix_Q.tolist()):
        right = np.flatnonzero(answers.correct_QG[q] & answers.rewarded_QG[q]).tolist()
        for g in np.flatnonzero(among_QG[q] & answers.counted_QG[q]).tolist():
            shown = next((sibling for sibling in right if sibling != g), None)
            if shown is None:
                continue
            solution = answers.completions_QG[q][shown].token_ids_T.tolist()
            if (prompt_ids := step.privileged(step.item(ix), solution)) is not None:
                prompts[q, g] = prompt_ids
    weighed_QG = np.zeros(answers.decided_QG.shape, bool)
    for place in prompts:
        weighed_QG[place] = True
    loss = self_distillation(part.weight, cap=part.ratio_cap)
    return Teaching(loss, scores_with(step.score, prompts), weighed_QG, alone)


def scores_with(score: Score, prompts: Mapping[Place, tuple[int, ...]]) -> Score:
    """Score attempts under other prompts, by place; 0 for an attempt without one, which is not weighed."""

    def scored(sequences: Sequence[TrainSequence], temperature: float) -> list[np.ndarray]:
        of = [s for s in sequences if s.attempt in prompts]
        asked = [TrainSequence(prompts[s.attempt], s.completion_ids_T) for s in of if s.attempt is not None]
        found = dict(zip((s.attempt for s in of), score(asked, temperature) if asked else [], strict=True))
        return [found.get(s.attempt, np.zeros(len(s.completion_ids_T), np.float32)) for s in sequences]

    return scored
