"""P3: a flipped bit, a zeroed block or a cut end is an error or changes nothing, never a wrong number."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relift.errors import ReliftError
from relift.store import RunReader, RunWriter, check_run, split_responses
from relift.store.checkpoints import verify_checkpoint
from relift.store.files import read_record
from tests.store.rows import RUN, attempts, questions, update

Damage = Callable[[random.Random, bytes], bytes]


def flip(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) * 8)
    return data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :]


def zero(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    n = min(4_096, len(data) - at)
    return data[:at] + b"\0" * n + data[at + n :]


def cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "run"
    with RunWriter(folder) as writer:
        writer.start(RUN, config_toml="", questions=questions(50), demonstrations=None)
        rows, texts = split_responses(attempts(50, 8, seed=1))
        writer.write("attempts", rows, step=0, origin="probe")
        writer.write("responses", texts, step=0, origin="probe")
        writer.write("updates", pd.concat([update(i) for i in range(5)]), step=0)
        writer.commit(0)
        model = np.random.default_rng(0).bytes(20_000)
        writer.save_checkpoint(0, lambda path: (path / "model.safetensors").write_bytes(model) and None, info={"a": 1})
    return folder


def read_rows(table: str, **selection: Any) -> Callable[[Path], object]:
    return lambda folder: RunReader(folder).read(table, **selection)


def read_weights(folder: Path) -> object:
    saved = verify_checkpoint(folder, 0)
    return saved.info, (saved.path / "model.safetensors").read_bytes()


def read_commit(folder: Path) -> object:
    return read_record(folder / "commits" / "step-000000.json")


KINDS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "attempts": ("attempts/step-000000.probe.d0.parquet", read_rows("attempts")),
    "one answer": ("responses/step-000000.probe.d0.parquet", read_rows("responses", question_ixs=[3])),
    "updates": ("updates/step-000000.parquet", read_rows("updates")),
    "questions": ("questions.parquet", read_rows("questions")),
    "weights": ("weights/step-000000/model.safetensors", read_weights),
    "manifest": ("weights/step-000000/manifest.json", read_weights),
    "commit record": ("commits/step-000000.json", read_commit),
    "run.json": ("run.json", lambda folder: RunReader(folder).run),
}


def same(a: object, b: object) -> bool:
    if isinstance(a, pd.DataFrame) and isinstance(b, pd.DataFrame):
        return a.equals(b) and list(a.columns) == list(b.columns)
    return a == b


def silently_wrong(run: Path, name: str, damage: Damage, *, n: int) -> tuple[int, int]:
    """(reads that gave something else without an error, reads that raised), of n random damages."""
    relative, read = KINDS[name]
    path = run / relative
    good, rng = path.read_bytes(), random.Random(f"{name} {damage.__name__}")
    expected = read(run)
    n_wrong = n_raised = 0
    try:
        for _ in range(n):
            path.write_bytes(damage(rng, good))
            try:
                n_wrong += not same(read(run), expected)
            except (ReliftError, FileNotFoundError):
                n_raised += 1
    finally:
        path.write_bytes(good)
    return n_wrong, n_raised


@pytest.mark.parametrize("damage", [flip, zero, cut], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", KINDS)
def test_damage_is_never_silent(run: Path, name: str, damage: Damage) -> None:
    n_wrong, n_raised = silently_wrong(run, name, damage, n=25)
    assert n_wrong == 0 and n_raised >= 5


@pytest.mark.fault
@pytest.mark.parametrize("damage", [flip, zero, cut], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", KINDS)
def test_damage_is_never_silent_four_hundred_times(run: Path, name: str, damage: Damage) -> None:
    n_wrong, n_raised = silently_wrong(run, name, damage, n=400)
    assert n_wrong == 0 and n_raised >= 50


def test_check_sees_every_flipped_bit_of_a_table(run: Path) -> None:
    rng = random.Random(4)
    for name in ("attempts", "questions", "weights"):
        path = run / KINDS[name][0]
        good = path.read_bytes()
        try:
            for _ in range(3):
                path.write_bytes(flip(rng, good))
                problems = check_run(run).problems
                assert any(KINDS[name][0] in problem and "damaged" in problem for problem in problems), problems
        finally:
            path.write_bytes(good)


def test_planted_no_page_verification(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without verification flipped bits come through: the test above would see it."""
    import pyarrow.parquet as pq

    parquet_file = pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", lambda file, metadata, **kw: parquet_file(file, metadata=metadata))
    n_wrong, _ = silently_wrong(run, "attempts", flip, n=200)
    assert n_wrong > 0
