"""Refuse folders of other runs, folders without a run, one that another process writes in, one on a full disk."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relift.store import check_run
from relift.store.files import DISK, Disk
from relift.trainer import finish as around_updates
from tests.cli.command import Command, Ended, assert_refused, at_step, bytes_of, holds_nothing, relift
from tests.resume.harness import HashGrader, contents


def train(
    config: Path, run: Path, *options: str, allow: tuple[str, ...] = (), before: Callable[[], object] = lambda: None
) -> Ended:
    words = [w for o in options for w in ("--set", o)] + [w for a in allow for w in ("--allow-change", a)]
    return relift("train", config, "--out", run, "--quiet", *words, grader=HashGrader, before=before)


def run_json(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


# ---- another run's folder ------------------------------------------------------------------------------------------


def moved(rows: list[str]) -> list[str]:
    return [rows[1], rows[0], *rows[2:]]


def edited(rows: list[str]) -> list[str]:
    row = json.loads(rows[5])
    return [*rows[:5], json.dumps({**row, "subject": "sums"}), *rows[6:]]


def with_one_more(rows: list[str]) -> list[str]:
    row = json.loads(rows[0])
    return [*rows, json.dumps({**row, "problem": "1+1?"})]


DATA: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "moved": (moved, "data is '24:"),
    "edited": (edited, "data is '24:"),
    "added": (with_one_more, ", '25:"),
    "removed": (lambda rows: rows[:-1], ", '23:"),
}  # fmt: skip


@pytest.mark.parametrize("what", DATA)
def test_other_data(what: str, config: Path, inputs: Path, run: Path, tmp_path: Path) -> None:
    change, part = DATA[what]
    data = tmp_path / "train.jsonl"
    data.write_text("\n".join(change((inputs / "train.jsonl").read_text().splitlines())) + "\n")
    before = bytes_of(run)
    ended = train(config, run, f"data.questions={data}", "data.bad_demonstrations=skip")
    parts = (f"{run} holds another run", "data is '24:", "data.bad_demonstrations is 'refuse' there, 'skip' here")
    assert_refused(ended, *parts)
    assert part.removeprefix(", ") in ended.err and bytes_of(run) == before


IDENTITY: dict[tuple[str, ...], tuple[str, ...]] = {
    ("seed=7",): ("seed is 0 there, 7 here",),
    ("recipe=drgrpo",): ("recipe is 'relift' there, 'drgrpo' here",),
    ("seed=7", "rollout.temperature=0.5"): ("seed is 0 there", "rollout.temperature is 1.0 there, 0.5 here"),
}


@pytest.mark.parametrize("options", IDENTITY)
def test_another_configuration(options: tuple[str, ...], config: Path, run: Path) -> None:
    before = bytes_of(run)
    assert_refused(train(config, run, *options), f"{run} holds another run", *IDENTITY[options], "another folder")
    assert bytes_of(run) == before


def test_another_model(config: Path, inputs: Path, run: Path, tmp_path: Path) -> None:
    """The same folder elsewhere is the same model; one with another number in it is not."""
    model = tmp_path / "base"
    shutil.copytree(inputs / "base", model)
    before = bytes_of(run)
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-2] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    assert_refused(train(config, run, f"model.path={model}"), "holds another run", "model is '")
    assert bytes_of(run) == before
    shutil.copy(inputs / "base/model.safetensors", model)
    assert train(config, run, f"model.path={model}").status == 0


def test_a_tunable_change_needs_leave(config: Path, finished: Path, run: Path) -> None:
    before = bytes_of(run)
    options = ("steps=11", "rl.optimizer.lr=1e-4")
    parts = ("steps was 9 and is now 11", "rl.optimizer.lr was 0.001 and is now 0.0001")
    assert_refused(train(config, run, *options), *parts, "--allow-change steps --allow-change rl.optimizer.lr")
    assert_refused(train(config, run, *options, allow=("steps",)), parts[1])
    assert bytes_of(run) == before
    assert train(config, run, *options, allow=("steps", "rl.optimizer.lr")).status == 0
    record = run_json(run)
    fields = {"steps": [9, 11], "rl.optimizer.lr": [0.001, 0.0001]}
    assert record["changes"] == [{"from_step": 9, "fields": fields}] and record["exact"] is False
    assert (run / "commits/step-000011.json").exists() and check_run(run).problems == []


def test_a_folder_with_other_things(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.tex").write_text("1")
    before = bytes_of(folder)
    assert_refused(train(config, folder), "thesis: holds 'chapter.tex' but no run.json", "an empty folder")
    assert bytes_of(folder) == before and not (folder / ".lock").exists()


def test_a_damaged_run_json(config: Path, run: Path) -> None:
    path = run / "run.json"
    path.write_text(path.read_text().replace('"relift"', '"sft"', 1))
    before = bytes_of(run)
    assert_refused(train(config, run), "run.json: damaged", status=5)
    assert bytes_of(run) == before


# ---- step 0 taken over ---------------------------------------------------------------------------------------------


def test_a_base_run(config: Path, finished: Path, run: Path, tmp_path: Path) -> None:
    """Take over a base's step 0 as it would have been sampled; refuse another base, or one without a step 0."""
    taken = tmp_path / "taken" / "run"
    assert train(config, taken, f"probe.base_run={finished}").status == 0
    assert contents(taken) == contents(finished)

    new = tmp_path / "new"
    ended = train(config, new, f"probe.base_run={finished}", "seed=1", "probe.attempts=3")
    assert_refused(ended, "differs in config.seed, config.probe.attempts", "leave probe.base_run out")
    assert holds_nothing(new)
    shutil.rmtree(run / "commits")
    assert_refused(train(config, new, f"probe.base_run={run}"), "its step 0 is not there yet; run it first")
    assert holds_nothing(new)
    ended = train(config, tmp_path / "own", f"probe.base_run={tmp_path / 'own'}")
    assert_refused(ended, "no run is there")


# ---- a folder that cannot be written -------------------------------------------------------------------------------


def test_no_folder_can_be_there(config: Path, tmp_path: Path) -> None:
    """For root everything is writable, so: a file in the way, a file on the way, a file system that takes nothing."""
    file = tmp_path / "file"
    file.write_text("mine")
    assert_refused(train(config, file), "file: is a file, not a folder")
    assert_refused(train(config, file / "run"), "file/run: cannot write there", "choose another folder")
    assert file.read_text() == "mine"
    assert_refused(train(config, Path("/proc/relift-run")), "/proc/relift-run: cannot write there")


# ---- two trainers --------------------------------------------------------------------------------------------------


def wait_for(path: Path) -> Callable[[], None]:
    def act() -> None:
        deadline = time.monotonic() + 60
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.005)

    return act


def test_two_trainers(config: Path, finished: Path, tmp_path: Path) -> None:
    """The second leaves within two seconds, naming the first; the first does not notice."""
    run, go = tmp_path / "run", tmp_path / "go"
    first = Command("train", config, "--out", run, "--quiet", grader=HashGrader, before=at_step(3, wait_for(go)))
    wait_for(run / "commits/step-000002.json")()
    began = time.monotonic()
    second = train(config, run)
    took = time.monotonic() - began
    go.touch()
    assert first.wait().status == 0
    assert_refused(second, f"{run}: process {first.pid} on {socket.gethostname()} is writing there", "another folder")
    assert took < 2, f"{took:.1f} s"
    assert contents(run) == contents(finished) and check_run(run).problems == []


def test_two_trainers_start_together(config: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    both = [Command("train", config, "--out", run, "--quiet", grader=HashGrader) for _ in range(2)]
    ended = sorted((command.wait() for command in both), key=lambda e: e.status)
    assert [e.status for e in ended] == [0, 2]
    assert_refused(ended[1], "is writing there")
    assert contents(run) == contents(finished)


# ---- a full disk ---------------------------------------------------------------------------------------------------


def limit_files(n_bytes: int) -> Callable[[], None]:
    """No file of the own process grows beyond this: to a program it looks like a full disk (EFBIG)."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))


def leftovers(run: Path) -> list[str]:
    return [str(path.relative_to(run)) for path in run.rglob("*") if path.name.startswith((".tmp-", ".del-"))]


def finish(config: Path, run: Path, finished: Path) -> None:
    """With room again, the next start makes the same run of it."""
    assert leftovers(run) == []
    assert train(config, run).status == 0
    assert contents(run) == contents(finished) and check_run(run).problems == []


def test_the_disk_fills_up_while_training(config: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    ended = train(config, run, before=at_step(3, limit_files(100)))
    assert_refused(ended, "step-000003", "cannot write", "errno 27", " free", "goes on from its last", status=5)
    assert check_run(run).problems == [] and (run / "weights/step-000002/manifest.json").exists()
    finish(config, run, finished)


def at_checkpoint(step: int, act: Callable[[], object]) -> Callable[[], None]:
    """`act` happens when step `step` is committed and its checkpoint is about to be written."""

    def plant() -> None:
        count_skipped = around_updates.count_skipped

        def planted(run: Any, done: Any) -> None:
            if run.step == step:
                act()
            count_skipped(run, done)

        around_updates.count_skipped = planted

    return plant


def test_the_disk_fills_up_in_a_checkpoint(config: Path, finished: Path, tmp_path: Path) -> None:
    """Too little room for each file of the checkpoint in turn, the largest last: the one before stays the newest."""
    files = sorted(path.stat().st_size for path in (finished / "weights/step-000009").iterdir())
    # vLLM and others load whatever ends so; the state of training must not
    assert [path.name for path in (finished / "weights/step-000009").glob("*.safetensors")] == ["model.safetensors"]
    for n_bytes in sorted({files[0] - 1, files[len(files) // 2] - 1, files[-1] - 1}):
        run = tmp_path / str(n_bytes) / "run"
        ended = train(config, run, before=at_checkpoint(4, limit_files(n_bytes)))
        assert ended.status == 5, ended.err
        assert_refused(ended, "step-000004", "goes on from its last checkpoint", status=5)
        assert not (run / "weights/step-000004").exists() and check_run(run).problems == [] and leftovers(run) == []
    finish(config, run, finished)


class FullDisk(Disk):
    """From now on no byte fits."""

    def write(self, path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def fill(disk: Disk = DISK) -> None:
    disk.__class__ = FullDisk


def test_no_space_left(config: Path, finished: Path, tmp_path: Path) -> None:
    """ENOSPC itself: at the start of a run nothing is begun, later the run goes on."""
    run = tmp_path / "run"
    assert_refused(train(config, run, before=fill), "No space left on device (errno 28)", "bytes needed", status=5)
    assert holds_nothing(run)
    ended = train(config, run, before=at_step(5, fill))
    assert_refused(ended, "No space left on device", "make room and start again", status=5)
    finish(config, run, finished)


def test_no_room_for_another_checkpoint(config: Path, finished: Path, tmp_path: Path) -> None:
    """Twice the last checkpoint must fit before one is begun."""
    run = tmp_path / "run"
    ended = train(config, run, before=lambda: setattr(Disk, "free_bytes", lambda self, path: 1000))
    assert_refused(ended, "step-000002: no room", "bytes needed, 1,000 free", status=5)
    finish(config, run, finished)
