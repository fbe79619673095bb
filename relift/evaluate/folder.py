"""Begin the run folder of an evaluation, or go on with the one that is there, if it is of the same identity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from relift.benchmarks.benchmark import Protocol
from relift.errors import InputError, ResumeRefused
from relift.evaluate.fill import Assignment, add_questions, question_rows
from relift.evaluate.identity import merged, require_same
from relift.evaluate.plan import Plan, Task
from relift.fingerprints import differences
from relift.run_record import RecordedBenchmark, RunRecord
from relift.schema import RunKind, RunStatus
from relift.store import RunWriter

Warn = Callable[[str], None]


def begin(writer: RunWriter, assignment: Assignment, now: RunRecord, *, options: Mapping[str, Any]) -> None:
    """Lay a new run folder. `options`: what was asked for, for config.toml."""
    writer.start(
        replace(now, benchmarks=_benchmarks(assignment)),
        config_toml=tomli_w.dumps(_without_none(options)),
        questions=question_rows(assignment, assignment.new),
        demonstrations=None,
    )


def go_on(writer: RunWriter, assignment: Assignment, now: RunRecord, *, warn: Warn) -> None:
    """Go on with the folder that is there, with the benchmarks and questions that it does not have yet."""
    stored = writer.run
    same = stored.engine == now.engine
    if not same:
        warn("threads, batches or hardware differ from the last start: other answers may come in the last bit")
    writer.roll_back(writer.committed_step)  # sets aside what a kill left without a commit record
    add_questions(writer, assignment)
    benchmarks = dict(stored.benchmarks)
    for name, entry in _benchmarks(assignment).items():
        before = benchmarks.get(name, entry)
        benchmarks[name] = replace(
            entry,
            samples=max(entry.samples or 0, before.samples or 0),
            thoughts_opened=entry.thoughts_opened or before.thoughts_opened,  # answers may have told
        )
    writer.update_run(
        status=RunStatus.running,
        identity=merged(stored.identity, now.identity),
        benchmarks=benchmarks,
        graders={**stored.graders, **now.graders},
        exact=stored.exact and same,
        engine=now.engine,
        versions=now.versions,
        hardware=now.hardware,
    )


def wanted_samples(plan: Plan, stored: RunRecord) -> dict[str, int]:
    """Attempts wanted at each question, by question_id. An earlier command may have asked for more: those count."""
    samples = dict(plan.samples)
    for task in plan.tasks:
        before = stored.benchmarks.get(task.name)
        for q in task.question_ids:
            samples[q] = max(samples[q], (before and before.samples) or 0)
    return samples


def require_resumable(stored: RunRecord, now: RunRecord, *, plan: Plan, folder: Path) -> None:
    """Refuse a folder of another kind of run, identity, protocol or grader. Raises InputError, ResumeRefused."""
    if stored.kind is not now.kind:
        there = f"training ({stored.recipe})" if stored.kind is RunKind.train else stored.kind
        raise InputError(f"{folder}: holds a run of kind {there}: choose another folder")
    require_same(stored.identity, now.identity, folder=folder)
    if now.kind is RunKind.probe:
        _require_same_samples(stored, plan, folder)
    was = stored.protocol.get("name")
    if was != plan.protocol.name:
        raise ResumeRefused(
            f"{folder} was sampled under the protocol {was}, now {plan.protocol.name}: choose another folder"
        )
    shared = now.graders.keys() & stored.graders.keys()  # a new benchmark may bring a new kind of answers
    found = differences(
        {"graders": {k: stored.graders[k] for k in shared}, "second_grader": stored.second_grader},
        {"graders": {k: now.graders[k] for k in shared}, "second_grader": now.second_grader},
    )
    if found:
        raise ResumeRefused(
            f"{folder} was graded otherwise: {'; '.join(found)}; grade its answers again first: relift regrade "
            f"{folder} --into NEW"
        )


def _require_same_samples(stored: RunRecord, plan: Plan, folder: Path) -> None:
    """A probe asks every question equally often: its trajectories have one row for each."""
    there = {entry.samples for entry in stored.benchmarks.values()}
    here = set(plan.samples.values())
    if there != here:
        raise ResumeRefused(
            f"{folder} was probed with {', '.join(map(str, there))} attempts at each question, now "
            f"{', '.join(map(str, here))}: choose another folder"
        )


def _benchmarks(assignment: Assignment) -> dict[str, RecordedBenchmark]:
    plan, ix_of = assignment.plan, assignment.ix_of
    return {task.name: _benchmark(task, ix_of, plan) for task in plan.tasks}


def _benchmark(task: Task, ix_of: Mapping[str, int], plan: Plan) -> RecordedBenchmark:
    """Make what the record says of a benchmark."""
    loaded, benchmark = task.loaded, task.loaded.benchmark
    return RecordedBenchmark(
        title=benchmark.title,
        question_ixs=tuple(ix_of[q] for q in task.question_ids),
        rows=benchmark.rows,
        samples=task.samples,
        origin=loaded.origin,
        revision=loaded.revision,
        content_hash=loaded.content_hash,
        pinned=loaded.pinned,
        out_of_distribution=benchmark.out_of_distribution,
        sample_of=benchmark.sample_of,
        thoughts_opened=any(plan.prompts[q].thoughts_opened for q in task.question_ids),  # the template decides
    )


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
