"""Read questions and demonstrations from jsonl, parquet or a data set of the hub; write them as jsonl.

Our columns, each of which may have another name in the file (`columns`, ours -> theirs):
problem, answer              needed: text (a whole number may stand for an answer)
demonstration                a worked solution, a list of them, or null
answer_kind, source, split, subject, level    as in relift.schema.Question
options                      of a multiple-choice question: a list of texts; `answer` is then a letter
question_id                  in a file of demonstrations, instead of `problem`

Everything that is wrong with the input is said at once, with row numbers, and nothing is guessed. What an editor or
a download does to a text (a byte-order mark, CRLF, NUL, lone surrogates) is repaired and counted.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal

from relift.data.files import Columns, HubData, Reshape, RowTable, read_rows, refuse
from relift.errors import StoreError
from relift.schema import Demonstration, Question, demo_id_of, question_id_of

NEEDED = ("problem", "answer")
OPTIONAL = ("answer_kind", "source", "split", "subject", "level")
COLUMNS = (*NEEDED, *OPTIONAL, "options", "demonstration", "question_id")

KindOfGolds = Callable[[Sequence[str]], str]  # the kind of answers of rows that name none, from their gold answers
FinalAnswer = Callable[[str], str | None]  # relift.grading.extract.last_box, or one like it
Objection = Callable[[Question], str | None]  # what is wrong with a question, None if nothing


@dataclass(frozen=True)
class QuestionSet:
    """The contents of a file, in its order. `fingerprint`: number of questions and a hash of all contents in order.

    `repairs`: how many texts were repaired of what (bom, crlf, nul, surrogate, escape). `repeats`: how often each
    question stood there, where all stood equally often; `spare_rows`: rows that were left out as repeats. `revision`:
    the commit of a data set of the hub, where known. `row_of`: by question_id the first row of the file that holds the
    question, from 1.
    """

    questions: tuple[Question, ...]
    demonstrations: tuple[Demonstration, ...]
    fingerprint: str
    repairs: Mapping[str, int]
    repeats: int = 1
    revision: str | None = None
    row_of: Mapping[str, int] = field(default_factory=dict, compare=False)
    spare_rows: int = 0

    @property
    def notes(self) -> list[str]:
        """Say in sentences what was collapsed and repaired."""
        notes = []
        if self.repeats > 1:
            notes.append(f"each of its {len(self.questions)} questions stands there {self.repeats} times: taken once")
        elif self.spare_rows:
            notes.append(f"{self.spare_rows:,} rows repeat one of its {len(self.questions):,} questions: taken once")
        if self.repairs:
            notes.append(f"repaired {', '.join(f'{n} x {what}' for what, n in self.repairs.items())}")
        return notes

    @classmethod
    def empty(cls) -> QuestionSet:
        return cls((), (), fingerprint_of((), ()), {})


def fingerprint_of(questions: Sequence[Question], demonstrations: Sequence[Demonstration]) -> str:
    """`<number of questions>:<hash>`: equal for equal contents in equal order, whatever the file's format."""
    content = json.dumps([[astuple(q) for q in questions], [astuple(d) for d in demonstrations]])
    return f"{len(questions)}:{hashlib.blake2b(content.encode(), digest_size=16).hexdigest()}"


def read_questions(
    source: str | Path | HubData,
    *,
    demonstrations: str | Path | None = None,
    columns: Columns | None = None,
    answer_kind: KindOfGolds | None = None,
    final_answer: FinalAnswer | None = None,
    reshape: Reshape | None = None,
    objection: Objection | None = None,
    repeats: Literal["refuse", "equal", "any"] = "refuse",
    collapse_with: str = "",
) -> QuestionSet:
    """Read questions from `file.jsonl`, `file.parquet`, `hf:owner/name[:config]/split` or a HubData.

    demonstrations: where they stand, if not in the questions' own rows; there a row names its question by `problem`
    or `question_id`.
    answer_kind: says of which kind the answers are of rows without the column answer_kind and without options, from
    their gold answers; None: exact.
    final_answer: finds the final answer of a demonstration. If given, demonstrations that are empty or have none are
    problems; else they are left to the door that all demonstrations pass before training.
    reshape: for rows whose contents have another form than ours; objection: one more reason to refuse a question.
    repeats: "equal" takes a file in which every question stands equally often, always with the same answer; "any" one
    in which some stand several times, too. collapse_with: the setting that says "any", for the line that refuses.

    Raises one InputError that lists every problem with its row: no rows, missing columns (with the nearest name),
    empty or missing problem or answer, a wrong type, a letter that is no option's, a line that is no JSON object, a
    question that occurs twice, a demonstration without its question. HubFault if a data set of the hub cannot be had.
    """
    # A mapped column must be there; but `demonstration` may be mapped for training and be absent from a probe file,
    # and who gives several names leaves it open.
    mapped = [name for name in OPTIONAL if isinstance((columns or {}).get(name), str)]
    tables = [read_rows(source, known=COLUMNS, columns=columns or {}, needed=[*NEEDED, *mapped], reshape=reshape)]
    questions, id_of_row = _questions(tables[0], answer_kind, objection)
    times, spare = _repeats(tables[0], id_of_row, repeats=repeats, collapse_with=collapse_with)
    if demonstrations is None:
        demos = _demonstrations(tables[0], id_of_row.get, final_answer)
    else:
        tables.append(read_rows(demonstrations, known=COLUMNS, columns=columns or {}, needed=["demonstration"]))
        demos = _demonstrations(tables[1], _question_namer(tables[1], set(id_of_row.values())), final_answer)
    refuse(tables)
    repairs = Counter[str]()
    for each in tables:
        repairs.update(each.repairs)
    if spare:  # every copy of a row brings the same demonstrations
        demos = list({demo.demo_id: demo for demo in demos}.values())
    found, given = tuple(questions.values()), tuple(demos)
    mended = dict(sorted(repairs.items()))
    row_of = {question_id: row for row, question_id in reversed(id_of_row.items())}
    return QuestionSet(found, given, fingerprint_of(found, given), mended, times, tables[0].revision, row_of, spare)


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
                row |= {"options": q.options} if q.options else {}
                own = texts.get(q.question_id, [])
                row["demonstration"] = own if len(own) > 1 else own[0] if own else None
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise StoreError(f"cannot write questions to {path}: {error.strerror}") from error


def _questions(
    table: RowTable, answer_kind: KindOfGolds | None, objection: Objection | None
) -> tuple[dict[str, Question], dict[int, str]]:
    """List the questions by question_id in their order, and the question_id of each row that holds one."""
    questions: dict[str, Question] = {}
    id_of_row: dict[int, str] = {}
    row_of: dict[str, int] = {}
    for row, question in _with_kinds(table, answer_kind):
        reason = objection(question) if objection is not None else None
        if reason is not None:
            table.problems.append((row, reason))
        before = questions.setdefault(question.question_id, question)
        first = row_of.setdefault(question.question_id, row)
        if before.answer != question.answer:
            table.problems.append((row, f"another answer to the question of row {first}"))
        id_of_row[row] = question.question_id
    return questions, id_of_row


def _with_kinds(table: RowTable, answer_kind: KindOfGolds | None) -> list[tuple[int, Question]]:
    """List the questions with their rows; those whose row names no kind of answer have the kind of their golds."""
    found: list[tuple[int, Question]] = []
    unnamed: list[int] = []  # indices into found
    for row, values in table.readable_rows():
        question = _question(table, row, values)
        if question is None:
            continue
        if values.get("answer_kind") is None and not question.options:
            unnamed.append(len(found))
        found.append((row, question))
    if answer_kind is not None and unnamed:
        kind = answer_kind([found[i][1].answer for i in unnamed])
        for i in unnamed:
            row, question = found[i]
            found[i] = (row, replace(question, answer_kind=kind))
    return found


def _question(table: RowTable, row: int, values: Mapping[str, Any]) -> Question | None:
    """Read the question of a row; None, with the problems noted, if it is none."""
    before = len(table.problems)
    problem = table.text(row, values, "problem")
    answer = table.text(row, values, "answer", number=True)
    options = table.texts(row, values, "options")
    more: dict[str, Any] = {name: table.text(row, values, name, number=name == "level") for name in OPTIONAL}
    for name, text in (("problem", problem), ("answer", answer)):
        if len(table.problems) == before and not (text or "").strip():
            table.problems.append((row, f"{table.columns[name]} is {'missing' if text is None else 'empty'}"))
    if options and answer is not None:
        answer, letters = answer.strip(), ascii_uppercase[: len(options)]
        if answer not in set(letters):
            said = f"{table.columns['answer']} {answer[:20]!r} is no letter of {letters[0]} to {letters[-1]}"
            table.problems.append((row, said))
    if len(table.problems) > before or problem is None or answer is None:
        return None
    more = ({"answer_kind": "choice"} if options else {}) | {k: v for k, v in more.items() if v is not None}
    return Question(question_id_of(problem, options), problem, answer, **more, options=options)


def _repeats(table: RowTable, id_of_row: Mapping[int, str], *, repeats: str, collapse_with: str) -> tuple[int, int]:
    """Count how often every question stands in the table, and rows to leave out; repeats that are not wanted are one
    problem, however many there are."""
    counts = Counter(id_of_row.values())
    spare = len(id_of_row) - len(counts)
    if not spare:
        return 1, 0
    least, most = min(counts.values()), max(counts.values())
    if repeats == "any" or (repeats == "equal" and least == most):
        return least if least == most else 1, spare
    row_of: dict[str, int] = {}
    for row, question_id in id_of_row.items():
        first = row_of.setdefault(question_id, row)
        if first != row:
            times = f"{least} to {most} times" if least < most else f"each stands there {most} times"
            others = f", and {spare - 1:,} more rows repeat questions ({times})" if spare > 1 else ""
            mend = f"; to take each once: {collapse_with}" if collapse_with else ""
            table.problems.append((row, f"the same question as in row {first}{others}{mend}"))
            break
    return 1, 0


def _demonstrations(
    table: RowTable, question_of: Callable[[int], str | None], final_answer: FinalAnswer | None
) -> list[Demonstration]:
    """Read the demonstrations of the rows whose question is known; `question_of` gives its id by row."""
    demonstrations: list[Demonstration] = []
    for row, values in table.readable_rows():
        question_id = question_of(row)
        if question_id is None:
            continue
        value = values.get("demonstration")
        for cell in value if isinstance(value, list) else [value]:
            text = table.text(row, {"demonstration": cell}, "demonstration")
            if text is None:
                continue
            if final_answer is not None and not text.strip():
                table.problems.append((row, "an empty demonstration"))
            elif final_answer is not None and final_answer(text) is None:
                table.problems.append((row, "a demonstration without a final answer"))
            demonstrations.append(Demonstration(demo_id_of(question_id, text), question_id, text))
    return demonstrations


def _question_namer(table: RowTable, known: Collection[str]) -> Callable[[int], str | None]:
    """Make a function that finds the question which a row of demonstrations names by problem or question_id."""
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
