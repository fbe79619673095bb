from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import relift.store.checkpoints
from relift.errors import StoreError
from relift.store import RunReader, RunWriter
from relift.store.files import Disk, read_record, record_bytes
from tests.store.rows import RUN, checkpoint_row, questions, update


def files(content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(content)
        (folder / "state.json").write_text("{}")

    return write


def run_with(folder: Path, n: int, *, events: list[str] | None = None, disk: Disk | None = None) -> RunWriter:
    """A run with checkpoints at steps 0 .. n-1."""
    writer = RunWriter(folder, on_event=None if events is None else events.append, disk=disk or Disk())
    if writer.is_new:
        writer.start(RUN, config_toml="", questions=questions(), demonstrations=None)
    for step in range(n):
        writer.write("updates", update(step), step=step)
        writer.commit(step)
        writer.save_checkpoint(step, files(b"weights of step %d" % step), info={"step": step, "x": [0.1, None]})
    return writer


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    with run_with(tmp_path, 2) as writer:
        newest, older = writer.checkpoints()
        assert (newest.step, newest.info) == (1, {"step": 1, "x": [0.1, None]})
        assert (newest.path / "model.safetensors").read_bytes() == b"weights of step 1" and older.step == 0
        manifest = read_record(newest.path / "manifest.json")
        assert manifest["files"].keys() == {"model.safetensors", "state.json"}
    reader = RunReader(tmp_path)
    assert reader.weights(1) == newest.path and reader.weights(7) is None


def spoil_model(path: Path) -> None:
    data = bytearray((path / "model.safetensors").read_bytes())
    data[3] ^= 1
    (path / "model.safetensors").write_bytes(bytes(data))


def spoil_manifest(path: Path) -> None:
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"step": 2', '"step": 3'))


SPOILERS: dict[str, Callable[[Path], None]] = {
    "bit": spoil_model,
    "truncated": lambda path: (path / "model.safetensors").write_bytes(b"w"),
    "empty": lambda path: (path / "model.safetensors").write_bytes(b""),
    "file missing": lambda path: (path / "state.json").unlink(),
    "manifest missing": lambda path: (path / "manifest.json").unlink(),
    "manifest edited": spoil_manifest,
    "manifest empty": lambda path: (path / "manifest.json").write_bytes(b""),
    "commit gone": lambda path: (path.parent.parent / "commits" / "step-000002.json").unlink(),
    "another commit": lambda path: (path.parent.parent / "commits" / "step-000002.json").write_bytes(
        record_bytes({"step": 2, "run_id": "run-1", "files": {}})
    ),
}


@pytest.mark.parametrize("how", SPOILERS)
def test_a_bad_newest_checkpoint_is_skipped_named_and_kept(tmp_path: Path, how: str) -> None:
    events: list[str] = []
    run_with(tmp_path, 3).close()
    path = tmp_path / "weights" / "step-000002"
    SPOILERS[how](path)
    with run_with(tmp_path, 0, events=events) as writer:
        assert [saved.step for saved in writer.checkpoints()] == [1, 0]
        assert any("skipping checkpoint" in event and "step-000002" in event for event in events)
        with pytest.raises(StoreError):
            RunReader(tmp_path).weights(2)
        writer.roll_back(1)
    aside = tmp_path / "orphaned" / "start-0002" / "weights" / "step-000002"
    assert aside.is_dir() and not path.exists()


def test_two_bad_ones_and_none_left(tmp_path: Path) -> None:
    run_with(tmp_path, 3).close()
    for step in (2, 1):
        spoil_model(tmp_path / "weights" / f"step-{step:06d}")
    with run_with(tmp_path, 0) as writer:
        assert [saved.step for saved in writer.checkpoints()] == [0]
        spoil_model(tmp_path / "weights" / "step-000000")
        assert list(writer.checkpoints()) == []


def damaged(path: Path) -> None:
    path.write_text("{}")


@pytest.mark.parametrize("spoil", [damaged, Path.unlink], ids=["damaged", "gone"])
@pytest.mark.parametrize("step", [0, 1])
def test_a_bad_commit_record_stops_the_run(tmp_path: Path, step: int, spoil: Callable[[Path], None]) -> None:
    """Nothing moves until somebody decides: the file is put back, or the checkpoints after it are moved away."""
    run_with(tmp_path, 3).close()
    record = tmp_path / "commits" / f"step-{step:06d}.json"
    good = record.read_bytes()
    spoil(record)
    with (
        run_with(tmp_path, 0) as writer,
        pytest.raises(StoreError, match="Put it back from a copy and start"),
    ):
        list(writer.checkpoints())
    assert not (tmp_path / "orphaned").exists()
    record.write_bytes(good)
    with run_with(tmp_path, 0) as writer:
        assert [saved.step for saved in writer.checkpoints()] == [2, 1, 0]
    spoil(record)
    for later in range(step, 3):
        (tmp_path / "weights" / f"step-{later:06d}").rename(tmp_path / f"given-up-{later}")
    with run_with(tmp_path, 0) as writer:
        left = [saved.step for saved in writer.checkpoints()]
        assert left == list(reversed(range(step)))
        writer.roll_back(left[0] if left else None)
        assert writer.committed_step == (step - 1 if step else None)


def test_a_damaged_newest_commit_record_stops_the_run(tmp_path: Path) -> None:
    run_with(tmp_path, 3).close()
    damaged(tmp_path / "commits" / "step-000002.json")
    with run_with(tmp_path, 0) as writer, pytest.raises(StoreError, match="from step-000002 to step-000002 somewhere"):
        list(writer.checkpoints())


def test_commit_records_of_other_draws_are_not_sealed(tmp_path: Path) -> None:
    """A probe may be added to a step after its checkpoint."""
    with run_with(tmp_path, 2) as writer:
        writer.commit(1, suffix=".probe-d1-p0000")
        assert [saved.step for saved in writer.checkpoints()] == [1, 0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["weights/step-000002/model.safetensors", "commits/step-000001.json"])
def test_what_cannot_be_read_now_is_not_given_up(tmp_path: Path, name: str) -> None:
    run_with(tmp_path, 3).close()
    (tmp_path / name).chmod(0)
    with run_with(tmp_path, 0) as writer, pytest.raises(StoreError, match="cannot read"):
        list(writer.checkpoints())
    (tmp_path / name).chmod(0o644)
    with run_with(tmp_path, 0) as writer:
        assert [saved.step for saved in writer.checkpoints()] == [2, 1, 0]


def test_planted_no_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relift.store.checkpoints, "sha256_of_file", lambda path: "0" * 64)
    with pytest.raises(AssertionError):
        test_a_bad_newest_checkpoint_is_skipped_named_and_kept(tmp_path, "bit")


def test_retirement_keeps_the_newest_good_ones(tmp_path: Path) -> None:
    with run_with(tmp_path, 6) as writer:
        rows = [checkpoint_row(step, tmp_path / "weights" / f"step-{step:06d}") for step in range(6)]
        writer.write_whole("checkpoints", pd.concat(rows))
        assert writer.retire_checkpoints(keep=3, protect=[0]) == [1, 2]
        paths = writer.read_whole("checkpoints").set_index("step")["path"]
        assert paths.notna().tolist() == [True, False, False, True, True, True]
        assert [saved.step for saved in writer.checkpoints()] == [5, 4, 3, 0]
        assert writer.retire_checkpoints(keep=0) == [0, 3]  # never below two
    assert sorted(path.name for path in (tmp_path / "weights").iterdir()) == ["step-000004", "step-000005"]


def test_bad_checkpoints_do_not_count_as_kept(tmp_path: Path) -> None:
    run_with(tmp_path, 4).close()
    for step in (3, 2):
        spoil_model(tmp_path / "weights" / f"step-{step:06d}")
    with run_with(tmp_path, 0) as writer:
        assert writer.retire_checkpoints(keep=2) == []
        spoil_model(tmp_path / "weights" / "step-000001")
    with run_with(tmp_path, 0) as writer:
        assert writer.retire_checkpoints(keep=2) == []


def test_half_done_deletions_are_finished(tmp_path: Path) -> None:
    run_with(tmp_path, 2).close()
    (tmp_path / "weights" / "step-000000").rename(tmp_path / "weights" / ".del-step-000000")
    (tmp_path / "weights" / ".tmp-step-000007-99").mkdir()
    (tmp_path / "weights" / ".tmp-step-000007-99" / "model.safetensors").write_bytes(b"half")
    run_with(tmp_path, 0).close()
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["step-000001"]


def test_a_failing_callback_leaves_nothing(tmp_path: Path) -> None:
    class Odd(Exception):
        pass

    def fails(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise Odd

    with run_with(tmp_path, 1) as writer:
        writer.commit(1)
        with pytest.raises(Odd):
            writer.save_checkpoint(1, fails, info={})
        assert [path.name for path in (tmp_path / "weights").iterdir()] == ["step-000000"]
        writer.save_checkpoint(1, files(b"second try"), info={})
        assert next(writer.checkpoints()).step == 1


def test_no_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    class FullDisk(Disk):
        def free_bytes(self, path: Path) -> int:
            return 100

    run_with(tmp_path, 1).close()
    with run_with(tmp_path, 0, disk=FullDisk()) as writer:
        writer.commit(1)
        with pytest.raises(StoreError, match=r"no room: [\d,]+ bytes needed, 100 free"):
            writer.save_checkpoint(1, files(b"x"), info={})
        assert [saved.step for saved in writer.checkpoints()] == [0]


def test_misuse(tmp_path: Path) -> None:
    with run_with(tmp_path, 1) as writer:
        with pytest.raises(ValueError, match="step 5 is not committed"):
            writer.save_checkpoint(5, files(b""), info={})
        with pytest.raises(ValueError, match="exists"):
            writer.save_checkpoint(0, files(b""), info={})
        writer.commit(1)
        with pytest.raises(ValueError, match="plain files"):
            writer.save_checkpoint(1, lambda folder: (folder / "sub").mkdir(), info={})
        with pytest.raises(ValueError, match="JSON"):
            writer.save_checkpoint(1, files(b""), info={"loss": float("inf")})
        assert [path.name for path in (tmp_path / "weights").iterdir()] == ["step-000000"]
