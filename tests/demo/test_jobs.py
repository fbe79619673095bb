"""Processes side by side: order, failures, what is done already."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from relift.demo.jobs import DemoJob, JobFailed, Process
from relift.demo.jobs import run_jobs as run_jobs_with
from relift.errors import InputError


def start(command: Sequence[str], log_file: Path) -> Process:
    with log_file.open("ab") as log:
        return subprocess.Popen(list(command), stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


run_jobs = partial(run_jobs_with, launch=start)


def touching(name: str, folder: Path, **more: object) -> DemoJob:
    """A job that appends its name to a file."""
    code = f"open({str(folder / 'order')!r}, 'a').write({name + ' '!r})"
    return DemoJob(name, lambda: python("-c", code), folder / f"{name}.log", **more)  # type: ignore[arg-type]


def test_jobs_wait_for_those_before_them(tmp_path: Path) -> None:
    jobs = [touching("last", tmp_path, after=("middle",)), touching("middle", tmp_path, after=("first",))]
    run_jobs([*jobs, touching("first", tmp_path)], workers=2)
    assert (tmp_path / "order").read_text() == "first middle last "


def test_finished_jobs_are_not_started(tmp_path: Path) -> None:
    run_jobs([touching("done", tmp_path, done=lambda: True), touching("new", tmp_path, after=("done",))], workers=1)
    assert (tmp_path / "order").read_text() == "new "


def test_a_failure_ends_the_others_and_is_told_with_its_last_line(tmp_path: Path) -> None:
    bad = DemoJob("bad", lambda: python("-c", "import sys; print('it broke'); sys.exit(5)"), tmp_path / "bad.log")
    endless = DemoJob("endless", lambda: python("-c", "import time; time.sleep(60)"), tmp_path / "endless.log")
    began = time.monotonic()
    with pytest.raises(JobFailed, match="bad: it broke") as failure:
        run_jobs([bad, endless], workers=2)
    assert failure.value.exit_status == 5
    assert endless.process is not None and endless.process.poll() == -signal.SIGTERM
    assert time.monotonic() - began < 30


def test_failures_may_be_told_of_and_the_others_go_on(tmp_path: Path) -> None:
    def refuse() -> list[str]:
        raise InputError("no run is there")

    bad = DemoJob("bad", lambda: python("-c", "import sys; print('it broke'); sys.exit(5)"), tmp_path / "bad.log")
    unready = DemoJob("unready", refuse, tmp_path / "unready.log", after=("bad",))
    failures: list[JobFailed] = []
    jobs = [bad, unready, touching("last", tmp_path, after=("unready",))]
    run_jobs(jobs, workers=1, on_failure=failures.append)
    assert (tmp_path / "order").read_text() == "last "
    assert [(str(f).split(" (")[0], f.exit_status) for f in failures] == [
        ("bad: it broke", 5),
        ("unready: no run is there", 2),
    ]
    with pytest.raises(InputError, match="no run is there"):
        run_jobs([DemoJob("unready", refuse, tmp_path / "unready.log")], workers=1)


def test_sigterm_stops_the_jobs(tmp_path: Path) -> None:
    endless = DemoJob("endless", lambda: python("-c", "import time; time.sleep(60)"), tmp_path / "endless.log")
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(SystemExit) as stop:
        run_jobs([endless], workers=1)
    assert stop.value.code == 143
    assert endless.process is not None and endless.process.poll() is not None
