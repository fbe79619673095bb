"""Give answers that were recorded: by a run of ours, or by anybody as lines of text. Nothing is sampled. No torch.

A run folder: attempts with their texts; of several steps, RUN@STEP names one. A .jsonl file: one object a line with
`question_id` or `problem` (and `options`), `attempt`, `text`; optional are `draw` (0), `finish` ("stop"), `n_tokens`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd

from relift.engines.answer_text import writable
from relift.engines.checks import check_asks
from relift.engines.texts import AttemptRequest, Reply
from relift.engines.tokens import Sampling
from relift.errors import InputError
from relift.fingerprints import digest
from relift.schema import Finish, Origin, question_id_of
from relift.store import RunReader
from relift.store.files import sha256_of_file

_LARGEST_LINE = 50_000_000  # bytes


@dataclass(frozen=True)
class Recording:
    """Hold what was recorded, without the texts. `replies`: by "<question_id>/<draw>/<attempt>", text left empty.

    `texts()` gives (key, text), in any order. `facts` are what tells this recording from others, for `describe`.
    """

    name: str
    replies: Mapping[str, Reply]
    texts: Callable[[], Iterator[tuple[str, str]]]
    facts: Mapping[str, object]


class ReplayAnswers:
    """An Answerer (answering.py) that answers each ask with what was recorded under its key.

    Seeds, prompts and sampling settings are not compared: the caller says whose answers these are. `count_tokens`
    gives the length of a text in tokens, for records that do not say it.
    """

    ledger: Path | None = None  # nobody charges for these answers

    def __init__(self, recording: Recording, *, count_tokens: Callable[[str], int] | None = None) -> None:
        self._recording, self._count_tokens = recording, count_tokens

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def check(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> None:
        """Raises InputError when an attempt is not there, naming the first and saying how many."""
        check_asks(asks, sampling, vocab=None, max_context=None, ids_needed=False)
        name, replies = self._recording.name, self._recording.replies
        missing = [ask.key for ask in asks if ask.key not in replies]
        if missing:
            question, draw, attempt = missing[0].rsplit("/", 2)
            raise InputError(
                f"{name}: {len(missing)} of {len(asks)} attempts were not recorded, the first is attempt {attempt} "
                f"(draw {draw}) at question {question}; ask for fewer --samples or other benchmarks"
            )
        uncounted = [ask.key for ask in asks if replies[ask.key].n_tokens < 0]
        if uncounted and self._count_tokens is None:
            raise InputError(
                f"{name}: {len(uncounted)} answers have no n_tokens, the first is {uncounted[0]}; add it, or name with "
                "--tokenizer the checkpoint whose tokenizer shall count"
            )

    def stream(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        self.check(asks, sampling)
        place = {ask.key: i for i, ask in enumerate(asks)}
        for key, text in self._recording.texts():
            i = place.pop(key, None)
            if i is None:
                continue
            reply = replace(self._recording.replies[key], text=text)
            if reply.n_tokens < 0 and self._count_tokens is not None:
                ends = 1 if reply.finish is Finish.stop else 0
                reply = replace(reply, n_tokens=self._count_tokens(text) + ends)
            yield i, reply
        if place:
            raise InputError(f"{self._recording.name}: changed while it was read: {next(iter(place))} is gone")

    def describe(self) -> dict[str, object]:
        return {"name": "replay", **self._recording.facts}


def open_recording(path: Path) -> Recording:
    """Read what there is. Raises InputError, StoreError; of a file with all its problems' line numbers."""
    folder, at, step = path, "", ""
    if not path.exists():
        head, at, step = str(path).rpartition("@")
        folder = Path(head) if at else path
    if (folder / "run.json").is_file() and (not at or step.isdecimal()):
        return _of_run(folder, int(step) if at else None)
    if path.is_file():
        return _of_file(path)
    raise InputError(f"{path}: no recorded answers there: name a run folder, RUN@STEP, or a .jsonl file")


def _of_run(folder: Path, step: int | None) -> Recording:
    reader = RunReader(folder)
    origin = next((o for o in (Origin.benchmark, Origin.probe) if reader.steps("attempts", origin=o)), None)
    steps = reader.steps("attempts", origin=origin) if origin else []
    if origin is None or (step is not None and step not in steps):
        there = f"answers of steps {', '.join(map(str, steps))}" if steps else "no answers of benchmarks or probes"
        raise InputError(f"{folder}: it has {there}" + (f", none of step {step}" if steps else ""))
    if step is None and len(steps) > 1:
        raise InputError(f"{folder}: answers of {len(steps)} steps; name one as {folder}@{steps[-1]}")
    where: dict[str, Any] = {"origin": origin, "steps": [steps[0] if step is None else step]}
    ids = reader.read("questions", columns=["question_id", "question_ix"])
    name_of = dict(zip(ids["question_ix"], ids["question_id"], strict=True))
    columns = ["question_ix", "draw", "attempt", "finish", "n_tokens", "sum_logprob", "mean_entropy", "response_id"]
    rows = reader.read("attempts", columns=columns, **where)
    rows = rows[rows["response_id"].notna()]
    replies = {
        f"{name_of[row['question_ix']]}/{row['draw']}/{row['attempt']}": Reply(
            "", Finish(row["finish"]), int(row["n_tokens"]), _number(row["sum_logprob"]), _number(row["mean_entropy"])
        )
        for row in rows.to_dict("records")
    }

    def texts() -> Iterator[tuple[str, str]]:
        wanted = ["question_ix", "draw", "attempt", "text"]
        for _, table in reader.iter_tables("responses", columns=wanted, **where):
            for row in table.to_pylist():
                yield f"{name_of[row['question_ix']]}/{row['draw']}/{row['attempt']}", row["text"]

    run = reader.run
    facts = {"run_id": run.run_id, "origin": str(origin), "step": where["steps"][0]}
    decoding = {"decodings": run.decodings.get(str(origin)), "engine": run.engine or None}
    return Recording(str(folder), replies, texts, {**facts, "recorded_with": digest(decoding)})


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _of_file(path: Path) -> Recording:
    replies: dict[str, Reply] = {}
    problems: list[str] = []
    for number, row in _lines(path):
        try:
            key, reply = _entry(row)
            if key in replies:
                raise ValueError(f"{key} is there twice")
            replies[key] = reply
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    if problems:
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
        raise InputError(f"{path}: {'; '.join(problems[:5])}{more}")

    def texts() -> Iterator[tuple[str, str]]:
        for _, row in _lines(path):
            key, _ = _entry(row)
            yield key, writable(row["text"])

    return Recording(str(path), replies, texts, {"sha256": sha256_of_file(path)})


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_LARGEST_LINE), b""), start=1):
            if line.strip():
                try:
                    yield number, json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                except (ValueError, RecursionError):
                    yield number, None


def _entry(row: Any) -> tuple[str, Reply]:
    """Key and reply (without text; n_tokens -1 where nobody counted) of one line. Raises ValueError saying what is
    wrong with it."""
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    question_id, problem, options = row.get("question_id"), row.get("problem"), row.get("options") or []
    if not isinstance(question_id, str):
        if not isinstance(problem, str) or not problem.strip():
            raise ValueError("neither question_id nor problem")
        if not (isinstance(options, list) and all(isinstance(option, str) for option in options)):
            raise ValueError("options is not a list of texts")
        question_id = question_id_of(problem, options)
    attempt, draw, n_tokens = row.get("attempt"), row.get("draw", 0), row.get("n_tokens", -1)
    for name, value in (("attempt", attempt), ("draw", draw), ("n_tokens", n_tokens)):
        if type(value) is not int or value < (-1 if name == "n_tokens" else 0):
            raise ValueError(f"{name} is {value!r}, not a number from 0")
    if not isinstance(row.get("text"), str):
        raise ValueError("no text")
    finish = row.get("finish", "stop")
    if finish not in set(Finish):
        raise ValueError(f"finish is {finish!r}: stop or length")
    return f"{question_id}/{draw}/{attempt}", Reply("", Finish(finish), n_tokens)
