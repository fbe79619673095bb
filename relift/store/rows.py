"""The one maker of rows of `questions` and `attempts`, for the trainer, evaluations and importers alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from relift.errors import StoreError
from relift.schema import ATTEMPTS, Assistance, Finish, Question, Verdict

_NULLABLE = tuple(column.name for column in ATTEMPTS.columns if column.nullable)


def reward_of(verdict: Verdict) -> float | None:
    """Give the reward of a verdict: 1 for correct, 0 for wrong, null for undecided."""
    return None if verdict is Verdict.undecided else float(verdict is Verdict.correct)


def attempt_row(
    *,
    question_ix: int,
    attempt: int,
    verdict: Verdict,
    rule: str,
    answer: str | None,
    finish: Finish,
    n_tokens: int | None,
    policy_version: int,
    decoding_id: str,
    seed: int,
    text: str | None,
    assistance: Assistance = Assistance.none,
    sum_logprob: float | None = None,
    mean_entropy: float | None = None,
    grader_agrees: bool | None = None,
    reward: float | None = None,
    rewards: Mapping[str, float | None] | None = None,
    used_in_update: bool | None = None,
) -> dict[str, Any]:
    """Make a row of `attempts`, with `text` beside it (null: not kept). `rule` and `answer` are the grader's.

    `reward`: what another trainer's reward functions gave; None: the verdict's. `rewards`: of each, by its name.
    """
    own = verdict is Verdict.undecided or reward is None
    return {
        "question_ix": question_ix,
        "attempt": attempt,
        "assistance": str(assistance),
        "verdict": str(verdict),
        "verdict_rule": rule,
        "reward": reward_of(verdict) if own else reward,
        "rewards": None if rewards is None else json.dumps(rewards),
        "finish": str(finish),
        "n_tokens": n_tokens,
        "answer": answer,
        "sum_logprob": sum_logprob,
        "mean_entropy": mean_entropy,
        "used_in_update": used_in_update,
        "policy_version": policy_version,
        "decoding_id": decoding_id,
        "grader_agrees": grader_agrees,
        "seed": seed,
        "text": text,
    }


def attempts_frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Make the frame of rows of `attempt_row`; what is missing is None, not NaN, so that booleans stay booleans."""
    frame = pd.DataFrame(rows)
    for name in _NULLABLE:
        if name in frame and frame[name].isna().any():
            frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
    return frame


def options_of(value: object, *, where: object) -> tuple[str, ...]:
    """Read the options of a question back from its row, which may be a stranger's; () for none. Raises StoreError."""
    if not isinstance(value, str):
        return ()
    try:
        options = json.loads(value)
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise StoreError(f"{where}: the options of a question are no list of texts: {value[:40]!r}")
    return tuple(options)


def question_row(
    question: Question, question_ix: int, *, prompt_tokens: int | None, has_demo: bool = False, source: str = ""
) -> dict[str, Any]:
    """Make a row of `questions`. `source`: its data set and split where the question itself names none."""
    options = json.dumps(question.options, ensure_ascii=False) if question.options else None
    return {
        **vars(question),
        "options": options,
        "source": question.source or source,
        "split": question.split or source,
        "question_ix": question_ix,
        "prompt_tokens": prompt_tokens,
        "has_demo": has_demo,
        "dup_group": None,
    }
