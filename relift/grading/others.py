"""Graders that are not ours, as scorers: math-verify as it comes, its older rules, and the rules of papers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Self

from relift.grading import caps
from relift.grading.base import Judgement, Submission
from relift.grading.extract import THINKING_TAGS, TagPairs, find_answer, last_box, without_thoughts
from relift.grading.math import formula, library_versions
from relift.grading.papers import RULES
from relift.grading.pool import Outcome, Pair, Pool
from relift.schema import Finish, Verdict

_VERDICTS = {"correct": Verdict.correct, "wrong": Verdict.wrong, "undecided": Verdict.undecided}
_TOO_LARGE = Outcome("undecided", "too_large")
_LAST_NUMBER = re.compile(r"-?\d++(?:[.,]\d++)*+", re.ASCII)
_PERCENT = re.compile(r"\\?%\Z")


class NaiveScorer:
    """Judge by math-verify as it comes, on the whole text behind the thoughts; in workers, so that it ends.

    Subclasses say what of the text is compared, and how.
    """

    name = "math-verify"
    rule = "sympy"  # the name of the rule that decides, behind `text.`
    mode = "naive"  # of the workers, see worker.Library

    def __init__(self, *, workers: int = 1, limit_seconds: float = 2.0, tags: TagPairs = THINKING_TAGS) -> None:
        self._tags = tuple(tags)
        self._pool = Pool(workers=workers, limit_seconds=limit_seconds)

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        """Judge every submission, in order."""
        pairs = [self._pair(submission) for submission in submissions]
        asked = [p for p in dict.fromkeys(pairs) if p is not None and len(p.answers[0]) <= caps.MAX_TEXT_CHARACTERS]
        outcomes: dict[Pair | None, Outcome] = dict(zip(asked, self._pool.judge(asked), strict=True))
        outcomes[None] = Outcome("wrong", "no_answer")
        return [self._judgement(outcomes.get(pair, _TOO_LARGE)) for pair in pairs]

    def _pair(self, submission: Submission) -> Pair | None:
        """Make what the workers compare; None where this grader finds no answer."""
        text = without_thoughts(submission.text, tags=self._tags, opened=submission.opened)
        return Pair(formula(submission.gold), (text or "",), self.mode)

    def _judgement(self, outcome: Outcome) -> Judgement:
        return Judgement(_VERDICTS[outcome.verdict], f"text.{outcome.reason or self.rule}")

    def prepare(self, golds: Iterable[str]) -> None:
        """Start the workers and let them read the golds; returns at once."""
        self._pool.prepare([formula(gold) for gold in dict.fromkeys(golds)])

    def describe(self) -> dict[str, object]:
        """Name what the verdicts depend on, for run.json."""
        return {"name": self.name, "limit_seconds": self._pool.limit_seconds, **library_versions()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.close()


class LastBoxScorer(NaiveScorer):
    """Judge by the rules that math-verify had at 0.6.0, with the comparison of the version installed.

    The last box is the answer and boxes are never merged; p% is p/100 and nothing else.
    """

    name = "math-verify-0.6"

    def _pair(self, submission: Submission) -> Pair | None:
        text = without_thoughts(submission.text, tags=self._tags, opened=submission.opened) or ""
        box = last_box(text)
        answer = text if box is None else formula(_hundredth(box))
        return Pair(formula(_hundredth(submission.gold)), (answer,), self.mode)


def _hundredth(text: str) -> str:
    text = text.strip().strip("$")
    percent = _PERCENT.search(text)
    return rf"\frac{{{text[: percent.start()]}}}{{100}}" if percent else text


class PaperScorer(NaiveScorer):
    """Judge by the equality rules of a published evaluation (relift.grading.papers)."""

    def __init__(
        self, name: str, *, workers: int = 1, limit_seconds: float = 2.0, tags: TagPairs = THINKING_TAGS
    ) -> None:
        super().__init__(workers=workers, limit_seconds=limit_seconds, tags=tags)
        if name not in RULES:
            raise KeyError(name)
        self.name = self.rule = self.mode = name

    def _pair(self, submission: Submission) -> Pair | None:
        rest = without_thoughts(submission.text, tags=self._tags, opened=submission.opened)
        answer = self._found(rest) if rest is not None else None
        gold = submission.gold.strip().strip("$")
        return None if answer is None else Pair(gold, (answer,), self.mode)

    def _found(self, text: str) -> str | None:
        """Find the answer: OAT's rules ask for a box, PRIME's take an answer line, Qwen's also the last number."""
        if self.name == "oat":
            return last_box(text)
        found = find_answer(text, finish=Finish.stop, tags=())
        if found.content is not None and found.where != "whole":
            return found.content
        if self.name == "qwen":
            numbers = _LAST_NUMBER.findall(text[-caps.MAX_ANSWER_CHARACTERS :])
            return numbers[-1] if numbers else None
        return None
