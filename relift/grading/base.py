"""What a grader is: it compares answers with gold answers and says correct, wrong or undecided, and by which rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from relift.schema import Finish, Verdict


@dataclass(frozen=True)
class Submission:
    """One answer to be graded: the gold answer, the whole text of the response, and why it ended."""

    gold: str
    text: str
    finish: Finish = Finish.stop


@dataclass(frozen=True)
class Judgement:
    """The verdict, the rule that decided (WHERE.RULE, e.g. box.number, none.no_answer), the normalised answer."""

    verdict: Verdict
    rule: str
    answer: str | None = None


class Grader(Protocol):
    """Grades in order; never raises for what a model wrote. A context manager: workers end with it."""

    name: str

    def grade(self, submissions: Sequence[Submission]) -> list[Judgement]: ...

    def describe(self) -> dict[str, object]:
        """Name and versions; goes to run.json."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
