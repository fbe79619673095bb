"""Warn of what makes runs hard to compare: other base models, other decoding, another grader, a run not done."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from relift.analysis.runs.read import label_of, open_runs
from relift.run_record import RunRecord
from relift.schema import RunKind, RunStatus
from relift.store import RunReader


def cautions(runs: Sequence[Path]) -> list[str]:
    """List sentences that must stand above figures of these runs; none if they differ in nothing that matters."""
    readers = open_runs(list(runs))
    found = []
    trained = [reader for reader in readers if reader.run.kind is not RunKind.eval]  # evals are of other models
    models = _by_value(trained, _model_of)
    if len(models) > 1 and _a_base_per_seed(trained):
        found.append(
            f"Each seed starts from a base model of its own ({len(models)} of them): differences from the base and all "
            "that is averaged over seeds compare each run with its own base; bands of single runs, transitions, "
            "classes and reach go by the first."
        )
    elif len(models) > 1:
        found.append(
            f"The runs start from different models ({_groups(models)}): they differ in more than their training."
        )
    differing = {
        "probe decoding": _by_value(readers, lambda run: run.decodings.get("probe")),
        "graders": _by_value(readers, lambda run: run.graders or None),
    }
    for what, values in differing.items():
        if len(values) > 1:
            found.append(f"The runs differ in {what} ({_groups(values)}): their accuracies are not comparable.")
    found += [
        f"{label_of(reader)}: {reader.run.lost_batches} batches of its training could not be recorded."
        for reader in readers
        if reader.run.lost_batches
    ]
    unfinished = [label_of(r) for r in readers if r.run.status not in (RunStatus.done, None)]
    for reader in readers:
        if reader.run.lacks:
            source = reader.run.imported_from or "its source"
            found.append(f"{label_of(reader)} comes from {source}, which does not tell: {'; '.join(reader.run.lacks)}.")
    if unfinished:
        found.append(f"Not finished: {', '.join(unfinished)}; figures show the steps that are committed.")
    return found


def _model_of(run: RunRecord) -> Any:
    return run.identity.get("model") or (run.model and run.model.fingerprint)


def _a_base_per_seed(readers: Sequence[RunReader]) -> bool:
    """Tell whether models and seeds go together one to one, and a method was trained with each of them."""
    pairs = {(json.dumps(_model_of(r.run), sort_keys=True), r.run.seed) for r in readers if _model_of(r.run)}
    models, seeds = ({pair[i] for pair in pairs} for i in (0, 1))
    if None in seeds or not len(pairs) == len(models) == len(seeds):
        return False
    trained = [r.run for r in readers if r.committed_step]
    methods = [{run.method for run in trained if run.seed == seed} for seed in seeds]
    return bool(set.intersection(*methods))


def _by_value(readers: Sequence[RunReader], value_of: Callable[[RunRecord], Any]) -> dict[str, list[str]]:
    """Group the labels of the runs by the value, runs without one left out."""
    groups: dict[str, list[str]] = {}
    for reader in readers:
        value = value_of(reader.run)
        if value is not None:
            groups.setdefault(json.dumps(value, sort_keys=True), []).append(label_of(reader))
    return groups


def _groups(values: dict[str, list[str]]) -> str:
    return " against ".join(", ".join(labels) for labels in values.values())
