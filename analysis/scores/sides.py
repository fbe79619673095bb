"""Read one side of a comparison: a run at a step as counts by question, and what its answers depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relift.analysis.runs.panel import RATE_DRAWS
from relift.analysis.scores.counts import Run, count_attempts, open_run
from relift.analysis.scores.table import describe_graders, label_of_model
from relift.errors import InputError
from relift.fingerprints import differences
from relift.run_record import RunRecord
from relift.schema import Origin
from relift.store import RunReader

# a protocol's fields that a comparison need not share: its name says nothing more, k may differ, the rest is comment
_FREE = ("name", "samples", "sources", "notes", "sampling")
_FREE_SAMPLING = ("stop_token_ids", "n")  # they follow the model; how many at once


@dataclass(frozen=True)
class Side:
    """Hold `questions` by benchmark (of probes: split): question_id, n_attempts, n_correct, n_undecided."""

    label: str
    folder: Path
    origin: str
    step: int
    questions: Mapping[str, pd.DataFrame]
    out_of_distribution: frozenset[str]
    problems: Mapping[str, str]
    run: RunRecord


def parse_side(text: str, *, step: int | None = None) -> tuple[Path, int | None]:
    """Read RUN or RUN@STEP, which has its own step, else `step`. A folder that exists is never taken apart."""
    path, at, number = text.rpartition("@")
    if at and not Path(text).exists():
        if not number.isdecimal():
            raise InputError(f"{text}: no such folder, and '{number}' is no step: give RUN or RUN@STEP")
        return Path(path), int(number)
    return Path(text), step


def read_side(run: Run, *, step: int | None = None, origin: str | None = None) -> Side:
    """Read the counts of a run at `step` (None: its last with answers). `origin` None: benchmark if any, else probe.

    InputError if the run has no answers there.
    """
    reader = open_run(run)
    if origin is None:
        origin = Origin.benchmark if reader.steps("attempts", origin=Origin.benchmark) else Origin.probe
    steps = reader.steps("attempts" if origin == Origin.benchmark else "trajectories", origin=origin)
    if not steps:
        raise InputError(f"{reader.folder}: no answers of origin {origin} there yet")
    if step is not None and step not in steps:
        raise InputError(f"{reader.folder}: no {origin} at step {step}; there are steps {_listed(steps)}")
    at = steps[-1] if step is None else step
    questions = reader.read("questions", columns=["question_ix", "question_id", "split", "problem"])
    outside: frozenset[str] = frozenset()
    if origin == Origin.benchmark:
        by_name, outside = _benchmarks(reader, at, questions)
    else:
        by_name = _probes(reader, at, questions)
    label = label_of_model(reader) + ("" if origin == Origin.benchmark and len(steps) == 1 else f" step {at}")
    problems = dict(zip(questions["question_id"], questions["problem"], strict=True))
    return Side(label, reader.folder, str(origin), at, by_name, outside, problems, reader.run)


def _listed(steps: list[int]) -> str:
    return ", ".join(map(str, steps)) if len(steps) <= 8 else f"{steps[0]}, {steps[1]}, ..., {steps[-1]}"


def _benchmarks(
    reader: RunReader, step: int, questions: pd.DataFrame
) -> tuple[dict[str, pd.DataFrame], frozenset[str]]:
    id_of = questions.set_index("question_ix")["question_id"]
    counts = [one for one in count_attempts(reader, origin=Origin.benchmark) if one.step == step]
    frames = {
        one.benchmark: pd.DataFrame(
            {
                "question_id": id_of.reindex(one.question_ix_Q).to_numpy(), "n_attempts": one.n_attempts_Q,
                "n_correct": one.n_correct_Q, "n_undecided": one.n_undecided_Q,
            }
        )
        for one in counts
    }  # fmt: skip
    return frames, frozenset(one.benchmark for one in counts if one.out_of_distribution)


def _probes(reader: RunReader, step: int, questions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    columns = ["question_ix", "n_attempts", "n_correct", "n_undecided"]
    rows = reader.read("trajectories", columns=columns, origin=Origin.probe, draws=range(RATE_DRAWS), steps=[step])
    counts = rows.astype(np.int64).groupby("question_ix").sum().reset_index()
    counts = counts.merge(questions[["question_ix", "question_id", "split"]], on="question_ix")
    groups = counts.groupby(counts["split"].astype(str), sort=False)
    return {str(split): group[["question_id", *columns[1:]]].reset_index(drop=True) for split, group in groups}


def require_same_protocol(a: Side, b: Side, *, force: bool) -> list[str]:
    """Note what differs beside the model. InputError where that changes what is measured, unless `force`."""
    differing = differences(_measured_by(b), _measured_by(a), bare="protocol")
    if differing and not force:
        raise InputError(
            f"{b.folder} (there) and {a.folder} (here) differ in more than the model: {'; '.join(differing)}; "
            "--force compares them all the same"
        )
    notes = [f"NOT the same protocol: {'; '.join(differing)} ({b.label} there, {a.label} here)"] if differing else []
    if a.run.graders != b.run.graders:
        graders = [describe_graders(side.run.graders) for side in (a, b)]
        notes.append(f"different graders: {a.label} by {graders[0]}, {b.label} by {graders[1]}")
    engines = [_engine(side) for side in (a, b)]
    if engines[0] != engines[1]:
        notes.append(f"different engines: {a.label} by {engines[0]}, {b.label} by {engines[1]}")
    return notes


def _measured_by(side: Side) -> dict[str, Any]:
    """List what a score depends on beside model, engine and grader: how a question is put and an answer drawn."""
    decoding = side.run.decodings.get(side.origin, {})
    found: dict[str, Any] = {"sampling": {k: v for k, v in decoding.items() if k not in _FREE_SAMPLING}}
    if side.origin == Origin.benchmark:
        found["protocol"] = {k: v for k, v in side.run.protocol.items() if k not in _FREE}
    return found


def _engine(side: Side) -> str:
    engine = side.run.identity.get("engine") or side.run.engine
    if not isinstance(engine, Mapping):
        return str(engine)
    return f"{engine.get('name', 'an engine not recorded')} {engine.get('version', '')}".rstrip()
