"""Reading questions and demonstrations: jsonl, parquet or a data set of the hub; writing them as jsonl.

Our columns, each of which may have another name in the file (`columns`, ours -> theirs):
problem, answer              needed: text (a whole number may stand for an answer)
demonstration                a worked solution, a list of them, or null
answer_kind, source, split, subject, level    as in relift.schema.Question
question_id                  in a file of demonstrations, instead of `problem`

Everything that is wrong with the input is said at once, with row numbers, and nothing is guessed. What an editor or
a download does to a text (a byte-order mark, CRLF, NUL, lone surrogates) is repaired and counted.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from relift.errors import InputError, StoreError
from relift.schema import Demonstration, Question, demo_id_of, question_id_of

SHOWN_PROBLEMS = 20
NEEDED = ("problem", "answer")
OPTIONAL = ("answer_kind", "source", "split", "subject", "level")
COLUMNS = (*NEEDED, *OPTIONAL, "demonstration", "question_id")

_HUB = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)(?::(?P<config>[^/:]+))?/(?P<split>[\w.-]+)")

FinalAnswer = Callable[[str], str | None]  # relift.grading.extract.last_box, or one like it


@dataclass(frozen=True)
class QuestionSet:
    """What a file holds, in its order. `fingerprint`: number of questions and a hash of all contents in order.

    `repairs`: how many texts were repaired of what (bom, crlf, nul, surrogate).
    """

    questions: tuple[Question, ...]
    demonstrations: tuple[Demonstration, ...]
    fingerprint: str
    repairs: Mapping[str, int]

    @classmethod
    def empty(cls) -> QuestionSet:
        return cls((), (), fingerprint_of((), ()), {})


def fingerprint_of(questions: Sequence[Question], demonstrations: Sequence[Demonstration]) -> str:
    """`<number of questions>:<hash>`: equal for equal contents in equal order, whatever the file's format."""
    content = json.dumps([[astuple(q) for q in questions], [astuple(d) for d in demonstrations]])
    return f"{len(questions)}:{hashlib.blake2b(content.encode(), digest_size=16).hexdigest()}"


def read_questions(
    source: str | Path,
    *,
    demonstrations: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    final_answer: FinalAnswer | None = None,
) -> QuestionSet:
    """Read questions from `file.jsonl`, `file.parquet` or `hf:owner/name[:config]/split`.

    demonstrations: where they stand, if not in the questions' own rows; there a row names its question by `problem`
    or `question_id`.
    final_answer: finds the final answer of a demonstration. If given, demonstrations that are empty or have none are
    problems; else they are left to the door that all demonstrations pass before training.

    Raises one InputError that lists every problem with its row: no rows, missing columns (with the nearest name),
    empty or missing problem or answer, a wrong type, a line that is no JSON object, a question that occurs twice, a
    demonstration without its question.
    """
    # A mapped column must be there; but `demonstration` may be mapped for training and be absent from a probe file.
    mapped = [name for name in OPTIONAL if name in (columns or {})]
    tables = [_read(source, columns or {}, needed=[*NEEDED, *mapped])]
    questions, id_of_row = _questions(tables[0])
    if demonstrations is None:
        demos = _demonstrations(tables[0], id_of_row.get, final_answer)
    else:
        tables.append(_read(demonstrations, columns or {}, needed=["demonstration"]))
        demos = _demonstrations(tables[1], _question_namer(tables[1], set(id_of_row.values())), final_answer)
    _refuse(tables)
    repairs = Counter[str]()
    for each in tables:
        repairs.update(each.repairs)
    return QuestionSet(tuple(questions), tuple(demos), fingerprint_of(questions, demos), dict(sorted(repairs.items())))


def write_questions(path: Path, questions: Sequence[Question], demonstrations: Sequence[Demonstration]) -> None:
    """Write a jsonl file that `read_questions` reads back as the same questions and demonstrations, whole or not at
    all. Raises StoreError when it cannot be written."""
    texts: dict[str, list[str]] = {}
    for demonstration in demonstrations:
        texts.setdefault(demonstration.question_id, []).append(demonstration.text)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            for q in questions:
                row: dict[str, object] = {"problem": q.problem, "answer": q.answer}
                row |= {name: getattr(q, name) for name in OPTIONAL}
                own = texts.get(q.question_id, [])
                row["demonstration"] = own if len(own) > 1 else own[0] if own else None
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise StoreError(f"cannot write questions to {path}: {error.strerror}") from error


@dataclass
class _Table:
    """Rows as read, keyed by our column names, and what is wrong with them."""

    source: str
    columns: Mapping[str, str]  # ours -> theirs
    rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # (row number from 1, values)
    problems: list[tuple[int, str]] = field(default_factory=list)  # row 0: the file as a whole
    repairs: Counter[str] = field(default_factory=Counter)

    def readable_rows(self) -> list[tuple[int, dict[str, Any]]]:
        """The rows, or none if the file as a whole is wrong: then there is no point in judging them."""
        return [] if any(row == 0 for row, _ in self.problems) else self.rows

    def text(self, row: int, values: Mapping[str, Any], name: str, *, number: bool = False) -> str | None:
        """The repaired text of a cell; None when it is absent or null. A wrong type is noted, and gives None."""
        value = values.get(name)
        if number and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is not None and not isinstance(value, str):
            self.problems.append((row, f"{self.columns[name]} is of type {type(value).__name__}, not text"))
        return self.repaired(value) if isinstance(value, str) else None

    def repaired(self, text: str) -> str:
        """The text without what editors, downloads and broken exports leave in it; each repair is counted."""
        for name, pattern, replacement in _REPAIRS:
            text, n = pattern.subn(replacement, text)
            if n:
                self.repairs[name] += 1
        return text


_REPAIRS = (
    ("bom", re.compile("^\ufeff"), ""),
    ("crlf", re.compile("\r\n?"), "\n"),
    ("nul", re.compile("\0"), ""),
    ("surrogate", re.compile("[\ud800-\udfff]"), "\ufffd"),
)


def _read(source: str | Path, columns: Mapping[str, str], *, needed: Sequence[str]) -> _Table:
    """The rows of a source, with our names; a missing column is a problem of row 0."""
    odd = sorted(set(columns) - set(COLUMNS))
    if odd:
        raise InputError(
            f"data.columns: unknown column {odd[0]!r}{_nearest(odd[0], COLUMNS)}; known: {', '.join(COLUMNS)}"
        )
    table = _Table(str(source), {name: columns.get(name, name) for name in COLUMNS})
    match = _HUB.fullmatch(str(source))
    if match is not None:
        names, rows = _hub_rows(match["name"], match["config"], match["split"], source=str(source))
    elif str(source).startswith("hf:"):
        raise InputError(f"{source}: write a data set of the hub as hf:owner/name/split or hf:owner/name:config/split")
    elif Path(source).suffix == ".jsonl":
        names, rows = _jsonl_rows(Path(source), table)
    elif Path(source).suffix == ".parquet":
        names, rows = _parquet_rows(Path(source), set(table.columns.values()))
    else:
        raise InputError(f"{source}: questions are read from .jsonl, .parquet or hf:owner/name[:config]/split")
    table.rows = [(row, {ours: values.get(theirs) for ours, theirs in table.columns.items()}) for row, values in rows]
    if not table.rows:
        table.problems.append((0, "it holds no rows"))
    else:
        table.problems += [
            (0, f"it has no column {theirs!r}{_nearest(theirs, names)}")
            for ours, theirs in table.columns.items()
            if theirs not in names and ours in needed
        ]
    return table


Rows = tuple[list[str], list[tuple[int, Mapping[str, Any]]]]  # (their column names, (row number, values))


def _jsonl_rows(path: Path, table: _Table) -> Rows:
    names: dict[str, None] = {}
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for number, line in enumerate(_bytes(path).split(b"\n"), start=1):
        text = table.repaired(line.removesuffix(b"\r").decode("utf-8", "surrogateescape"))
        if not text.strip():
            continue
        try:
            value = json.loads(text, strict=False)  # not strict: a tab inside a text is no reason to refuse
        except (ValueError, RecursionError) as error:
            table.problems.append((number, f"no JSON: {str(error)[:80]}"))
            continue
        if isinstance(value, dict):
            names |= dict.fromkeys(value)
            rows.append((number, value))
        else:
            table.problems.append((number, f"a JSON object is needed, this is of type {type(value).__name__}"))
    return list(names), rows


def _parquet_rows(path: Path, wanted: set[str]) -> Rows:
    try:
        file = pq.ParquetFile(pa.BufferReader(_bytes(path)), page_checksum_verification=True)
        names = file.schema_arrow.names
        columns = {name: _values(column) for name in names if name in wanted for column in [file.read([name])[name]]}
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: no parquet file: {str(error).splitlines()[0]}") from None
    return names, [(i + 1, {name: c[i] for name, c in columns.items()}) for i in range(file.metadata.num_rows)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Python values of a column; bytes in a text that are no UTF-8 become lone surrogates, to be repaired."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.to_pylist()
    return [
        None if b is None else b.decode("utf-8", "surrogateescape") for b in column.cast(pa.large_binary()).to_pylist()
    ]


def _hub_rows(name: str, config: str | None, split: str, *, source: str) -> Rows:
    try:
        import datasets
    except ImportError:
        raise InputError(f"{source}: reading from the hub needs the extra: pip install 'relift[train]'") from None
    try:
        data = datasets.load_dataset(name, config, split=split)
    except (OSError, ValueError) as error:  # not there, gated, no network; unknown configuration or split
        raise InputError(f"{source}: {(str(error).splitlines() or [type(error).__name__])[0]}") from None
    return list(data.column_names), [(i, values) for i, values in enumerate(data, start=1)]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _questions(table: _Table) -> tuple[list[Question], dict[int, str]]:
    """The questions, and the question_id of each row that holds one."""
    questions: list[Question] = []
    row_of_id: dict[str, int] = {}
    for row, values in table.readable_rows():
        before = len(table.problems)
        problem = table.text(row, values, "problem")
        answer = table.text(row, values, "answer", number=True)
        more: dict[str, Any] = {name: table.text(row, values, name, number=name == "level") for name in OPTIONAL}
        for name, text in (("problem", problem), ("answer", answer)):
            if len(table.problems) == before and not (text or "").strip():
                table.problems.append((row, f"{table.columns[name]} is {'missing' if text is None else 'empty'}"))
        if len(table.problems) > before or problem is None or answer is None:
            continue
        question_id = question_id_of(problem)
        if question_id in row_of_id:
            table.problems.append((row, f"the same question as in row {row_of_id[question_id]}"))
            continue
        row_of_id[question_id] = row
        questions.append(Question(question_id, problem, answer, **{k: v for k, v in more.items() if v is not None}))
    return questions, {row: question_id for question_id, row in row_of_id.items()}


def _demonstrations(
    table: _Table, question_of: Callable[[int], str | None], final_answer: FinalAnswer | None
) -> list[Demonstration]:
    """The demonstrations of the rows whose question is known; `question_of` gives its id by row."""
    demonstrations: list[Demonstration] = []
    for row, values in table.readable_rows():
        question_id = question_of(row)
        if question_id is None:
            continue
        value = values.get("demonstration")
        for one in value if isinstance(value, list) else [value]:
            text = table.text(row, {"demonstration": one}, "demonstration")
            if text is None:
                continue
            if final_answer is not None and not text.strip():
                table.problems.append((row, "an empty demonstration"))
            elif final_answer is not None and final_answer(text) is None:
                table.problems.append((row, "a demonstration without a final answer"))
            demonstrations.append(Demonstration(demo_id_of(question_id, text), question_id, text))
    return demonstrations


def _question_namer(table: _Table, known: Collection[str]) -> Callable[[int], str | None]:
    """For a file of demonstrations: the question a row names by problem or question_id, if it was read."""
    rows = dict(table.readable_rows())

    def question_of(row: int) -> str | None:
        problem = table.text(row, rows[row], "problem")
        question_id = table.text(row, rows[row], "question_id") if problem is None else question_id_of(problem)
        if question_id not in known:
            table.problems.append((row, "a demonstration of no question that was read"))
            return None
        if rows[row].get("demonstration") is None:
            table.problems.append((row, f"{table.columns['demonstration']} is missing"))
        return question_id

    return question_of


def _refuse(tables: Iterable[_Table]) -> None:
    """Raise one InputError for all problems of all tables."""
    found = [(t.source, row, text) for t in tables for row, text in sorted(t.problems, key=lambda p: p[0])]
    if not found:
        return
    shown, last = [], ""
    for source, row, text in found[:SHOWN_PROBLEMS]:
        shown.append(f"{'' if source == last else source + ': '}{f'row {row}: ' if row else ''}{text}")
        last = source
    left = len(found) - len(shown)
    total = f" ({len(found)} problems)" if len(found) > 1 else ""
    raise InputError("; ".join(shown) + (f"; and {left} more" if left else "") + total)


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; nearest: {near[0]!r}" if near else ""
