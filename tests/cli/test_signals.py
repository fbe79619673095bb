"""Ctrl-C and SIGTERM: saved at the next step, and the second start makes the same run of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from relift.store import check_run
from tests.cli.command import Command, Ended, at_step, relift
from tests.resume.harness import HashGrader, contents

EXIT = {signal.SIGINT: 130, signal.SIGTERM: 143}  # 128 + the signal's number
SIGNALS = list(EXIT)


def send(*numbers: int) -> Callable[[], None]:
    """The own process gets these signals, one after the other."""

    def act() -> None:
        for number in numbers:
            os.kill(os.getpid(), number)

    return act


def train(config: Path, run: Path, *, before: Callable[[], object] = lambda: None) -> Ended:
    return relift("train", config, "--out", run, "--quiet", grader=HashGrader, before=before)


def status_of(run: Path) -> str:
    return json.loads((run / "run.json").read_text())["status"]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_saves_at_the_next_step(number: int, config: Path, finished: Path, tmp_path: Path) -> None:
    """In step 3, which has no checkpoint of its own (every 2): one is made, and leaves no row in `checkpoints`."""
    run = tmp_path / "run"
    ended = train(config, run, before=at_step(3, send(number)))
    assert (ended.status, ended.out, ended.err) == (EXIT[signal.Signals(number)], "", "")
    assert status_of(run) == "interrupted" and check_run(run).problems == []
    assert (run / "weights/step-000003").is_dir() and not (run / "commits/step-000004.json").exists()
    assert pq.read_table(run / "checkpoints.parquet")["step"].to_pylist() == [0, 2]

    assert train(config, run).status == 0
    assert status_of(run) == "done" and check_run(run).problems == []
    assert contents(run) == contents(finished)
    record = json.loads((run / "run.json").read_text())
    assert [start["from_step"] for start in record["starts"]] == [None, 3]  # nothing was done twice
    assert record["exact"] is True


def test_what_is_said(config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    ended = relift("train", config, "--out", run, grader=HashGrader, before=at_step(3, send(signal.SIGINT)))
    assert ended.status == 130 and "Traceback" not in ended.err and ended.out == ""
    assert "stopped after step 3; start the same command again to continue\n" in ended.err


# Ctrl-C ends Python, which says so; SIGTERM ends the process as the system does it.
SECOND = [
    ((signal.SIGINT, signal.SIGINT), 130),
    ((signal.SIGTERM, signal.SIGINT), 130),
    ((signal.SIGTERM, signal.SIGTERM), -signal.SIGTERM),
    ((signal.SIGINT, signal.SIGTERM), -signal.SIGTERM),
]


@pytest.mark.parametrize(("numbers", "status"), SECOND)
def test_a_second_signal_ends_at_once(
    numbers: tuple[int, int], status: int, config: Path, finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    ended = train(config, run, before=at_step(3, send(*numbers)))
    assert ended.status == status
    assert ended.err == ("relift: interrupted; start the same command again to continue\n" if status == 130 else "")
    assert not (run / "commits/step-000003.json").exists(), "the step was finished"
    assert train(config, run).status == 0
    assert contents(run) == contents(finished)


def test_a_signal_in_the_last_step_is_the_end(config: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(config, run, before=at_step(9, send(signal.SIGINT))).status == 0  # 9 steps: there is no next one
    assert status_of(run) == "done" and contents(run) == contents(finished)


def test_a_signal_at_the_first_instant(config: Path, finished: Path, tmp_path: Path) -> None:
    """While nothing but the base is there, however early the signal comes, the next start makes the run whole."""
    run = tmp_path / "run"
    command = Command("train", config, "--out", run, "--quiet", grader=HashGrader)
    deadline = time.monotonic() + 20
    while not (run / "run.json").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(command.pid, signal.SIGINT)
    assert command.wait().status == 130
    assert train(config, run).status == 0
    assert contents(run) == contents(finished)


@pytest.mark.slow
def test_ctrl_c_at_a_terminal(config: Path, tmp_path: Path) -> None:
    """The real command in a session of its own, the signal to its whole group as a terminal sends it."""
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "relift.cli", "train", str(config), "--out", str(run), "--set", "steps=2000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (run / "commits/step-000001.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130 and out == "" and "Traceback" not in err
    assert "start the same command again to continue" in err
    assert status_of(run) == "interrupted" and check_run(run).problems == []
