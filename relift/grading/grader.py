"""The grader: one object for every kind of answer. Whatever a scorer does, undecided is never wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

from relift.grading.base import Judgement, Scorer, Submission
from relift.grading.scorers import SCORERS, make_scorer
from relift.schema import Verdict

LIMIT_SECONDS = 2.0  # of one answer in a worker


def default_workers() -> int:
    """Worker processes when none are asked for: one for each core this process may use, at most 4."""
    return max(1, min(len(os.sched_getaffinity(0)), 4))


class Grader:
    """Grades answers of every kind, in order; never raises for what a model wrote or a scorer did.

    `kind` is what `grade` takes its pairs for. `workers` and `limit_seconds` are the math scorer's: processes (None:
    one for each core, at most 4) and the time one answer may take there. Workers start with the first answer that
    needs them and end with the `with` block. `golds`, or `prepare`, lets them read gold answers beforehand. `warn`
    takes a line when a scorer fails as a whole. `scorers` by kind replace those of relift.grading.SCORERS.
    """

    name = "relift"

    def __init__(
        self,
        *,
        kind: str = "math",
        workers: int | None = None,
        limit_seconds: float = LIMIT_SECONDS,
        golds: Iterable[str] = (),
        warn: Callable[[str], None] = lambda line: None,
        scorers: Mapping[str, Scorer] | None = None,
    ) -> None:
        self.kind = kind
        self.warn = warn
        self._workers = default_workers() if workers is None else workers
        self._limit_seconds = limit_seconds
        self._scorers: dict[str, Scorer] = dict(scorers or {})
        golds = tuple(golds)
        if golds:
            self.prepare(golds)

    def grade(self, pairs: Iterable[tuple[str, str]]) -> list[Verdict]:
        """The verdict on each (gold, answer): the answer is the whole text of a response of this grader's kind."""
        return [j.verdict for j in self.judge([Submission(gold, text, kind=self.kind) for gold, text in pairs])]

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        """Every answer by the scorer of its kind, in the order given.

        Raises InputError for a kind that no scorer reads, and nothing else: a scorer that raises, or that gives
        another number of verdicts, leaves all its answers undecided (none.crash), with a line to `warn`.
        """
        places: dict[str, list[int]] = {}
        for place, submission in enumerate(submissions):
            places.setdefault(submission.kind, []).append(place)
        judged: list[Judgement | None] = [None] * len(submissions)
        for kind, mine in places.items():
            judgements = self._judged(self._scorer(kind), [submissions[place] for place in mine])
            for place, judgement in zip(mine, judgements, strict=True):
                judged[place] = judgement
        return [judgement for judgement in judged if judgement is not None]

    def _judged(self, scorer: Scorer, submissions: list[Submission]) -> list[Judgement]:
        try:
            judgements = scorer.judge(submissions)
            failure = None if len(judgements) == len(submissions) else f"{len(judgements)} verdicts"
        except Exception as error:  # the one blanket catch: whatever a scorer does, undecided is never wrong
            failure = repr(error)
        if failure is None:
            return judgements
        self.warn(f"grader {scorer.name} failed on {len(submissions)} answers, which stay undecided: {failure}")
        return [Judgement(Verdict.undecided, "none.crash")] * len(submissions)

    def _scorer(self, kind: str) -> Scorer:
        if kind not in self._scorers:
            self._scorers[kind] = make_scorer(kind, workers=self._workers, limit_seconds=self._limit_seconds)
        return self._scorers[kind]

    def prepare(self, golds: Iterable[str]) -> None:
        """Start the workers and let them read these gold answers of kind math meanwhile; returns at once."""

    def describe(self) -> dict[str, object]:
        """By kind: name and versions of what its verdicts depend on; goes to run.json."""
        return {kind: self._scorer(kind).describe() for kind in sorted({*SCORERS, *self._scorers})}

    def close(self) -> None:
        """End the workers."""
        for scorer in self._scorers.values():
            scorer.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
