"""P5 and P6: one writer in a folder; readers beside it see whole steps and never an exception."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from relift.errors import RunInUse
from relift.store import RunReader, RunWriter, check_run
from tests.store.processes import fork, kill, running, wait
from tests.store.rows import N_QUESTIONS, RUN, demonstrations, questions, save, train, write_step


def race(folder: Path) -> None:
    """Two processes open one folder at once; one waits with the lock until the other has given up."""
    ready, go = os.pipe()
    lost, gave_up = os.pipe()

    def contend() -> None:
        os.read(ready, 1)
        begin = time.monotonic()
        try:
            with RunWriter(folder):
                os.write(gave_up, b"w")
                os.read(hold, 1)
        except RunInUse as error:
            assert time.monotonic() - begin < 2.0
            os.write(gave_up, b"l" if "process " in str(error) else b"?")

    hold, release = os.pipe()
    children = [fork(contend), fork(contend)]
    os.write(go, b"gg")
    assert sorted(os.read(lost, 1) + os.read(lost, 1)) == sorted(b"wl")
    os.write(release, b"x")
    assert [wait(pid) for pid in children] == [0, 0]
    for descriptor in (ready, go, lost, gave_up, hold, release):
        os.close(descriptor)


def test_one_of_two_wins(tmp_path: Path) -> None:
    for i in range(5):
        race(tmp_path / str(i))


@pytest.mark.fault
def test_one_of_two_wins_fifty_times(tmp_path: Path) -> None:
    for i in range(50):
        race(tmp_path / str(i))


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    for _ in range(20):
        ready, go = os.pipe()

        def hold(go: int = go) -> None:
            with RunWriter(tmp_path):
                os.write(go, b"x")
                time.sleep(60)

        pid = fork(hold)
        os.read(ready, 1)
        kill(pid)
        wait(pid)
        RunWriter(tmp_path).close()
        os.close(ready)
        os.close(go)


def write_and_resume(folder: Path, *, rounds: int) -> None:
    """Commits, checkpoints, retires, and now and then takes the last steps back, as a resume does."""
    with RunWriter(folder) as writer:
        writer.start(RUN, config_toml="", questions=questions(), demonstrations=demonstrations())
        step = 0
        for n in range(rounds):
            seen = np.zeros(N_QUESTIONS, np.int64)
            write_step(writer, step, seed=n, exposures=seen)  # rows differ when a step is done again
            writer.commit(step)
            if n % 3 == 0:
                save(writer, step, b"\0" * 32, seen, weights=50)
            step += 1
            if n % 10 == 9:
                saved = next(writer.checkpoints())
                writer.roll_back(saved.step)
                step = saved.step + 1


def read_beside(folder: Path, *, rounds: int) -> int:
    pid = fork(lambda: write_and_resume(folder, rounds=rounds))
    while not (folder / "run.json").exists():
        time.sleep(0.001)
    reader, n_reads = RunReader(folder), 0
    while running(pid):
        for table in ("attempts", "trajectories", "updates"):
            rows = reader.read(table, columns=["step"])
            per_step = {"attempts": 6, "trajectories": 3, "updates": 1}[table]
            assert (rows.groupby("step").size() == per_step).all()
        assert len(reader.read("responses", columns=["text"], question_ixs=[1])) % 2 == 0
        steps = reader.steps("attempts")
        assert steps == list(range(len(steps)))
        reader.read("checkpoints")
        if steps:
            reader.weights(steps[-1])
        n_reads += 6
    return n_reads


def test_a_reader_beside_a_writer(tmp_path: Path) -> None:
    assert read_beside(tmp_path / "run", rounds=40) > 60


@pytest.mark.fault
def test_a_reader_beside_a_writer_for_long(tmp_path: Path) -> None:
    """Six runs at least, and as many more as a busy machine takes to 2,000 reads."""
    n_reads = 0
    for i in range(24):
        n_reads += read_beside(tmp_path / f"run{i}", rounds=100)
        if i >= 5 and n_reads > 2_000:
            return
    pytest.fail(f"{n_reads} reads beside 24 writers")


def test_checking_beside_a_writer(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    pid = fork(lambda: train(folder, n_steps=30))
    while not (folder / "run.json").exists():
        time.sleep(0.001)
    n_checks = 0
    while running(pid):
        assert check_run(folder).problems == []
        n_checks += 1
    assert n_checks >= 2 and check_run(folder).problems == []
