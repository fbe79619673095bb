"""Load a benchmark from the hub by its revision, from local copies or from the embedded world, and check it.

A benchmark is the set of its (question, gold) pairs. `content_hash_of` is a hash of that set, whatever the copy's
format, columns, order of rows, or number of repeats: what is declared in the table must be found, or nothing is run.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from string import ascii_uppercase

from relift.arith.world import make_questions
from relift.benchmarks.benchmark import Benchmark, LoadedBenchmark
from relift.benchmarks.contents import comparable, differing_rows
from relift.benchmarks.table import BENCHMARKS, GROUPS
from relift.benchmarks.tasks import arith
from relift.data.files import HubData, HubFault
from relift.data.questions import QuestionSet, read_questions
from relift.errors import InputError
from relift.grading.golds import gold_problem, normalise_gold, solution_in
from relift.schema import Question

# Names that local copies may use beside the published ones.
ALIASES = {
    "problem": ("problem", "question"),
    "answer": ("answer",),
    "options": ("options",),
    "subject": ("subject",),
    "level": ("level",),
}


def find_benchmark(name: str) -> Benchmark:
    """Return the benchmark of this name. Raises InputError with the nearest names."""
    if name in BENCHMARKS:
        return BENCHMARKS[name]
    longer = [n for n in BENCHMARKS if name and n.startswith(name)]  # gpqa is gpqa_diamond
    near = list(dict.fromkeys([*longer, *difflib.get_close_matches(name, BENCHMARKS, n=2, cutoff=0.5)]))
    nearest = ", ".join(f"{n} ({BENCHMARKS[n].rows:,} questions)" for n in near[:3])
    raise InputError(f"no benchmark {name!r}{f'; nearest: {nearest}' if near else ''}. See: relift eval --list")


def find_benchmarks(names: Iterable[str]) -> list[Benchmark]:
    """Return the benchmarks of these names and groups (`GROUPS`), each once, in the order asked for."""
    asked = [member for name in names for member in GROUPS.get(name, (name,))]
    return [find_benchmark(name) for name in dict.fromkeys(asked)]


def load_benchmark(
    benchmark: Benchmark,
    *,
    data: Path | None = None,
    any_content: bool = False,
) -> LoadedBenchmark:
    """Load and check a benchmark.

    data: a local copy instead of the hub: a file, or a folder with NAME.jsonl, NAME.parquet or a folder NAME laid out
    like the data set on the hub. Columns may have the published names or ours (problem or question, answer, options).
    any_content: take questions that are not the declared ones, or not as many (`pinned` is then False).

    Raises InputError, one line: nothing there, gated, no network; rows that cannot be read, with their numbers; a
    wrong number of questions; other contents than declared.
    """
    if benchmark.hub is None:
        questions: Sequence[Question] = make_questions(benchmark.split or "", benchmark.rows, seed=arith.SEED)
        return _checked(benchmark, questions, origin="embedded", any_content=any_content)
    source = _source(benchmark, data)

    try:
        read = read_questions(
            source,
            columns=columns_of(benchmark),
            reshape=benchmark.layout(benchmark.columns),
            objection=partial(_objection, benchmark),
            repeats="equal",
        )
    except HubFault as fault:
        raise InputError(_fault_line(benchmark, fault)) from None
    except InputError as error:
        raise InputError(f"{benchmark.name}: {error}") from None
    loaded = _checked(
        benchmark,
        read.questions,
        origin=benchmark.hub if data is None else str(source.name if isinstance(source, HubData) else source),
        any_content=any_content,
        revision=read.revision if data is None else None,
        local=data is not None,
        row_of=read.row_of,
    )
    mended = (mend_gold(q, benchmark) for q in loaded.questions)
    shown = tuple(permuted(q) if benchmark.permute_options else q for q in mended)
    return replace(loaded, questions=shown, notes=tuple(_notes(benchmark, read)))


def columns_of(benchmark: Benchmark) -> dict[str, tuple[str, ...]]:
    """Map our columns to the names that are looked for, the published one first."""
    published = benchmark.columns
    return {
        ours: tuple(dict.fromkeys([*([published[ours]] if ours in published else []), *names]))
        for ours, names in ALIASES.items()
    }


def content_hash_of(questions: Sequence[Question]) -> str:
    """Hash the set of (question, gold) pairs, the golds as the layout gives them (16 bytes, hex).

    Whole numbers count as numbers (142.0, 0142, 142), because copies differ in that; other golds as text, NFC, white
    space folded. Independent of order, so that a copy in which the rows stand otherwise, or k times, has the same.
    """
    pairs = sorted([q.question_id, comparable(q.answer)] for q in questions)
    return hashlib.blake2b(json.dumps(pairs, ensure_ascii=False).encode(), digest_size=16).hexdigest()


def permuted(question: Question) -> Question:
    """Put the options in an order that the question's id alone decides, the gold letter following.

    The right option may stand first in the data, but never in the prompt as a rule; and a question looks the same in
    whatever order and company it is asked.
    """

    def rank(index: int) -> bytes:
        return hashlib.blake2b(f"{question.question_id}/{index}".encode(), digest_size=8).digest()

    order = sorted(range(len(question.options)), key=rank)
    right = order.index(ascii_uppercase.index(question.answer))
    return replace(question, options=tuple(question.options[i] for i in order), answer=ascii_uppercase[right])


def _source(benchmark: Benchmark, data: Path | None) -> Path | HubData:
    """Choose the source: the hub's data set, a file, or a local folder laid out like a data set."""
    assert benchmark.hub is not None and benchmark.split is not None
    if data is None:
        return HubData(benchmark.hub, benchmark.split, benchmark.config, benchmark.revision)
    if not data.is_dir():
        return data
    name = benchmark.name
    for path in (data / f"{name}.jsonl", data / f"{name}.parquet"):
        if path.is_file():
            return path
    if (data / name).is_dir():
        return HubData(str(data / name), benchmark.split, benchmark.config)
    raise InputError(f"{name}: {data} holds no {name}.jsonl, {name}.parquet or folder {name}")


def _checked(
    benchmark: Benchmark,
    questions: Sequence[Question],
    *,
    origin: str,
    any_content: bool,
    revision: str | None = None,
    local: bool = False,
    row_of: Mapping[str, int] | None = None,
) -> LoadedBenchmark:
    """Refuse another number of questions or other contents than declared; return the benchmark loaded."""
    found = content_hash_of(questions)
    name, pin = benchmark.name, f"If this is meant: relift eval --pin {benchmark.name}"
    same = found == benchmark.content_hash
    rows = None if same or any_content else differing_rows(name, questions, row_of or {})
    differing = "" if rows is None else f": {rows}"
    if len(questions) != benchmark.rows and not any_content:
        counts = f"{len(questions):,} questions in {origin}, {benchmark.rows:,} declared"
        raise InputError(f"{name}: {counts}{differing}. {pin}")
    if benchmark.content_hash is not None and not same and not any_content:
        raise InputError(
            f"{name}: {origin} has other questions or golds than declared (hash {found}, declared "
            f"{benchmark.content_hash}){differing}. {pin}"
        )
    by_revision = revision is not None and revision == benchmark.revision
    pinned = same and (local or benchmark.hub is None or by_revision)
    placed = tuple(
        replace(q, source=benchmark.hub or q.source, split=name, answer_kind=benchmark.answer_kind) for q in questions
    )
    return LoadedBenchmark(benchmark, placed, found, revision, origin, pinned)


def mend_gold(question: Question, benchmark: Benchmark) -> Question:
    """Give the question the gold to grade against: repaired by hand, or in relift.grading's spelling."""
    gold = benchmark.gold_repairs.get(question.question_id)
    if gold is None:
        gold = normalise_gold(question.answer) if benchmark.answer_kind == "math" else question.answer
    return replace(question, answer=gold)


def _objection(benchmark: Benchmark, question: Question) -> str | None:
    """Tell why a question of the published rows cannot be asked or graded; None: it can."""
    if benchmark.answer_kind == "choice" and not question.options:
        return "it has no options"
    solution = None if benchmark.answer_kind == "choice" else solution_in(question.answer)
    if solution is not None:
        return (
            f"the gold {question.answer[:40]!r}... is a whole solution ({solution}), not a final answer: give the "
            "benchmark a layout that reduces it (docs/add-a-benchmark.md)"
        )
    if question.question_id in benchmark.unreadable_golds:
        return None
    problem = gold_problem(mend_gold(question, benchmark).answer, benchmark.answer_kind)
    return f"the gold answer {question.answer[:60]!r} {problem}" if problem else None


def _notes(benchmark: Benchmark, read: QuestionSet) -> list[str]:
    asked = "; --samples says how often it is asked" if read.repeats > 1 else ""
    return [f"{benchmark.name}: {note}{asked if 'taken once' in note else ''}" for note in read.notes]


def _fault_line(benchmark: Benchmark, fault: HubFault) -> str:
    """Write one line that says what to do."""
    name, hub = benchmark.name, benchmark.hub
    copy = f"give --data DIR with {name}.jsonl or {name}.parquet"
    if fault.reason == "gated":
        return f"{name}: {hub} is gated; accept its terms and set HF_TOKEN, or {copy}"
    if fault.reason == "offline":
        return f"{name}: {hub} is not here and cannot be fetched without a network; {copy}"
    if fault.reason == "absent":
        gate = "; it is gated: accept its terms and set HF_TOKEN" if benchmark.gated else ""
        return f"{name}: the hub gives no {hub} to this account{gate}; or {copy}"
    return f"{name}: {fault}; or {copy}"
