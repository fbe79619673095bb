"""P2: any single file-system operation may fail, or be the last; the next start ends with the same bytes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import relift.store.files
import relift.store.writer
from relift.errors import ReliftError
from relift.store import RunReader, check_run
from relift.store.checkpoints import Checkpoints
from tests.store.faults import Died, DyingDisk, FaultyDisk, LoggingDisk
from tests.store.rows import table_bytes, train

KINDS = ("die_before", "die_after", "ENOSPC", "EIO")


def run_with_fault(folder: Path, k: int, kind: str, **plan: int) -> bool:
    """Trains until operation k fails. True if it failed, False if the run ended before; other errors pass."""
    disk, before = FaultyDisk(k, kind), set(folder.rglob(".tmp-*"))
    try:
        train(folder, disk=disk, **plan)
    except (Died, ReliftError):
        assert disk.n_operations >= k
        if not disk.dead:  # it failed and lived: it leaves nothing of its own
            left = sorted(path.name for path in set(folder.rglob(".tmp-*")) - before)
            assert not left, f"left behind after {kind} at operation {k}: {left}"
        return True
    return disk.n_operations >= k  # a failed clean-up is forgiven


def require_readable(folder: Path) -> None:
    """Check what readers see in between: no error, whole steps only."""
    if (folder / "run.json").exists():
        reader = RunReader(folder)
        rows = reader.read("attempts", columns=["step"])
        assert (rows.groupby("step").size() == 6).all()
        assert sorted(rows["step"].unique()) == reader.steps("updates") == list(range(len(reader.steps("updates"))))
        reader.read("checkpoints")


def require_equal(folder: Path, expected: dict[str, bytes]) -> None:
    found = table_bytes(folder)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
    assert check_run(folder).problems == []


def fault_loop(tmp_path: Path, points: Iterator[tuple[int, str]], **plan: int) -> int:
    """Returns the number of points at which something failed."""
    train(tmp_path / "expected", **plan)
    expected = table_bytes(tmp_path / "expected")
    n_failed = 0
    for k, kind in points:
        folder = tmp_path / f"{k}-{kind}"
        if run_with_fault(folder, k, kind, **plan):
            n_failed += 1
            require_readable(folder)
            train(folder, **plan)
        require_equal(folder, expected)
        shutil.rmtree(folder)
    return n_failed


def count_operations(folder: Path, **plan: int) -> int:
    disk = FaultyDisk(0, "none")
    train(folder, disk=disk, **plan)
    return disk.n_operations


def test_each_operation_may_fail(tmp_path: Path) -> None:
    n = count_operations(tmp_path / "count", n_steps=2)
    ks = range(1, n + 1, 3)
    assert fault_loop(tmp_path, ((k, KINDS[k // 3 % 4]) for k in ks), n_steps=2) == len(ks)


def die_in_first_step(tmp_path: Path) -> None:
    n = count_operations(tmp_path / "count", n_steps=1)
    fault_loop(tmp_path, ((k, "die_before") for k in range(n, n - 30, -1)), n_steps=1)


@pytest.mark.fault
def test_each_operation_may_fail_in_every_way(tmp_path: Path) -> None:
    plan = {"n_steps": 3, "every": 1}  # a checkpoint each step: the third retires the first
    n = count_operations(tmp_path / "count", **plan)
    points = ((k, kind) for k in range(1, n + 1) for kind in KINDS)
    assert fault_loop(tmp_path, points, **plan) == 4 * n


def faults_in_recovery(tmp_path: Path, *, kinds: tuple[str, ...], stride: int) -> int:
    """A run killed past its checkpoint, with files that no record names; then the recovery fails, then one does not."""
    train(tmp_path / "expected", n_steps=4)
    expected = table_bytes(tmp_path / "expected")
    crashed = tmp_path / "crashed"
    with pytest.raises(Died):
        train(crashed, disk=DyingDisk("step-000003"), n_steps=4)
    assert RunReader(crashed).committed_step == 3 and not (crashed / "weights" / "step-000003").exists()
    (crashed / "attempts" / "step-000009.probe.d0.parquet").write_bytes(b"no record names this")
    n_failed = 0
    for k in range(1, 1_000, stride):
        kind = kinds[k // stride % len(kinds)]
        folder = tmp_path / "again"
        shutil.copytree(crashed, folder)
        failed = run_with_fault(folder, k, kind, n_steps=4)
        if failed:
            require_readable(folder)
            train(folder, n_steps=4)
        require_equal(folder, expected)
        shutil.rmtree(folder)
        if not failed:
            break
        n_failed += 1
    return n_failed


def test_recovery_may_fail_too(tmp_path: Path) -> None:
    assert faults_in_recovery(tmp_path, kinds=KINDS, stride=7) > 10


@pytest.mark.fault
@pytest.mark.parametrize("kind", KINDS)
def test_every_operation_of_recovery_may_fail(tmp_path: Path, kind: str) -> None:
    assert faults_in_recovery(tmp_path, kinds=(kind,), stride=1) > 80


def test_a_power_cut_loses_nothing_that_counts(tmp_path: Path) -> None:
    disk = LoggingDisk()
    train(tmp_path / "run", disk=disk, n_steps=7)
    assert disk.n_replaced > 50
    assert not disk.unsynced_folders - {tmp_path / "run"} and not disk.dirty


# ---- planted bugs: the tests above must see them -------------------------------------------------------------------


def test_planted_no_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (relift.store.files, relift.store.writer):
        monkeypatch.setattr(module, "tmp_name", lambda target: target)
    with pytest.raises((AssertionError, ReliftError)):
        die_in_first_step(tmp_path)


def test_planted_record_before_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = relift.store.writer.RunWriter.commit

    def early(self: relift.store.writer.RunWriter, step: int, *, suffix: str = "") -> None:
        pending, self._pending = self._pending, []
        record = self.folder / "commits" / f"step-{step:06d}.json"
        commit(self, step, suffix=suffix)
        record.unlink()
        self._pending = pending
        files = {f"{p.file.table}/{p.file.path.name}": p.entry for p in pending}
        body = {"schema_version": 1, "run_id": "run-1", "step": step, "start": 1, "files": files}
        relift.store.files.write_atomic(self._disk, record, relift.store.files.record_bytes(body))
        for item in pending:
            self._disk.fsync(item.tmp)
            self._disk.replace(item.tmp, item.file.path)
            self._disk.fsync(item.file.path.parent)
        self._pending = []

    monkeypatch.setattr(relift.store.writer.RunWriter, "commit", early)
    train(tmp_path / "sound", n_steps=1)  # the bug is silent when nothing fails
    assert check_run(tmp_path / "sound").problems == []
    with pytest.raises((AssertionError, ReliftError)):
        die_in_first_step(tmp_path)


def test_planted_no_fsync_of_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = LoggingDisk.fsync
    monkeypatch.setattr(LoggingDisk, "fsync", lambda self, path: fsync(self, path) if path.is_dir() else None)
    with pytest.raises(AssertionError, match="before its fsync"):
        test_a_power_cut_loses_nothing_that_counts(tmp_path)


def test_planted_no_fsync_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = LoggingDisk.fsync
    monkeypatch.setattr(LoggingDisk, "fsync", lambda self, path: None if path.is_dir() else fsync(self, path))
    with pytest.raises(AssertionError):
        test_a_power_cut_loses_nothing_that_counts(tmp_path)


def test_planted_manifest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest is written, and only then a file it names: a cut in between leaves a manifest that lies."""
    seal = Checkpoints._seal

    def early(self: Checkpoints, tmp: Path, *args: object) -> None:
        seal(self, tmp, *args)  # type: ignore[arg-type]
        self._disk.write(tmp / "model.safetensors", (tmp / "model.safetensors").read_bytes())

    monkeypatch.setattr(Checkpoints, "_seal", early)
    with pytest.raises(AssertionError, match="before its fsync"):
        test_a_power_cut_loses_nothing_that_counts(tmp_path)
