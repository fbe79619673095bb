"""Give graded rollouts the rewards that training sees. Verdicts stay: gates, bands and accuracies read them alone.

    reward = outcome + shaping,  outcome = 1 correct, 0 wrong, none where undecided

A function of one's own (`rl.reward`) gives the outcome in place of the verdict; undecided attempts have none all the
same. Shaping adds `rl.format_weight` to answers that keep `rl.format_reward`, and takes the penalty for long answers of
DAPO (arXiv 2503.14476, eq. 13): with B = `rl.overlong_tokens` an answer of n tokens loses
factor * clip((n - (rollout.max_tokens - B)) / B, 0, 1). `rl.truncated = "mask"` leaves the tokens of answers that were
cut off out of the loss; they stay in the mean of their group, as in TRL's mask_truncated_completions.

Axes: Q questions, G attempts at each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from relift.config import Config
from relift.errors import GuardStop
from relift.grading.formats import keeps_format
from relift.grading.rewards import Columns, Given
from relift.trainer.answers import Answers, Rewards
from relift.trainer.step import GroupRequest

OVERLONG_SHARE = 0.2  # of rollout.max_tokens: 4,096 of 20,480 in DAPO's script (verl, run_dapo_qwen2.5_32b.sh)

Give = Callable[[Sequence[Columns]], Given]


@dataclass(frozen=True)
class Rewarding:
    """Rewards of a run's rollouts, as its configuration sets them; called with what was asked and its answers."""

    config: Config
    give: Give | None  # the reward function of `rl.reward`
    warn: Callable[[str], None]

    def __call__(self, asked: Sequence[GroupRequest], answers: Answers) -> Answers:
        """Give the answers with their rewards; as they are where nothing departs from the verdicts' 1 and 0.

        Raises GuardStop when the reward function fails for more than `guard.max_undecided` of the questions.
        """
        rl = self.config.rl
        if not len(answers) or (rl.truncated == "wrong" and self.give is None and rl.format_reward is None):
            return answers
        if self.give is None:
            outcome_QG = np.where(answers.decided_QG, answers.correct_QG, np.nan)
        else:
            outcome_QG = self._own_QG(self.give, asked, answers)
        shaping_QG = np.zeros(outcome_QG.shape)
        if rl.truncated == "penalty":
            shaping_QG -= rl.overlong_factor * self._excess_QG(answers)
        if rl.format_reward is not None:
            shaping_QG += rl.format_weight * self._keeps_QG(rl.format_reward, asked, answers)
        masked_QG = answers.cut_QG & (rl.truncated == "mask")
        return replace(answers, rewards=Rewards(outcome_QG, shaping_QG, masked_QG))

    def _own_QG(self, give: Give, asked: Sequence[GroupRequest], answers: Answers) -> np.ndarray:
        given = give([columns_of(one, answers, q) for q, one in enumerate(asked)])
        if given.n_failed:
            line = f"rl.reward = {self.config.rl.reward}: failed for {given.n_failed} of {len(asked)} questions"
            if given.n_failed / len(asked) > self.config.guard.max_undecided:
                raise GuardStop(f"{line}: {given.why}; mend it and start again: guard.max_undecided is the limit")
            self.warn(f"{line}, whose answers have no reward: {given.why}")
        return np.array(given.rewards_QG, np.float64)  # None becomes NaN

    def _keeps_QG(self, name: str, asked: Sequence[GroupRequest], answers: Answers) -> np.ndarray:
        rows = zip(asked, answers.texts_QG, strict=True)
        keeps = [[keeps_format(text, name, opened=one.item.thoughts_opened) for text in texts] for one, texts in rows]
        return np.array(keeps, np.float64)

    def _excess_QG(self, answers: Answers) -> np.ndarray:
        """Find the share of the last `overlong_tokens` that each answer takes: 0 to 1."""
        longest = self.config.rollout.max_tokens
        last = self.config.rl.overlong_tokens or max(1, round(OVERLONG_SHARE * longest))
        n_tokens_QG = np.array([[len(c.token_ids_T) for c in row] for row in answers.completions_QG], np.float64)
        return np.clip((n_tokens_QG - (longest - last)) / last, 0.0, 1.0)


def columns_of(one: GroupRequest, answers: Answers, q: int) -> dict[str, list[Any]]:
    """List what a reward function may look at of one question's attempts (relift.grading.rewards.COLUMNS)."""
    question, n = one.item.question, len(answers.texts_QG[q])
    same = {
        "questions": question.problem,
        "golds": question.answer,
        "question_ids": question.question_id,
        "sources": question.source,
        "subjects": question.subject,
        "levels": question.level,
        "options": list(question.options),
    }
    return {
        **{name: [value] * n for name, value in same.items()},
        "answers": list(answers.texts_QG[q]),
        "verdicts": [str(judgement.verdict) for judgement in answers.judgements_QG[q]],
        "finishes": [str(completion.finish) for completion in answers.completions_QG[q]],
        "n_tokens": [len(completion.token_ids_T) for completion in answers.completions_QG[q]],
        "assistances": [str(assistance) for assistance in answers.assistance_QG[q]],
    }
