"""Admit demonstrations to training: answer check, length check, no duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from relift.errors import InputError
from relift.grading.base import Judgement, Scorer, Submission
from relift.schema import Demonstration, Verdict
from relift.trainer.demos import Demo
from relift.trainer.step import Item

SHOWN = 5  # demonstrations named in a refusal


def admit(
    demonstrations: Sequence[Demonstration],
    items: Mapping[str, Item],
    grader: Scorer,
    *,
    encode: Callable[[str, Sequence[int]], list[int]],  # (text, the prompt before it) -> token ids
    end_token: int,
    max_tokens: int,
    bad: str,
    context: int | None = None,
    known: Collection[str] = (),
) -> tuple[list[Demo], pd.DataFrame]:
    """Choose the demonstrations that may be trained on; make rows of `demonstrations` for all that were offered.

    `items` by question_id; `bad` is data.bad_demonstrations: "refuse" raises one InputError that names what failed,
    "skip" records the refusals. A demonstration is never cut: with its end token it fits into `max_tokens`, and with
    its prompt too into the model's `context` (tokens; None: without limit), or it stays out. `known`: demo_ids that
    were offered before.
    """
    judged = _judge(demonstrations, items, grader)
    accepted: list[Demo] = []
    rows: list[dict[str, object]] = []
    problems: list[str] = []
    seen = set(known)
    for number, (demonstration, judgement) in enumerate(zip(demonstrations, judged, strict=True), start=1):
        item = items[demonstration.question_id]
        token_ids = [*encode(demonstration.text, item.prompt_ids), end_token]
        room = max_tokens if context is None else min(max_tokens, context - len(item.prompt_ids))
        reason = _reason(demonstration, judgement, n_tokens=len(token_ids), max_tokens=room, seen=seen)
        seen.add(demonstration.demo_id)
        if reason is None:
            ids = np.array(token_ids, dtype=np.int32)
            accepted.append(Demo(demonstration.demo_id, item.question_ix, item.prompt_ids, ids))
        else:
            problems.append(f"{reason} (number {number}: {demonstration.text[:40]!r})")
        if reason == "duplicate":
            continue  # demo_id is the key of the table: its first appearance has the row
        rows.append(
            {
                "demo_id": demonstration.demo_id,
                "question_ix": item.question_ix,
                "source": demonstration.source,
                "text": demonstration.text,
                "n_tokens": len(token_ids),
                "verified": judgement.verdict is Verdict.correct,
                "accepted": reason is None,
                "reject_reason": reason,
            }
        )
    if problems and bad == "refuse":
        counts = Counter(p.split(" ", 1)[0] for p in problems)
        raise InputError(
            f"{len(problems)} of {len(demonstrations)} demonstrations cannot be trained on: "
            f"{', '.join(f'{n} {reason}' for reason, n in counts.items())}; first: {'; '.join(problems[:SHOWN])}; mend "
            'them, or set data.bad_demonstrations = "skip" to record them and leave them out'
        )
    return accepted, pd.DataFrame(rows)


def _judge(demonstrations: Sequence[Demonstration], items: Mapping[str, Item], grader: Scorer) -> list[Judgement]:
    asked = [(items[d.question_id].question, d.text) for d in demonstrations]
    return grader.judge([Submission(q.answer, text, kind=q.answer_kind, options=q.options) for q, text in asked])


def _reason(
    demonstration: Demonstration, judgement: Judgement, *, n_tokens: int, max_tokens: int, seen: set[str]
) -> str | None:
    if not demonstration.text.strip():
        return "empty"
    if demonstration.demo_id in seen:
        return "duplicate"
    if n_tokens > max_tokens:
        return "too_long"
    if judgement.verdict is Verdict.correct:
        return None
    if judgement.verdict is Verdict.undecided:
        return "undecided"
    return "no_final_answer" if judgement.rule.startswith("none.") else "wrong_answer"
