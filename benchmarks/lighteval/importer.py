"""Details that lighteval 0.13 saved (`--save-details`) as a run folder: questions, answers, our verdicts and theirs.

Answers are graded by us from the stored texts; where lighteval's score of a question tells its verdict on each answer,
`grader_agrees` says whether it is ours. What it does not store stays unknown: seeds are -1, log-probabilities null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from relift.errors import InputError
from relift.fingerprints import plain_name, plain_values, versions
from relift.grading import Grader, Judgement, Submission
from relift.grading.extract import find_answer
from relift.run_record import RecordedBenchmark, RecordedModel, RunRecord, Spent
from relift.schema import Finish, Question, RunKind, RunStatus, Verdict, question_id_of
from relift.store import RunWriter, split_responses
from relift.store.rows import attempt_row, attempts_frame, question_row

UNKNOWN_SEED = -1  # seeds are 0 or more
COLUMNS = ("doc", "model_response", "metric")
NAME = re.compile(r"details_(?P<task>.+?)_\d{4}-\d\d-\d\dT[\d.-]+")
OURS = "relift:"
RENAMED = {"math_500": "math500", "gpqa:diamond": "gpqa_diamond"}  # lighteval's name -> ours, of the same questions
# Where the problem begins in the prompts of lighteval's tasks aime24, aime25 and math_500.
INSTRUCTION_END = "Think step by step before answering.\n\n"
SOLUTION = "ANSWER: "  # of its math_500 the gold is this and the worked solution
# Scores whose value, 0 or 1 for a single answer, is the mean over answers that are each right or wrong.
MEANS = re.compile(r"avg@n(?::.*)?|(?:gpqa_)?pass@k:k=1(?:&.*)?|extractive_match")


@dataclass(frozen=True)
class Answered:
    """One document of a task: the question, its answers, why they ended, their tokens, lighteval's verdicts."""

    question: Question
    texts: tuple[str, ...]
    finishes: tuple[Finish, ...]
    n_tokens: tuple[int, ...]
    prompt_tokens: int
    theirs: tuple[bool | None, ...]
    opened: bool


def import_details(source: Path, into: Path, *, grader: Grader) -> Path:
    """Write a run folder from one evaluation of lighteval; returns it.

    `source`: the folder of one date (`details/MODEL/DATE`), or one of its files. `into`: a folder that is empty or not
    there. Raises InputError, one line, for what cannot be read, with the file and the row.
    """
    files = sorted(source.glob("details_*.parquet")) if source.is_dir() else [source]
    if not files:
        raise InputError(f"{source}: no details_*.parquet there; lighteval writes them with --save-details")
    tasks = {_task_name(path): list(_read(path)) for path in files}
    model = _model_name(source)
    with RunWriter(into) as writer:
        if not writer.is_new:
            raise InputError(f"{into}: holds a run already; choose an empty folder")
        ix_of = _indexes(tasks)
        rows = _attempts(tasks, ix_of, grader)
        writer.start(
            _record(tasks, ix_of, rows, model=model, source=source, run_id=plain_name(into), grader=grader),
            config_toml=f'imported_from = "lighteval"\nsource = {json.dumps(source.name)}\n',
            questions=pd.DataFrame(_question_rows(tasks, ix_of)),
            demonstrations=None,
        )
        attempts, responses = split_responses(attempts_frame(rows))
        writer.write("responses", responses, step=0, origin="benchmark", part=0)
        writer.write("attempts", attempts, step=0, origin="benchmark", part=0)
        writer.commit(0, suffix=".benchmark-d0-p0000")
    return into


# ---- reading ---------------------------------------------------------------------------------------------------------


def _read(path: Path) -> Iterator[Answered]:
    try:
        # lighteval writes no checksums; where there are some they are checked.
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a readable Parquet file: {' '.join(str(error).split())[:200]}") from error
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(
            f"{path}: has no columns {', '.join(missing)}: not details of lighteval 0.13, which have "
            f"{', '.join(COLUMNS)}"
        )
    name = _task_name(path)
    for index, row in enumerate(table.to_pylist()):
        try:
            yield _answered(row, name)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(f"{path}: row {index}: {type(error).__name__}: {error}") from error


def _answered(row: Mapping[str, Any], name: str) -> Answered:
    doc, response = row["doc"], row["model_response"]
    texts = tuple(response["text"])
    n_tokens = _token_counts(response, texts)
    told, limit = response.get("finishes"), doc["generation_size"]
    finishes = [Finish(finish) for finish in told or ()] or [
        Finish.length if limit and n >= limit else Finish.stop for n in n_tokens
    ]
    prompt = len(response["input_tokens"] or ())
    return Answered(
        _question(doc, name), texts, tuple(finishes), n_tokens, prompt, their_verdicts(row["metric"], len(texts)),
        opened=bool(response.get("thoughts_opened")),
    )  # fmt: skip


def _token_counts(response: Mapping[str, Any], texts: Sequence[str]) -> tuple[int, ...]:
    counts = response.get("n_tokens") or [len(tokens) for tokens in response["output_tokens"] or ()]
    if len(counts) != len(texts):
        raise ValueError("no tokens of the answers are stored, so their lengths are not known")
    return tuple(counts)


def their_verdicts(metric: Mapping[str, float | None], n: int) -> tuple[bool | None, ...]:
    """lighteval's verdict on each of n answers, as far as its scores of the question tell: all right, all wrong, or
    one answer."""
    for name, value in metric.items():
        if MEANS.fullmatch(name) and value in (0.0, 1.0):
            return (value == 1.0,) * n
    return (None,) * n


def _question(doc: Mapping[str, Any], name: str) -> Question:
    """Rebuild the question: of our tasks as it was, of lighteval's what its prompt and gold say."""
    ours = doc.get("specific") or {}
    if "question_id" in ours:
        fields = ("question_id", "problem", "answer", "answer_kind", "source", "split")
        return Question(**{field: ours[field] for field in fields}, options=tuple(json.loads(ours["options"])))
    gold_index = doc["gold_index"]
    gold = doc["choices"][gold_index[0] if isinstance(gold_index, list) else gold_index]
    problem = doc["query"].partition(INSTRUCTION_END)[2] or doc["query"]
    problem = problem.removesuffix("\n")
    letters = [chr(ord("A") + i) for i in range(len(doc["choices"]))]
    kind = "choice" if len(letters) > 1 and list(doc["choices"]) == letters else "math"
    if gold.startswith(SOLUTION):
        gold = find_answer(gold.removeprefix(SOLUTION)).content or gold.removeprefix(SOLUTION)
    return Question(question_id_of(problem), problem, gold, kind, source="lighteval", split=name)


def _task_name(path: Path) -> str:
    """`math500` of details_math_500|0_2026-…; a task's number of examples in the prompt, if any, stays."""
    match = NAME.match(path.name)
    if match is None:
        raise InputError(f"{path}: not named details_TASK_DATE.parquet, as lighteval names them")
    task = match["task"].removesuffix("|0").removeprefix(OURS)
    return RENAMED.get(task, task.replace("|", "-"))


def _model_name(source: Path) -> str:
    """`details/OWNER/NAME/DATE` -> OWNER/NAME."""
    parts = (source if source.is_dir() else source.parent).absolute().parts
    if "details" not in parts:
        return "unknown"
    return "/".join(parts[len(parts) - parts[::-1].index("details") : -1]) or "unknown"


# ---- writing ---------------------------------------------------------------------------------------------------------


def _indexes(tasks: Mapping[str, Sequence[Answered]]) -> dict[str, int]:
    """question_id -> question_ix, in order of appearance. A question in two tasks keeps the answers of the first."""
    ids = [answered.question.question_id for rows in tasks.values() for answered in rows]
    return {q: ix for ix, q in enumerate(dict.fromkeys(ids))}


def _first(tasks: Mapping[str, Sequence[Answered]]) -> dict[str, Answered]:
    first: dict[str, Answered] = {}
    for rows in tasks.values():
        for answered in rows:
            first.setdefault(answered.question.question_id, answered)
    return first


def _question_rows(tasks: Mapping[str, Sequence[Answered]], ix_of: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        question_row(answered.question, ix_of[q], prompt_tokens=answered.prompt_tokens)
        for q, answered in _first(tasks).items()
    ]


def _attempts(
    tasks: Mapping[str, Sequence[Answered]], ix_of: Mapping[str, int], grader: Grader
) -> list[dict[str, Any]]:
    """A row of `attempts` for each answer, and `text`."""
    answers = [(a, i) for a in _first(tasks).values() for i in range(len(a.texts))]
    judgements = grader.judge(
        [
            Submission(
                a.question.answer, a.texts[i], a.finishes[i], kind=a.question.answer_kind, options=a.question.options,
                opened=a.opened,
            )
            for a, i in answers
        ]
    )  # fmt: skip
    return [_attempt(a, i, j, ix_of[a.question.question_id]) for (a, i), j in zip(answers, judgements, strict=True)]


def _attempt(answered: Answered, attempt: int, judgement: Judgement, question_ix: int) -> dict[str, Any]:
    decided, theirs = judgement.verdict is not Verdict.undecided, answered.theirs[attempt]
    return attempt_row(
        question_ix=question_ix,
        attempt=attempt,
        verdict=judgement.verdict,
        rule=judgement.rule,
        answer=judgement.answer,
        finish=answered.finishes[attempt],
        n_tokens=answered.n_tokens[attempt],
        policy_version=0,
        decoding_id="benchmark",
        seed=UNKNOWN_SEED,
        text=answered.texts[attempt],
        grader_agrees=theirs == (judgement.verdict is Verdict.correct) if decided and theirs is not None else None,
    )


def _record(
    tasks: Mapping[str, Sequence[Answered]],
    ix_of: Mapping[str, int],
    rows: Sequence[Mapping[str, Any]],
    *,
    model: str,
    source: Path,
    run_id: str,
    grader: Grader,
) -> RunRecord:
    kinds = {answered.question.answer_kind for answers in tasks.values() for answered in answers}
    return RunRecord(
        run_id=run_id,
        kind=RunKind.eval,
        status=RunStatus.done,
        recipe="eval",
        name=model,
        model=RecordedModel(name=model, path=model),
        identity={"imported": "lighteval", "source": source.name},
        imported_from="lighteval",
        protocol={"name": "imported from lighteval"},
        benchmarks={
            name: RecordedBenchmark(
                title=name,
                question_ixs=tuple(dict.fromkeys(ix_of[answered.question.question_id] for answered in answers)),
                rows=len(answers),
                samples=max((len(answered.texts) for answered in answers), default=0),
                origin="lighteval",
            )
            for name, answers in tasks.items()
        },
        decodings={"benchmark": _generation_parameters(source)},
        graders={kind: said for kind, said in plain_values(grader.describe()).items() if kind in kinds},
        second_grader="lighteval",
        versions=versions(),
        totals=Spent(answers=len(rows), tokens=sum(row["n_tokens"] for row in rows)),
    )


def _generation_parameters(source: Path) -> dict[str, Any]:
    """Read what lighteval's results of the same date say of sampling; empty where they are not there."""
    folder = source if source.is_dir() else source.parent
    parts = list(folder.absolute().parts)
    if "details" not in parts:
        return {}
    parts[len(parts) - 1 - parts[::-1].index("details")] = "results"
    path = Path(*parts[:-1]) / f"results_{folder.name}.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))["config_general"]["model_config"]
        return {name: value for name, value in config["generation_parameters"].items() if value is not None}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
