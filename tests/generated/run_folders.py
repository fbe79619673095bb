"""Open changed run folders, look at them and go on with them, as commands do."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from relift.analysis import read_trajectories
from relift.errors import ReliftError
from relift.schema import TABLES
from relift.store import RunReader, RunWriter, check_run, resolve_runs
from relift.store.files import read_record, record_bytes
from tests.generated.makers import json_text, odd_bytes, odd_json


def use_run(rng: random.Random, folder: Path, *, run: Path) -> None:
    """Change the records of a run, seal them again, and do with it what commands do. Nothing is written outside of it,
    nothing half."""
    own = folder / "run"
    shutil.copytree(run, own)
    records = sorted([own / "run.json", *own.glob("commits/*.json"), *own.glob("weights/*/manifest.json")])
    path = own / "run.json" if rng.random() < 0.6 else rng.choice(records)
    if rng.random() < 0.75:
        body = odd_json(rng, read_record(path))
        try:
            data = record_bytes(body)
        except (ValueError, AttributeError, TypeError, RecursionError):  # none that can be sealed
            data = json_text(body).encode("utf-8", "surrogatepass")
        path.write_bytes(data)
    else:
        path.write_bytes(odd_bytes(rng, path.read_bytes()))
    refused: list[ReliftError] = []
    for act in (_read_all, check_run, lambda f: resolve_runs([f]).sound(), lambda f: read_trajectories([f]), _go_on):
        try:
            act(own)
        except ReliftError as error:
            refused.append(error)
    left = [path.name for path in own.rglob("*") if path.name.startswith((".tmp-", ".del-"))]
    assert [path.name for path in folder.iterdir()] == ["run"] and left == []
    shutil.rmtree(folder)
    for error in refused:
        assert "\n" not in str(error) and len(str(error)) < 2_000, str(error)[:300]


def _read_all(folder: Path) -> None:
    reader = RunReader(folder)
    for table in TABLES:
        reader.read(table)


def _go_on(folder: Path) -> None:
    with RunWriter(folder) as writer:
        saved = next(iter(writer.checkpoints()), None)
        writer.roll_back(None if saved is None else saved.step)
