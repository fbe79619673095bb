"""The run folder of an evaluation: a new one, or the one that is there, if it is of the same identity."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import tomli_w

from relift.benchmarks.benchmark import Protocol
from relift.errors import InputError, ResumeRefused
from relift.evaluate.identity import Identity, merged, require_same
from relift.evaluate.plan import Item, Plan, Task
from relift.fingerprints import differences
from relift.schema import Question, question_row
from relift.store import RunReader, RunWriter

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Session:
    """An open run folder with the plan's questions in their places."""

    writer: RunWriter
    items: tuple[Item, ...]

    @property
    def reader(self) -> RunReader:
        return RunReader(self.writer.folder)

    def members(self) -> dict[str, tuple[list[int], int]]:
        """By benchmark: question_ix of its questions, attempts at each; those of earlier commands included."""
        benchmarks = self.writer.run_json["benchmarks"]
        return {name: (entry["question_ixs"], entry["samples"]) for name, entry in benchmarks.items()}


@contextmanager
def open_session(
    folder: Path, plan: Plan, *, identity: Identity, facts: Mapping[str, Any], options: Mapping[str, Any], warn: Warn
) -> Iterator[Session]:
    """Take the folder. Raises ResumeRefused, nothing written, when it holds another run; RunInUse, InputError.

    `facts`: the rest of run.json. `options`: what was asked for, for config.toml.
    """
    with RunWriter(folder, on_event=warn) as writer:
        if writer.is_new:
            place = _places({}, plan)
            writer.start(
                run_json={
                    **facts, "identity": identity, "status": "running",
                    "benchmarks": {task.name: benchmark_entry(task, place, plan) for task in plan.tasks},
                    "totals": {"answers": 0, "tokens": 0, "seconds": 0.0},
                },
                config_toml=tomli_w.dumps(_without_none(options)),
                questions=questions_frame(plan, place, list(plan.questions)),
                demonstrations=None,
            )  # fmt: skip
        else:
            stored = writer.run_json
            require_resumable(stored, identity, facts, plan=plan, folder=folder)
            same = stored.get("engine") == json.loads(json.dumps(facts["engine"]))
            if not same:
                warn("threads, batches or hardware differ from the last start: other answers may come in the last bit")
            writer.roll_back(writer.committed_step)  # sets aside what a kill left without a commit record
            place = _add_questions(writer, plan, folder)
            entries = {task.name: benchmark_entry(task, place, plan) for task in plan.tasks}
            for name, entry in entries.items():
                before = stored["benchmarks"].get(name, {})
                entry["samples"] = max(entry["samples"], before.get("samples", 0))
            writer.update_run_json(
                status="running",
                identity=merged(stored["identity"], identity),
                benchmarks={**stored["benchmarks"], **entries},
                graders={**stored["graders"], **facts["graders"]},
                exact=stored["exact"] and same,
                engine=facts["engine"],
                versions=facts["versions"],
                hardware=facts["hardware"],
            )
        yield Session(writer, items_of(plan, place, writer.run_json["benchmarks"]))


def items_of(plan: Plan, place: Mapping[str, int], benchmarks: Mapping[str, Any]) -> tuple[Item, ...]:
    """The plan's questions in their places. An earlier command may have asked for more attempts: those count."""
    samples = dict(plan.samples)
    for task in plan.tasks:
        for q in task.question_ids:
            samples[q] = max(samples[q], benchmarks[task.name]["samples"])
    return tuple(Item(question, place[q], plan.prompts[q], samples[q]) for q, question in plan.questions.items())


def require_resumable(
    stored: Mapping[str, Any], identity: Identity, facts: Mapping[str, Any], *, plan: Plan, folder: Path
) -> None:
    """Refuse a folder of another kind of run, identity, protocol or grader."""
    require_kind_of_run(stored, facts["kind"], folder=folder)
    require_same(stored["identity"], identity, folder=folder)
    if facts["kind"] == "probe":
        _require_same_samples(stored, plan, folder)
    if stored["protocol"]["name"] != plan.protocol.name:
        raise ResumeRefused(
            f"{folder} was sampled under the protocol {stored['protocol']['name']}, now {plan.protocol.name}: "
            "choose another folder"
        )
    now = {"graders": dict(facts["graders"]), "second_grader": facts["second_grader"]}
    now = json.loads(json.dumps(now))
    there = {
        "graders": {kind: stored["graders"][kind] for kind in now["graders"] if kind in stored["graders"]},
        "second_grader": stored["second_grader"],
    }
    now["graders"] = {kind: now["graders"][kind] for kind in there["graders"]}  # a new benchmark may bring a new kind
    found = differences(there, now)
    if found:
        raise ResumeRefused(
            f"{folder} was graded otherwise: {'; '.join(found)}; grade its answers again first: relift regrade "
            f"{folder} --into NEW"
        )


def require_kind_of_run(stored: Mapping[str, Any], kind: str, *, folder: Path) -> None:
    """Refuse to write an evaluation into a training run, or the like."""
    if stored.get("kind") != kind:
        there = stored.get("kind") or f"training ({stored.get('recipe')})"
        raise InputError(f"{folder}: holds a run of kind {there}: choose another folder")


def _require_same_samples(stored: Mapping[str, Any], plan: Plan, folder: Path) -> None:
    """A probe asks every question equally often: its trajectories have one row for each."""
    there = {entry["samples"] for entry in stored["benchmarks"].values()}
    here = set(plan.samples.values())
    if there != here:
        raise ResumeRefused(
            f"{folder} was probed with {sorted(there)[0]} attempts at each question, now {sorted(here)[0]}: choose "
            "another folder"
        )


def _places(known: Mapping[str, int], plan: Plan) -> dict[str, int]:
    """question_id -> question_ix: known ones keep theirs, new ones come after them."""
    place = dict(known)
    for q in plan.questions:
        place.setdefault(q, len(place))
    return place


def _add_questions(writer: RunWriter, plan: Plan, folder: Path) -> dict[str, int]:
    """Append the questions that the run does not have yet. Refuses a gold answer that has changed since."""
    table = writer.read_whole("questions")
    golds = dict(zip(table["question_id"], table["answer"], strict=True))
    changed = [q for q, question in plan.questions.items() if q in golds and golds[q] != question.answer]
    if changed:
        old, new = golds[changed[0]], plan.questions[changed[0]].answer
        raise ResumeRefused(
            f"{folder}: the gold answers of {len(changed)} questions have changed, first {old!r} to {new!r}: "
            "choose another folder"
        )
    known = {q: int(ix) for q, ix in zip(table["question_id"], table["question_ix"], strict=True)}
    place = _places(known, plan)
    new_ids = [q for q in plan.questions if q not in known]
    if new_ids:
        added = questions_frame(plan, place, new_ids)
        writer.write_whole("questions", pd.concat([table, added], ignore_index=True).astype(object))
    return place


def questions_frame(plan: Plan, place: Mapping[str, int], question_ids: list[str]) -> pd.DataFrame:
    """Rows of `questions`; source and split are the first benchmark's that has the question."""
    first: dict[str, str] = {}
    for task in plan.tasks:
        for q in task.question_ids:
            first.setdefault(q, task.name)
    return pd.DataFrame(
        [
            question_columns(
                plan.questions[q], place[q], n_tokens=len(plan.prompts[q].token_ids), source=first.get(q, "")
            )
            for q in question_ids
        ]
    )


def question_columns(question: Question, question_ix: int, *, n_tokens: int, source: str) -> dict[str, Any]:
    """A row of `questions`."""
    row = question_row(question)
    return {
        **row,
        "source": question.source or source,
        "split": question.split or source,
        "question_ix": question_ix,
        "prompt_tokens": n_tokens,
        "has_demo": False,
        "dup_group": None,
    }


def benchmark_entry(task: Task, place: Mapping[str, int], plan: Plan) -> dict[str, Any]:
    """What run.json says of a benchmark: what was loaded, and which questions of the run are its."""
    loaded, benchmark = task.loaded, task.loaded.benchmark
    return {
        "title": benchmark.title,
        "question_ixs": [place[q] for q in task.question_ids],
        "rows": benchmark.rows,
        "samples": task.samples,
        "origin": loaded.origin,
        "revision": loaded.revision,
        "content_hash": loaded.content_hash,
        "pinned": loaded.pinned,
        "out_of_distribution": benchmark.out_of_distribution,
        "thoughts_opened": any(plan.prompts[q].thoughts_opened for q in task.question_ids),  # the template decides
    }


def protocol_values(protocol: Protocol) -> dict[str, Any]:
    """The protocol spelled out, as JSON values."""
    return {f.name: _plain(getattr(protocol, f.name)) for f in fields(protocol)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has no null: what was not given is left out."""
    return {name: value for name, value in values.items() if value is not None}
