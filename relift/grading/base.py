"""Define a scorer: it compares answers with gold answers and says correct, wrong or undecided, and by which rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from relift.schema import Finish, Verdict

CUT = (Finish.length, Finish.refused)  # the model did not end its text


@dataclass(frozen=True)
class Submission:
    """One answer to be graded: the gold answer, the whole text of the response, and why it ended.

    `options` are the texts of a multiple-choice question in the order shown, () where unknown. `opened`: the prompt
    ended with an opening tag of thoughts, so the text begins inside them.
    """

    gold: str
    text: str
    finish: Finish = Finish.stop
    kind: str = "exact"  # which scorer reads the answer: exact, math, choice
    options: tuple[str, ...] = ()
    opened: bool = False


@dataclass(frozen=True)
class Judgement:
    """The verdict, the rule that decided (WHERE.RULE, e.g. box.number, none.no_answer), the normalised answer."""

    verdict: Verdict
    rule: str
    answer: str | None = None


def no_answer_rule(finish: Finish, *, ended: str) -> str:
    """Name the rule of a text without a final answer, by why it ended; `ended`: the rule where the model ended it."""
    return {Finish.length: "none.truncated", Finish.refused: "none.refused"}.get(finish, ended)


class Scorer(Protocol):
    """Judges in order. A context manager: what it started (worker processes) ends with it, or with `close`.

    A scorer may be entered again after it was closed.
    """

    name: str

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]: ...

    def describe(self) -> dict[str, object]:
        """Name and versions of everything that a verdict depends on; goes to run.json."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
