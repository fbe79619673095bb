"""Fill a destination of a run (origin, draw, step): find what is missing there, ask for it, grade it, commit it.

Evaluations, probes, top-ups and probes into a training run all go through here; they differ in who opens the folder
and in what the record says of it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from rich.console import Console

from relift.engines.texts import Answerer
from relift.errors import ReliftError, ResumeRefused
from relift.evaluate.collect import DEFAULT_COMMITS, Commits, collect
from relift.evaluate.opened_thoughts import OpenedThoughts
from relift.evaluate.parts import COMMITTED, PartWriter, committed_attempts, next_part
from relift.evaluate.plan import Destination, Plan, PlannedAttempt, PlannedQuestion, planned_attempts
from relift.evaluate.progress import display, duration
from relift.evaluate.tally import Tally
from relift.grading import Grader
from relift.schema import DemoEvent, Origin
from relift.store import RunReader, RunWriter
from relift.store.rows import question_row
from relift.terminal import signals_raise, warn_on


@dataclass(frozen=True)
class Work:
    """Hold what fills a destination: answerer, grader, commit times and the console."""

    answerer: Answerer
    grader: Grader
    console: Console
    commits: Commits = DEFAULT_COMMITS
    loading: str | None = None  # said before the engine is entered, where that takes a while


@dataclass(frozen=True)
class Assignment:
    """Describe what is wanted at a destination.

    `done`: attempts that are there (relift.evaluate.parts.COMMITTED); `attempts`: those that are missing; `new`:
    question_ids that the run does not have yet.
    """

    destination: Destination
    plan: Plan
    questions: tuple[PlannedQuestion, ...]
    new: tuple[str, ...]
    done: pd.DataFrame
    attempts: tuple[PlannedAttempt, ...]

    @property
    def ix_of(self) -> dict[str, int]:
        """question_ix by question_id."""
        return {q.question.question_id: q.question_ix for q in self.questions}


def assign(reader: RunReader | None, destination: Destination, plan: Plan, *, samples: Mapping[str, int]) -> Assignment:
    """Find what is missing at the destination; `reader` None: the run is not there yet. Writes nothing.

    `samples`: attempts wanted at each question, by question_id. Questions of the run keep their question_ix, new ones
    come after them. Raises ResumeRefused where the run has another gold answer to a question.
    """
    known: dict[str, int] = {}
    done = pd.DataFrame(columns=list(COMMITTED))
    if reader is not None:
        table = reader.read("questions", columns=["question_id", "question_ix", "answer"])
        _require_same_golds(reader, plan, dict(zip(table["question_id"], table["answer"], strict=True)))
        known = {q: int(ix) for q, ix in zip(table["question_id"], table["question_ix"], strict=True)}
        done = committed_attempts(reader, destination)
    new = tuple(q for q in plan.questions if q not in known)
    ix_of = known | {q: len(known) + i for i, q in enumerate(new)}
    questions = tuple(
        PlannedQuestion(question, ix_of[q], plan.prompts[q], samples[q]) for q, question in plan.questions.items()
    )
    pairs = frozenset(zip(done["question_ix"].tolist(), done["attempt"].tolist(), strict=True))
    attempts = planned_attempts(questions, destination, seed=plan.seed, done=pairs)
    return Assignment(destination, plan, questions, new, done, tuple(attempts))


def _require_same_golds(reader: RunReader, plan: Plan, golds: Mapping[str, str]) -> None:
    changed = [q for q, question in plan.questions.items() if golds.get(q, question.answer) != question.answer]
    if changed:
        old, new = golds[changed[0]], plan.questions[changed[0]].answer
        raise ResumeRefused(
            f"{reader.folder}: the gold answers of {len(changed)} questions are others there, first {old!r} there and "
            f"{new!r} here: choose another folder"
        )


def question_rows(assignment: Assignment, question_ids: Sequence[str]) -> pd.DataFrame:
    """Make rows of `questions`; source and split are those of the first benchmark that has the question."""
    plan, ix_of = assignment.plan, assignment.ix_of
    first: dict[str, str] = {}
    for task in plan.tasks:
        for q in task.question_ids:
            first.setdefault(q, task.loaded.benchmark.known_as)
    return pd.DataFrame(
        [
            question_row(
                plan.questions[q], ix_of[q], prompt_tokens=len(plan.prompts[q].token_ids), source=first.get(q, "")
            )
            for q in question_ids
        ]
    )


def add_questions(writer: RunWriter, assignment: Assignment) -> None:
    """Append the questions that the run does not have yet."""
    if assignment.new:
        rows = [writer.read_whole("questions"), question_rows(assignment, assignment.new)]
        writer.write_whole("questions", pd.concat(rows, ignore_index=True).astype(object))


def fill(writer: RunWriter, assignment: Assignment, work: Work, tally: Tally) -> None:
    """Ask for the missing attempts, if there are any, and commit them; `tally` counts the others already.

    The engine is entered only for that. Raises what relift.evaluate.collect.collect raises; a signal raises
    relift.terminal.Stopped.
    """
    attempts, destination = assignment.attempts, assignment.destination
    if not attempts:
        return
    golds = sorted({p.question.question.answer for p in attempts if p.question.question.answer_kind == "math"})
    if golds:  # else nobody needs the workers
        work.grader.prepare(golds)
    reader = RunReader(writer.folder)
    parts = PartWriter(
        writer,
        destination,
        next_part(reader, destination),
        samples={question.question_ix: question.samples for question in assignment.questions},
        exposures=exposures_at(reader, destination.step) if destination.origin is Origin.probe else ({}, {}, {}),
    )
    thoughts = _unseen_thoughts(writer, assignment)
    try:
        with signals_raise(), _entered(work), display(work.console, tally) as show:
            collect(
                attempts, answerer=work.answerer, sampling=assignment.plan.sampling, grader=work.grader, parts=parts,
                tally=tally, commits=work.commits, thoughts=thoughts, on_change=show,
            )  # fmt: skip
    finally:
        if thoughts is not None and thoughts.opened and not _records_opened(writer):
            _record_opened(writer, work)


@contextmanager
def _entered(work: Work) -> Iterator[None]:
    """Enter the engine, and say before and after that a model is loaded."""
    began = time.monotonic()
    if work.loading is not None:
        work.console.print(work.loading, soft_wrap=True, markup=False, highlight=False)
    with work.answerer:
        if work.loading is not None:
            seconds = time.monotonic() - began
            work.console.print(f"loaded in {duration(seconds)}", soft_wrap=True, markup=False, highlight=False)
        yield


def _unseen_thoughts(writer: RunWriter, assignment: Assignment) -> OpenedThoughts | None:
    """Watch the thoughts of answers to prompts that nobody saw here (they have no tokens); None: all were seen."""
    if any(planned.request.prompt.token_ids for planned in assignment.attempts):
        return None
    return OpenedThoughts(assignment.plan.protocol.thinking, opened=_records_opened(writer) or None)


def _record_opened(writer: RunWriter, work: Work) -> None:
    """Note that prompts open the thoughts, for later starts and for grading again."""
    warn_on(work.console)(
        "answers close thoughts that they did not open, so the server's template opens them: cut-off answers without "
        "a closing tag are thoughts, and have no final answer"
    )
    benchmarks = writer.run.benchmarks.items()
    with suppress(ReliftError):  # a store that fails has said so already
        writer.update_run(benchmarks={name: replace(entry, thoughts_opened=True) for name, entry in benchmarks})


def _records_opened(writer: RunWriter) -> bool:
    """Tell whether an earlier start found that prompts open the thoughts."""
    return any(entry.thoughts_opened for entry in writer.run.benchmarks.values())


def exposures_at(reader: RunReader, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count, by question_ix and up to this step, the steps whose RL update used an attempt at the question and the uses
    of its demonstrations, and say whether one waits in the buffer. All zero in a run that trained nothing."""
    n_questions = len(reader.read("questions", columns=["question_ix"]))
    rl = np.zeros(n_questions, dtype=np.int64)
    for _, rows in reader.iter_tables(
        "attempts", columns=["question_ix", "used_in_update"], origin=str(Origin.rollout), steps=range(step + 1)
    ):
        frame = rows.to_pandas()
        used = frame.loc[frame["used_in_update"].fillna(value=False).astype(bool), "question_ix"]
        rl[used.unique()] += 1
    events = reader.read("demo_events", steps=range(step + 1)).sort_values("event_ix")
    sft = np.zeros(n_questions, dtype=np.int64)
    waiting: Counter[tuple[str, int]] = Counter()
    for row in events.to_dict("records"):
        entry = (str(row["demo_id"]), int(row["question_ix"]))
        train = row["event"] == DemoEvent.train
        left = row["event"] == DemoEvent.evict or (train and pd.notna(row["age_steps"]))
        waiting[entry] += int(row["event"] == DemoEvent.enqueue) - int(left)
        sft[entry[1]] += int(train and pd.isna(row["reason"]))
    in_buffer = np.zeros(n_questions, dtype=bool)
    in_buffer[[question_ix for (_, question_ix), n in waiting.items() if n > 0]] = True
    return rl, sft, in_buffer
