"""Run `relift data prepare`: a published data set in, a file of questions out, and counts of all that was left out.

Rows are read, judged and written in batches, so memory does not grow with the worked solutions.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal

from relift.benchmarks.load import load_benchmark
from relift.benchmarks.table import BENCHMARKS
from relift.data.files import RowTable
from relift.data.layouts import COLUMNS, LAYOUTS, Draft, Reading
from relift.data.overlaps import SHARE, Benchmarks, Seen
from relift.data.question_writer import question_writer
from relift.data.questions import read_questions
from relift.data.stream import source_files, stream_rows
from relift.errors import InputError
from relift.grading.damage import repaired as escapes_repaired
from relift.grading.gold_check import GoldReader, unreadable_golds
from relift.schema import Question, question_id_of
from relift.suggest import hint

BATCH = 512  # rows judged together
PHRASE = "shares 13 words in a row with a benchmark and is another question: kept"

Handling = Literal["drop", "keep"]


@dataclass(frozen=True)
class Settings:
    """Hold what a user may choose.

    `near`, `unreadable`: what becomes of near-duplicates and of golds that no rule reads. `per_question`: most worked
    solutions of one question; None: all.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    instructions: tuple[str, ...] = ()
    benchmarks: Path | None = None
    near: Handling = "drop"
    unreadable: Handling = "drop"
    per_question: int | None = None
    dropped: Path | None = None


@dataclass
class Counts:
    """Count rows and what became of them. `dropped`: rows by reason; `solutions_left_out`: worked solutions by reason;
    `repairs`: texts that were mended; `notes`: rows that were kept and about which something is to be said."""

    rows: int = 0
    questions: int = 0
    with_solution: int = 0
    solutions: int = 0
    unreadable_golds: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    solutions_left_out: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    benchmarks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Read:
    """A row that was read: where it stands, its draft, why it is dropped (None: it is not).

    `is_other`: the row has another layout.
    """

    where: str
    draft: Draft
    reason: str | None = None
    is_other: bool = False


def prepare(
    layout: str,
    source: str,
    out: Path,
    *,
    settings: Settings,
    grader: GoldReader,
    tell: Callable[[str], None] = lambda line: None,
) -> Counts:
    """Write the questions of a source to `out` (.jsonl or .parquet), whole or not at all.

    Raises InputError, with nothing written: an unknown layout or column, a source or benchmark that cannot be read, an
    `out` that is there, no question left.
    """
    _require(layout, source, out, settings)
    reading = Reading(settings.columns, settings.instructions)
    counts = Counts()
    benchmarks = Benchmarks(local_benchmarks(settings.benchmarks) if settings.benchmarks else {})
    counts.benchmarks = benchmarks.sizes
    first_fault: str | None = None
    n_other = 0
    seen = Seen()
    rows = stream_rows(source)
    with question_writer(out, rejected=settings.dropped) as writer:
        while batch := list(islice(rows, BATCH)):
            counts.rows += len(batch)
            for read in _judged(_drafts(batch, layout, reading, counts), grader, settings, counts):
                reason, read = _kept(read, seen, benchmarks, settings, counts)
                if reason is not None:
                    counts.dropped[reason] += 1
                    n_other += read.is_other
                    first_fault = first_fault or f"{read.where}: {reason}"
                    writer.reject(read.where, reason, read.draft.problem)
                    continue
                counts.questions += 1
                counts.with_solution += bool(read.draft.demonstrations)
                counts.solutions += len(read.draft.demonstrations)
                writer.write(_row(read.draft))
            tell(f"{counts.rows:,} rows, {counts.questions:,} questions")
        if not counts.questions:
            other = _other_layout(source, layout, reading) if n_other == counts.rows else ""
            said = first_fault or f"{source}: it holds no rows"
            raise InputError(f"{said}; no question is left of {counts.rows:,} rows{other}")
        writer.finish()
    return counts


def _require(layout: str, source: str, out: Path, settings: Settings) -> None:
    """Refuse what can be seen to be wrong before the first row is read."""
    if layout not in LAYOUTS:
        raise InputError(f"no layout {layout!r}{hint(layout, LAYOUTS)}; known: {', '.join(LAYOUTS)}")
    odd = sorted(set(settings.columns) - set(COLUMNS))
    if odd:
        raise InputError(f"--column: no column {odd[0]!r}{hint(odd[0], COLUMNS)}; known: {', '.join(COLUMNS)}")
    if settings.columns and layout != "jsonl":
        raise InputError(f"--column: the layout {layout} knows its columns; name them with the layout jsonl")
    if not source.startswith("hf:"):
        files = {path.resolve() for path in source_files(Path(source))}
        for path in (out, settings.dropped):
            if path is not None and path.resolve() in files:
                raise InputError(f"{path}: is the source itself: choose another name")


def _drafts(
    batch: Sequence[tuple[str, Mapping[str, Any]]], layout: str, reading: Reading, counts: Counts
) -> Iterator[_Read]:
    """Read rows by their layout; what a row lacks is its reason to be dropped."""
    for where, values in batch:
        try:
            draft = LAYOUTS[layout](values, reading)
        except ValueError as error:
            yield _Read(where, Draft("", ""), str(error), is_other=True)
            continue
        draft = _mended(draft, counts)
        reason = draft.refused
        if not draft.problem:
            reason = "the question is empty"
        elif reason is None and not draft.answer:
            reason = "the gold answer is empty"
        elif reason is None and draft.options and draft.answer not in ascii_uppercase[: len(draft.options)]:
            reason = "the gold answer is no option's letter"
        yield _Read(where, draft, reason)


def _mended(draft: Draft, counts: Counts) -> Draft:
    """Rid the texts of a draft of what editors, downloads and lost backslashes left in them; each repair is counted."""
    table = RowTable("", {}, repairs=counts.repairs)

    def mended(text: str) -> str:
        whole = escapes_repaired(text)  # first: the CR of a damaged \right is no line's end
        if whole != text:
            counts.repairs["damaged escapes"] += 1
        return table.repaired(whole)

    return replace(
        draft,
        problem=mended(draft.problem).strip(),
        answer=mended(draft.answer).strip(),
        demonstrations=tuple(mended(text) for text in draft.demonstrations),
        options=tuple(mended(text) for text in draft.options),
    )


def _judged(reads: Iterator[_Read], grader: GoldReader, settings: Settings, counts: Counts) -> list[_Read]:
    """Mark the rows whose gold answer no rule can read."""
    batch = list(reads)
    asked = {
        str(number): read.draft for number, read in enumerate(batch) if read.reason is None and not read.draft.options
    }
    questions = [Question(number, draft.problem, draft.answer, "math") for number, draft in asked.items()]
    bad = {int(question.question_id): reason for question, reason in unreadable_golds(questions, grader)}
    counts.unreadable_golds += len(bad)
    if settings.unreadable == "keep":
        return batch
    return [
        replace(read, reason="no rule reads the gold answer") if number in bad else read
        for number, read in enumerate(batch)
    ]


def _kept(
    read: _Read, seen: Seen, benchmarks: Benchmarks, settings: Settings, counts: Counts
) -> tuple[str | None, _Read]:
    """Decide whether a row is kept, and which of its worked solutions; give the reason where it is not."""
    draft = read.draft
    if read.reason is not None:
        return read.reason, read
    overlap = benchmarks.overlap(draft.problem)
    if overlap is not None and overlap.share >= SHARE:
        return f"a question of the benchmark {overlap.benchmark}", read
    text = "\n".join((draft.problem, *draft.options))
    repeat = seen.find(text, draft.answer)
    if repeat is not None and (repeat.kind == "exact" or settings.near == "drop"):
        again = "the same question again" if repeat.kind == "exact" else "nearly the same question again"
        return again if repeat.same_gold else f"{again}, with another gold answer", read
    counts.notes[PHRASE] += overlap is not None
    seen.add(text, draft.answer, where=read.where)
    counts.solutions_left_out.update(draft.left_out)
    texts = list(dict.fromkeys(text for text in draft.demonstrations if text.strip()))
    counts.solutions_left_out["empty or twice"] += len(draft.demonstrations) - len(texts)
    if settings.per_question is not None:
        counts.solutions_left_out["beyond the number asked for"] += max(0, len(texts) - settings.per_question)
        texts = texts[: settings.per_question]
    return None, replace(read, draft=replace(draft, demonstrations=tuple(texts)))


def _row(draft: Draft) -> dict[str, Any]:
    """Make the row that relift.data.questions reads."""
    texts = draft.demonstrations
    row: dict[str, Any] = {"problem": draft.problem, "answer": draft.answer, "source": draft.source or None}
    row |= {"subject": draft.subject, "level": draft.level, "options": list(draft.options) or None}
    row["demonstration"] = list(texts) or None
    row["question_id"] = question_id_of(draft.problem, draft.options)
    return row


def _other_layout(source: str, layout: str, reading: Reading) -> str:
    """Say which layout the first row has; "" for none."""
    for _, values in stream_rows(source):
        for name, read in LAYOUTS.items():
            if name == layout:
                continue
            try:
                if read(values, reading).problem:
                    return f"; its first row has the layout {name}"
            except ValueError:
                continue
        break
    return ""


def local_benchmarks(place: Path) -> dict[str, list[str]]:
    """Read the problems of the benchmarks that lie in a folder (NAME.jsonl, NAME.parquet), or of one file, by name.

    A file that has no benchmark's name is read as a file of questions. Raises InputError where there is none.
    """
    files = source_files(place)
    found: dict[str, list[str]] = {}
    for path in files:
        known = BENCHMARKS.get(path.stem)
        if known is not None and known.hub is not None:
            questions: Sequence[Question] = load_benchmark(known, data=path, any_content=True).questions
        else:
            questions = read_questions(path, columns={"problem": ("problem", "question")}, repeats="any").questions
        found.setdefault(path.stem, []).extend(q.problem for q in questions)
    return found


def summary_lines(counts: Counts, *, source: str, out: Path) -> list[str]:
    """Say in lines what was read, written and left out."""
    lines = [f"{counts.rows:,} rows read: {source}"]
    if counts.benchmarks:
        names = ", ".join(f"{name} ({n:,})" for name, n in counts.benchmarks.items())
        lines.append(f"compared with the questions of {names}")
    else:
        lines.append("compared with no benchmark: give a folder of local copies with --benchmarks")
    for title, numbers in (
        ("rows dropped", counts.dropped),
        ("worked solutions not taken", counts.solutions_left_out),
        ("texts repaired", counts.repairs),
        ("noted", counts.notes),
    ):
        lines += [f"{title}: {n:,}  {reason}" for reason, n in numbers.most_common() if n]
    lines.append(f"gold answers that no rule reads: {counts.unreadable_golds:,}")
    lines.append(
        f"{counts.questions:,} questions, {counts.with_solution:,} with {counts.solutions:,} worked solutions: {out}"
    )
    return lines


def summary_json(counts: Counts, *, source: str, out: Path) -> str:
    """Write the counts as one JSON object."""
    numbers = {name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(counts).items()}
    return json.dumps({"source": source, "out": str(out), **numbers}, indent=2, ensure_ascii=False)
