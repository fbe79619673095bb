"""Define what an importer hands over: answers by step and origin, and what is known of the run they are of.

An importer is a Source: it says what it read, and gives its answers as often as they are asked for. Everything that
a source does not tell stays None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from relift.data.prompt_texts import bare_problem
from relift.schema import Finish, Origin, Question, RunKind, question_id_of


@dataclass(frozen=True, kw_only=True)
class ImportedAnswer:
    """One answer to one question, as its source tells of it.

    `question.answer` is "" where no gold is told. `score`: what the source's own grader or reward gave; `score_is`:
    whether it says correct, None where it is no verdict. `reward`: what training saw. `prompt_tokens`, `n_tokens`:
    lengths. `opened`: the prompt opened the thoughts.
    """

    question: Question
    text: str
    finish: Finish = Finish.unknown
    score_is: bool | None = None
    reward: float | None = None
    advantage: float | None = None
    n_tokens: int | None = None
    prompt_tokens: int | None = None
    opened: bool = False


@dataclass(frozen=True)
class Batch:
    """All answers of one step and origin. `benchmark`: the name of their benchmark, where there are several."""

    step: int
    origin: Origin
    answers: Sequence[ImportedAnswer]
    benchmark: str = ""


@dataclass(frozen=True, kw_only=True)
class About:
    """Say what a source is. `project`: whose; `model`: its name; `sampling`: its settings; `versions`: of the project.

    `lacks`: what it does not tell beyond what the answers show, each with what is weaker for it.
    """

    project: str
    kind: RunKind
    model: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    recipe: str | None = None
    lacks: tuple[str, ...] = ()


class Source(Protocol):
    """Reads one run or evaluation of another project."""

    def about(self) -> About:
        """Say what it is. Asked after the last batch."""
        ...

    def batches(self) -> Iterator[Batch]:
        """Give all answers, steps never falling; a training run's answers of one step and origin as one batch.

        Raises InputError that names file and row.
        """
        ...


@dataclass(frozen=True)
class Options:
    """Hold what a user may add to a source that does not tell it.

    `golds`: gold answers by question_id; `reward`: the column whose value is the verdict; `correct_from`: the value
    from which it says correct; `instructions`: text to cut off prompts; `kind`: of all gold answers; `second`: another
    folder of the source's layout (verl's validation).
    """

    golds: Mapping[str, Question] = field(default_factory=dict)
    reward: str | None = None
    correct_from: float = 1.0
    instructions: tuple[str, ...] = ()
    kind: str = "math"
    second: Path | None = None

    def question(self, problem: str, gold: str | None, *, source: str, split: str = "") -> Question:
        """Make the question of a prompt: known ones as they are known, others with the gold that is told, or none."""
        text = bare_problem(problem, self.instructions)
        question_id = question_id_of(text)
        known = self.golds.get(question_id)
        if known is not None:
            return known
        return Question(question_id, text, gold or "", self.kind, source=source, split=split)

    def verdict_of(self, value: Any) -> bool | None:
        """Read a score as a verdict: True from `correct_from` on; None where there is none."""
        if isinstance(value, bool):
            return value
        if not isinstance(value, int | float) or value != value:
            return None
        return value >= self.correct_from
