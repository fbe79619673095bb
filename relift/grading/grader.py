"""The grader: one object for every kind of answer. Whatever a scorer does, undecided is never wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

from relift.grading.base import Judgement, Scorer, Submission
from relift.grading.extract import THINKING_TAGS, TagPairs
from relift.grading.math import MathScorer
from relift.grading.others import NaiveScorer
from relift.grading.scorers import GRADERS, SCORERS, make_scorer, require_grader, require_kind
from relift.schema import Verdict

LIMIT_SECONDS = 2.0  # of one answer in a worker


def default_workers() -> int:
    """Worker processes when none are asked for: one for each core this process may use, at most 4."""
    return max(1, min(len(os.sched_getaffinity(0)), 4))


class Grader:
    """Grades answers of every kind, in order; never raises for what a model wrote or a scorer did.

    `kind`: what `grade` takes its pairs for. `grader`, `second`: names of relift.grading.GRADERS, who grades the kind
    math and whom `agrees` asks. `workers` (None: one for each core, at most 4) processes of theirs take at most
    `limit_seconds` for one answer; they start with the first answer that needs them, or with `prepare`, and end with
    the `with` block. `tags`: opening and closing marks of thoughts. `warn`
    takes a line when a scorer fails as a whole. `scorers` by kind replace those of relift.grading.SCORERS.
    """

    name = "relift"

    def __init__(
        self,
        *,
        kind: str = "math",
        grader: str = "relift",
        second: str | None = None,
        workers: int | None = None,
        limit_seconds: float = LIMIT_SECONDS,
        tags: TagPairs = THINKING_TAGS,
        warn: Callable[[str], None] = lambda line: None,
        scorers: Mapping[str, Scorer] | None = None,
    ) -> None:
        require_grader(grader)
        if not scorers:
            require_kind(kind)
        self.kind = kind
        self.grader = grader
        self.warn = warn
        self._workers = default_workers() if workers is None else workers
        self._limit_seconds = limit_seconds
        self._tags = tags
        self._scorers: dict[str, Scorer] = dict(scorers or {})
        self._second: Scorer | None = None
        if second is not None:
            require_grader(second)
            self._second = GRADERS[second](workers=self._workers, limit_seconds=limit_seconds, tags=tags)

    def grade(self, pairs: Iterable[tuple[str, str]]) -> list[Verdict]:
        """The verdict on each (gold, answer): the answer is the whole text of a finished response."""
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

    def agrees(self, submissions: Sequence[Submission], judgements: Sequence[Judgement]) -> list[bool | None]:
        """Whether the second grader gives the same verdict (`attempts.grader_agrees`).

        None without a second grader, for kinds other than math, and where one of the two is undecided.
        """
        asked = [place for place, s in enumerate(submissions) if s.kind == "math" and self._second is not None]
        agreed: list[bool | None] = [None] * len(submissions)
        if self._second is None or not asked:
            return agreed
        seconds = self._judged(self._second, [submissions[place] for place in asked])
        for place, other in zip(asked, seconds, strict=True):
            verdicts = {judgements[place].verdict, other.verdict}
            agreed[place] = None if Verdict.undecided in verdicts else len(verdicts) == 1
        return agreed

    def prepare(self, golds: Iterable[str]) -> None:
        """Start the workers and let them read these gold answers of kind math; returns at once."""
        golds = tuple(golds)
        for scorer in (self._scorer("math"), self._second):
            if isinstance(scorer, (MathScorer, NaiveScorer)):
                scorer.prepare(golds)

    def unreadable_golds(self, golds: Sequence[str]) -> list[bool]:
        """Say of each gold answer of kind math whether nothing but the same text can equal it."""
        scorer = self._scorer("math")
        return scorer.unreadable(golds) if isinstance(scorer, MathScorer) else [False] * len(golds)

    def describe(self) -> dict[str, object]:
        """By kind (and "second"): name and versions of what its verdicts depend on; goes to run.json."""
        kinds = sorted({*SCORERS, *self._scorers})
        described: dict[str, object] = {kind: self._scorer(kind).describe() for kind in kinds}
        return described | ({} if self._second is None else {"second": self._second.describe()})

    def close(self) -> None:
        """End the workers. They start again when they are needed again."""
        for scorer in (*self._scorers.values(), self._second):
            if scorer is not None:
                scorer.__exit__(None, None, None)

    def _scorer(self, kind: str) -> Scorer:
        if kind not in self._scorers:
            self._scorers[kind] = make_scorer(
                kind, grader=self.grader, workers=self._workers, limit_seconds=self._limit_seconds, tags=self._tags
            )
        return self._scorers[kind]

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
