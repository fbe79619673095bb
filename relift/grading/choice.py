"""Multiple choice: the letter that an answer commits itself to. Never sympy, where `E` and `I` are constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from relift.grading.base import Judgement, Submission
from relift.grading.extract import last_box
from relift.schema import Finish, Verdict


def judge(submission: Submission) -> Judgement:
    content = last_box(submission.text)
    if content is None:
        truncated = submission.finish == Finish.length
        return Judgement(Verdict.wrong, "none.truncated" if truncated else "none.no_answer")
    right = content.strip() == submission.gold.strip()
    return Judgement(Verdict.correct if right else Verdict.wrong, "box.choice", content.strip())


class ChoiceScorer:
    """Reads letters in this process."""

    name = "choice"

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        return [judge(s) for s in submissions]

    def describe(self) -> dict[str, object]:
        return {"name": self.name, "version": 1}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None
