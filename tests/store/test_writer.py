from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relift.errors import InputError, RunInUse, StoreError
from relift.run_record import RunRecord, Start
from relift.schema import SCHEMA_VERSION, RunStatus
from relift.store import RunReader, RunWriter, check_run
from relift.store.files import read_record, record_bytes
from tests.store.faults import Died, FaultyDisk
from tests.store.rows import (
    N_QUESTIONS,
    RUN,
    attempts,
    checkpoint_row,
    demonstrations,
    questions,
    table_bytes,
    update,
    write_step,
)  # fmt: skip


def begin(folder: Path, *, events: list[str] | None = None) -> RunWriter:
    writer = RunWriter(folder, on_event=None if events is None else events.append)
    if writer.is_new:
        writer.start(RUN, config_toml="a = 1\n", questions=questions(), demonstrations=demonstrations())
    return writer


def exposures() -> np.ndarray:
    return np.zeros(N_QUESTIONS, np.int64)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_run_lies_as_the_schema_says(tmp_path: Path) -> None:
    with begin(tmp_path / "deep" / "run") as writer:
        assert not writer.is_new and writer.committed_step is None
        write_step(writer, 120, seed=1, exposures=exposures())
        writer.commit(120)
        assert writer.committed_step == 120
    step = "step-000120"
    assert names(writer.folder) == {
        ".lock", "run.json", "config.toml", "questions.parquet", "demonstrations.parquet", f"updates/{step}.parquet",
        f"attempts/{step}.rollout.d0.parquet", f"responses/{step}.rollout.d0.parquet",
        f"trajectories/{step}.rollout.d0.parquet", f"commits/{step}.json",
    }  # fmt: skip
    assert writer.run.schema_version == SCHEMA_VERSION and writer.run.name == "test"
    record = read_record(writer.folder / "commits" / f"{step}.json")
    path = writer.folder / "attempts" / f"{step}.rollout.d0.parquet"
    entry = record["files"][f"attempts/{path.name}"]
    assert entry["bytes"] == path.stat().st_size and entry["rows"] == 6
    assert (record["step"], record["start"], record["run_id"]) == (120, 1, "run-1")


def test_numpy_numbers_are_numbers(tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        step = np.int64(3)
        writer.write("updates", update(0), step=step)
        writer.commit(step)
        writer.save_checkpoint(step, lambda path: (path / "w").write_bytes(b"w") and None, info={})
        assert [saved.step for saved in writer.checkpoints()] == [3]
    assert RunReader(tmp_path).steps("updates") == [3]


def test_an_interrupted_start_leaves_no_run(tmp_path: Path) -> None:
    for k in range(1, 200):
        folder = tmp_path / str(k)
        disk = FaultyDisk(k, "die_before")
        try:
            with RunWriter(folder, disk=disk) as writer:
                writer.start(RUN, config_toml="", questions=questions(), demonstrations=None)
        except Died:
            whole = (folder / "run.json").exists()
            with RunWriter(folder) as writer:
                assert writer.is_new == (not whole)
                if not whole:
                    assert names(folder) <= {".lock", ".writer.json"}
        if disk.n_operations < k:
            break
    assert k > 15


@pytest.mark.parametrize("name", ["questions.parquet", "notes.txt", "config.toml", ".hidden"])
def test_a_folder_of_something_else_is_refused_untouched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=rf"holds '{name}' but no run.json: choose an empty folder"):
        RunWriter(tmp_path)
    assert names(tmp_path) == {name} and (tmp_path / name).read_text() == "mine"


def test_places_where_no_run_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file, not a folder"):
        RunWriter(tmp_path / "file")
    with pytest.raises(InputError, match="cannot write there"):
        RunWriter(tmp_path / "file" / "run")
    with pytest.raises(InputError, match="cannot write there"):
        RunWriter(Path("/proc/relift-run"))


def test_an_empty_folder_of_our_own_leftovers_is_new(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".tmp-run.json-77").write_text("half")
    with RunWriter(tmp_path) as writer:
        assert writer.is_new
    assert names(tmp_path) == {".lock"}


def test_a_run_of_a_newer_relift_is_refused(tmp_path: Path) -> None:
    begin(tmp_path).close()
    body = read_record(tmp_path / "run.json")
    (tmp_path / "run.json").write_bytes(record_bytes({**body, "schema_version": SCHEMA_VERSION + 1}))
    for opens in (RunWriter, RunReader, check_run):
        with pytest.raises(InputError, match=f"schema version {SCHEMA_VERSION + 1}"):
            opens(tmp_path)


def test_run_json_keeps_its_own_checksum(tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        writer.update_run(status=RunStatus.done, hardware={"a": [1, 2.5]})
    with RunWriter(tmp_path) as writer:
        assert writer.run.status is RunStatus.done and writer.run.hardware == {"a": [1, 2.5]}
        with pytest.raises(ValueError, match="run_id"):
            writer.update_run(run_id="x")
    text = (tmp_path / "run.json").read_text().replace("done", "dune")
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(StoreError, match="run.json: damaged"):
        RunWriter(tmp_path)
    with pytest.raises(StoreError, match="run.json: damaged"):
        RunReader(tmp_path)


@pytest.mark.parametrize("run_id", ["", "../x", "a b", "x" * 101])
def test_run_ids_that_cannot_be(tmp_path: Path, run_id: str) -> None:
    with RunWriter(tmp_path) as writer, pytest.raises(ValueError, match="run_id"):
        writer.start(RunRecord(run_id=run_id), config_toml="", questions=questions(), demonstrations=None)


def test_misuse_is_a_value_error(tmp_path: Path) -> None:
    with RunWriter(tmp_path) as writer:
        with pytest.raises(ValueError, match="start the run first"):
            writer.write("updates", update(0), step=0)
        writer.start(RUN, config_toml="", questions=questions(), demonstrations=None)
        writer.write("updates", update(0), step=0)
        with pytest.raises(ValueError, match="written already"):
            writer.write("updates", update(0), step=0)
        with pytest.raises(ValueError, match=r"files of steps \[0\] wait"):
            writer.commit(1)
        with pytest.raises(ValueError, match="per-step"):
            writer.write("scores", update(0), step=0)
        with pytest.raises(ValueError, match="is not one of"):
            writer.write_whole("updates", update(0))
        writer.commit(0)
        with pytest.raises(ValueError, match="committed already"):
            writer.commit(0)
        with pytest.raises(ValueError, match="holds a run already"):
            writer.start(RUN, config_toml="", questions=questions(), demonstrations=None)
    with pytest.raises(ValueError, match="closed"):
        writer.write("updates", update(1), step=1)


@pytest.mark.parametrize(("kind", "warned"), [("nfs4", True), ("fuse.sshfs", True), ("ext4", False)])
def test_network_file_systems_are_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kind: str, warned: bool
) -> None:
    read_text = Path.read_text
    mounts = f"dev / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\nserver:/y {tmp_path}/other nfs rw 0 0\n"
    monkeypatch.setattr(
        Path, "read_text", lambda self, *a: mounts if str(self) == "/proc/self/mounts" else read_text(self, *a)
    )
    events: list[str] = []
    begin(tmp_path / "run", events=events).close()
    assert bool(events) == warned and all(kind in event for event in events)


def test_a_second_draw_has_its_own_commit(tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        for draw in (0, 1):
            rows = attempts(seed=draw).drop(columns="text")
            writer.write("attempts", rows, step=0, origin="probe", draw=draw)
            writer.commit(0, suffix=f".probe-d{draw}")
        for part in (0, 1):
            rows = attempts(seed=part).drop(columns="text").assign(attempt=[2 * part, 2 * part + 1] * 3)
            writer.write("attempts", rows, step=0, origin="benchmark", part=part)
            writer.commit(0, suffix=f".benchmark-p{part:04d}")
    reader = RunReader(tmp_path)
    assert reader.steps("attempts", origin="probe", draw=1) == [0]
    assert len(reader.read("attempts", origin="benchmark")) == 12
    assert [file.part for file in reader.files("attempts", origin="benchmark")] == [0, 1]
    assert len(reader.read("attempts", draws=[0], origin="probe")) == 6


def test_what_was_not_committed_is_gone(tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        write_step(writer, 0, seed=0, exposures=exposures())
    assert not list(tmp_path.rglob(".tmp-*")) and not list(tmp_path.rglob("step-*"))


def test_tables_kept_whole(tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        empty = writer.read_whole("checkpoints")
        assert len(empty) == 0 and "rl_updates" in empty.columns
        for n in (1, 2):
            writer.write_whole("checkpoints", pd.concat([checkpoint_row(step, None) for step in range(n)]))
        assert writer.read_whole("checkpoints")["step"].tolist() == [0, 1]
        hashes = writer.run.files["checkpoints.parquet"]
        assert len(hashes) == 2
        (tmp_path / "checkpoints.parquet").write_bytes(b"PAR1")
        with pytest.raises(StoreError, match="checkpoints.parquet: damaged"):
            writer.read_whole("checkpoints")


def test_roll_back_sets_aside_what_lies_past_a_checkpoint(tmp_path: Path) -> None:
    events: list[str] = []
    with begin(tmp_path, events=events) as writer:
        seen = exposures()
        for step in range(4):
            write_step(writer, step, seed=step, exposures=seen)
            writer.commit(step)
            writer.save_checkpoint(step, lambda path: (path / "w").write_bytes(b"w" * 9) and None, info={})
        writer.write_whole("checkpoints", pd.concat([checkpoint_row(step, None) for step in range(4)]))
        (tmp_path / "teacher.jsonl").write_text("{}\n")
        (tmp_path / "attempts" / "step-000001.probe.d9.parquet").write_bytes(b"no record")
        before = table_bytes(tmp_path)
        writer.roll_back(1)
        assert writer.committed_step == 1
        assert writer.read_whole("checkpoints")["step"].tolist() == [0, 1]
        assert [saved.step for saved in writer.checkpoints()] == [1, 0]
        writer.write("updates", update(2), step=2)
        writer.commit(2)
        assert read_record(tmp_path / "commits" / "step-000002.json")["start"] == 2
    aside = tmp_path / "orphaned" / "start-0002"
    assert (aside / "attempts" / "step-000001.probe.d9.parquet").read_bytes() == b"no record"
    for name in ("updates/step-000003.parquet", "attempts/step-000002.rollout.d0.parquet"):
        assert (aside / name).read_bytes() == before[name] and (tmp_path / name).exists() == name.endswith("2.parquet")
    assert (aside / "commits" / "step-000003.json").exists() and (aside / "weights" / "step-000002" / "w").exists()
    assert (tmp_path / "teacher.jsonl").read_text() == "{}\n"
    assert writer.run.starts == (Start(start=1), Start(start=2, from_step=1))
    assert any("attempts/ in orphaned/start-0002" in event for event in events)


def test_roll_back_to_nothing(tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        write_step(writer, 0, seed=0, exposures=exposures())
        writer.commit(0)
        writer.write_whole("checkpoints", checkpoint_row(0, None))
        writer.roll_back(None)
        assert writer.committed_step is None and len(writer.read_whole("checkpoints")) == 0
        write_step(writer, 0, seed=0, exposures=exposures())
        writer.commit(0)
    assert check_run(tmp_path).problems == []
    assert len(RunReader(tmp_path).read("questions")) == N_QUESTIONS


def test_roll_back_with_nothing_to_move_leaves_no_trace_but_the_start(tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        write_step(writer, 0, seed=0, exposures=exposures())
        writer.commit(0)
        writer.roll_back(0)
        assert not (tmp_path / "orphaned").exists() and len(writer.run.starts) == 2


def test_after_a_failed_write_nothing_more_is_written(tmp_path: Path) -> None:
    disk = FaultyDisk(0, "ENOSPC")
    with RunWriter(tmp_path, disk=disk) as writer:
        writer.start(RUN, config_toml="", questions=questions(), demonstrations=None)
        write_step(writer, 0, seed=0, exposures=exposures())
        disk.k = disk.n_operations + 3
        with pytest.raises(StoreError, match="errno 28"):
            writer.commit(0)
        with pytest.raises(StoreError, match="an earlier write failed"):
            writer.commit(0)
    assert RunReader(tmp_path).steps("updates") == []
    assert not list(tmp_path.rglob(".tmp-*"))


def test_the_holder_is_named(tmp_path: Path) -> None:
    with begin(tmp_path), pytest.raises(RunInUse, match=f"process {os.getpid()} on "):
        RunWriter(tmp_path)
    begin(tmp_path).close()  # and freed


def test_an_open_error_frees_the_folder(tmp_path: Path) -> None:
    begin(tmp_path).close()
    good = (tmp_path / "run.json").read_bytes()
    (tmp_path / "run.json").write_bytes(b"{}")
    with pytest.raises(StoreError):
        RunWriter(tmp_path)
    (tmp_path / "run.json").write_bytes(good)
    begin(tmp_path).close()
