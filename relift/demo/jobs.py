"""Run processes side by side: each job may wait for others; the first failure ends all of them."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from relift.errors import ReliftError

POLL_SECONDS = 0.1
MEMORY = ".mib"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
GRACE_SECONDS = 30.0  # a training run saves at its next step before it ends


class Process(Protocol):
    """Require of a running job the verbs of subprocess.Popen."""

    def poll(self) -> int | None:
        """Return the exit status; None while it runs."""

    def send_signal(self, number: int, /) -> None:
        """Send a signal."""

    def wait(self, timeout: float) -> int:
        """Wait for its end, at most so many seconds; return the exit status."""

    def kill(self) -> None:
        """End it at once."""


Launch = Callable[[Sequence[str], Path], Process]


class JobFailed(ReliftError):
    """Report that a job ended with this exit status; its log says why."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


@dataclass
class DemoJob:
    """Plan one process. `command` is called when the job starts: it may depend on the results of earlier jobs."""

    name: str
    command: Callable[[], Sequence[str]]
    log: Path
    after: tuple[str, ...] = ()
    done: Callable[[], bool] = lambda: False  # nothing to do: an earlier start finished it
    process: Process | None = field(default=None, repr=False)
    finished: bool = False


def run_jobs(
    jobs: Sequence[DemoJob],
    *,
    workers: int,
    launch: Launch,
    tick: Callable[[], None] = lambda: None,
    on_failure: Callable[[JobFailed], None] | None = None,
) -> None:
    """Run all jobs, `workers` at a time, earlier ones first; `tick` is called often, to draw progress.

    One thread of computation each. A failure is raised as JobFailed with the job's last line; where `on_failure` is
    given it is called with it instead and the others go on, those that waited for the job too. On any exception,
    Ctrl-C and SIGTERM included, the running jobs are asked to stop (they save) and waited for.
    """
    by_name = {job.name: job for job in jobs}
    os.environ.update(ONE_THREAD)
    usual = signal.signal(signal.SIGTERM, _exit)
    try:
        while not all(job.finished for job in jobs):
            for job in jobs:
                _settle(job, on_failure)
            running = sum(job.process is not None and not job.finished for job in jobs)
            ready = [
                j for j in jobs if j.process is None and not j.finished and all(by_name[a].finished for a in j.after)
            ]
            for job in ready:
                if job.done():
                    job.finished = True
                elif running < workers:
                    job.log.parent.mkdir(parents=True, exist_ok=True)
                    running += _start(job, launch, on_failure)
            tick()
            time.sleep(POLL_SECONDS)
    finally:
        _stop([job.process for job in jobs if job.process is not None])
        signal.signal(signal.SIGTERM, usual)
    tick()


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def start_warm(main: Callable[[list[str]], None], command: Sequence[str], log_file: Path) -> Process:
    """Start a process that calls `main(command)`, forked from a server that has imported torch already."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["relift.trainer.setup", "relift.trainer.loop", "relift.demo.base_model"])
    process = context.Process(target=_run, args=(main, list(command), str(log_file)))
    process.start()
    return _Warm(process)


class _Warm:
    """Give a process of multiprocessing the verbs of subprocess.Popen."""

    def __init__(self, process: Any) -> None:
        self._process = process

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("relift", timeout)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()


def _run(main: Callable[[list[str]], None], command: list[str], log_file: str) -> None:
    """Run the call in the child: its output goes to the log, its largest memory (MiB) beside it."""
    with open(log_file, "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        main(command)
    except ReliftError as error:
        print(f"relift: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    finally:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        Path(log_file).with_suffix(MEMORY).write_text(str(peak))


def _start(job: DemoJob, launch: Launch, on_failure: Callable[[JobFailed], None] | None) -> bool:
    """Start a job; False where it cannot be, for want of what an earlier job that failed was to give it."""
    try:
        command = job.command()
    except ReliftError as error:
        if on_failure is None:
            raise
        job.finished = True
        on_failure(JobFailed(f"{job.name}: {error}", error.exit_status))
        return False
    job.process = launch(command, job.log)
    return True


def _settle(job: DemoJob, on_failure: Callable[[JobFailed], None] | None) -> None:
    if job.process is None or job.finished or (status := job.process.poll()) is None:
        return
    if status:
        lines = job.log.read_text(errors="replace").strip().splitlines() or ["it left no message"]
        failure = JobFailed(f"{job.name}: {lines[-1]} (log: {job.log})", status if status > 0 else 1)
        if on_failure is None:
            raise failure
        on_failure(failure)
    job.finished = True


def _stop(processes: Sequence[Process]) -> None:
    """Ask the processes to end, wait, then end them."""
    alive = [p for p in processes if p.poll() is None]
    for process in alive:
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for process in alive:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
