"""Killable worker processes, seen from the parent: pairs go out, three-valued verdicts come back, all in time.

Started with the first pair that needs them; no threads, nothing pickled, nothing of the caller's `__main__` imported.
A forked copy of the parent starts workers of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PAIRS_PER_TASK = 8
CHARACTERS_PER_TASK = 30_000  # a task fits into a pipe
START_SECONDS = 60.0  # import of sympy on a busy machine
STOP_SECONDS = 1.0  # for the workers to notice their end, then they are killed: Ctrl-C waits for them
RESTARTS = 3


@dataclass(frozen=True)
class Pair:
    """One gold answer with the spellings of one answer, as math-verify shall read them; `mode`: see worker.Library."""

    gold: str
    answers: tuple[str, ...]
    mode: str = "pair"


@dataclass(frozen=True)
class Outcome:
    """correct, wrong or undecided; `reason` (timeout, crash, memory, error, gold_unreadable) where undecided."""

    verdict: str
    reason: str = ""


@dataclass
class _Task:
    id: int
    places: list[int]  # of the pairs, in the caller's order
    done: int = 0


@dataclass
class _Worker:
    request: int  # file descriptors on our side
    reply: int
    pid: int = 0
    task: _Task | None = None
    preparing: int = 0  # pairs of `prepare` it has not answered yet
    deadline: float = 0.0
    killed: bool = False
    buffer: bytes = b""
    queue: deque[list[int]] = field(default_factory=deque)


class PoolBroken(RuntimeError):
    """The worker processes cannot be kept alive at all (not: an answer killed one)."""


class Pool:
    """`workers` processes that judge pairs, each within `limit_seconds` of wall time."""

    def __init__(self, *, workers: int, limit_seconds: float) -> None:
        self.size = workers
        self.limit_seconds = limit_seconds
        self._owner = 0  # process that started them
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._workers: list[_Worker] = []
        self._next_id = 0

    def judge(self, pairs: Sequence[Pair]) -> list[Outcome]:
        """The outcome of every pair, in order. Raises PoolBroken when no worker can be kept alive."""
        if not pairs:
            return []
        if self._owner not in (0, os.getpid()):
            self._forget()
        with self._lock:
            outcomes: list[Outcome | None] = [None] * len(pairs)
            for attempt in range(RESTARTS):
                try:
                    self._start()
                    self._run(pairs, outcomes)
                    break
                except (BrokenPipeError, EOFError, ProcessLookupError) as error:
                    self._stop()
                    if attempt == RESTARTS - 1:
                        raise PoolBroken(f"the grader's worker processes end at once: {error!r}") from error
            return [outcome if outcome is not None else Outcome("undecided", "crash") for outcome in outcomes]

    def prepare(self, golds: Sequence[str]) -> None:
        """Start the workers and send them gold answers to read; returns at once. What does not fit is left out."""
        if self._owner not in (0, os.getpid()):
            self._forget()
        with self._lock:
            self._start()
            shares: list[list[str]] = [[] for _ in self._workers]
            for gold in golds:
                shares[_home(gold, self.size)].append(gold)
            for worker, share in zip(self._workers, shares, strict=True):
                for place in range(0, len(share), PAIRS_PER_TASK):
                    part = share[place : place + PAIRS_PER_TASK]
                    line = _line(-1, "gold", [Pair(gold, ()) for gold in part])
                    os.set_blocking(worker.request, False)
                    try:
                        written = os.write(worker.request, line) if len(line) <= 4_096 else 0
                    except BlockingIOError:
                        break
                    finally:
                        os.set_blocking(worker.request, True)
                    worker.preparing += len(part) if written else 0

    def close(self) -> None:
        """End the processes."""
        if self._owner == os.getpid():
            with self._lock:
                self._stop()
        elif self._owner:
            self._forget()

    def _start(self) -> None:
        if self._process is not None:
            return
        requests, replies = ([os.pipe() for _ in range(self.size)] for _ in range(2))
        theirs = [(request[0], reply[1]) for request, reply in zip(requests, replies, strict=True)]
        search_path = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "relift.grading.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for the parent, whose end they notice
            pass_fds=[fd for pair in theirs for fd in pair],
            env={**os.environ, "PYTHONPATH": search_path, "PYTHONHASHSEED": "0"},  # one order of sets in every worker
        )
        self._owner = os.getpid()
        for pair in theirs:
            for fd in pair:
                os.close(fd)
        self._workers = [_Worker(request[1], reply[0]) for request, reply in zip(requests, replies, strict=True)]
        assert self._process.stdin is not None
        setup = {"pipes": theirs, "limit_seconds": self.limit_seconds, "parent": os.getpid()}
        self._process.stdin.write(json.dumps(setup).encode() + b"\n")
        self._process.stdin.flush()

    def _run(self, pairs: Sequence[Pair], outcomes: list[Outcome | None]) -> None:
        for worker in self._workers:
            worker.queue.clear()
            worker.task = None
        for task in _batches(pairs, outcomes):
            self._workers[_home(pairs[task[0]].gold, self.size)].queue.append(task)
        started = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                selector.register(worker.reply, selectors.EVENT_READ, worker)
            while any(outcome is None for outcome in outcomes):
                self._hand_out(pairs)
                now = time.monotonic()
                working = [w.deadline for w in self._workers if w.task is not None and not w.killed]
                if not working and not any(w.pid for w in self._workers) and now - started > START_SECONDS:
                    raise EOFError(f"no worker after {START_SECONDS:.0f} s")
                wait = max(0.0, min(working) - now) if working else 1.0
                for key, _ in selector.select(wait):
                    self._hear(key.data, outcomes)
                self._kill_the_late()

    def _hand_out(self, pairs: Sequence[Pair]) -> None:
        """Give every idle worker a task: of its own queue, or of the longest one."""
        for worker in self._workers:
            if not worker.pid or worker.task is not None or worker.preparing:
                continue
            source = worker if worker.queue else max(self._workers, key=lambda w: len(w.queue))
            if not source.queue:
                return
            places = source.queue.popleft()
            worker.task = _Task(self._next_id, places)
            self._next_id += 1
            _write(worker.request, _line(worker.task.id, pairs[places[0]].mode, [pairs[p] for p in places]))
            worker.deadline = time.monotonic() + self.limit_seconds

    def _hear(self, worker: _Worker, outcomes: list[Outcome | None]) -> None:
        data = os.read(worker.reply, 65_536)
        if not data:
            raise EOFError("the workers are gone")
        *lines, worker.buffer = (worker.buffer + data).split(b"\n")
        for line in lines:
            message: list[Any] = json.loads(line)
            if message[0] == "ready":
                self._replaced(worker, pid=message[1], status=message[2], outcomes=outcomes)
            elif message[0] == -1:
                worker.preparing -= 1
            elif worker.task is not None and message[0] == worker.task.id:
                outcomes[worker.task.places[message[1]]] = Outcome(message[2], message[3])
                worker.task.done = message[1] + 1
                worker.deadline = time.monotonic() + self.limit_seconds
                if worker.task.done == len(worker.task.places):
                    worker.task = None

    def _replaced(self, worker: _Worker, *, pid: int, status: int, outcomes: list[Outcome | None]) -> None:
        """A new process stands in: what the old one was at is undecided, what it had not begun goes back."""
        worker.pid, worker.preparing = pid, 0 if worker.pid else worker.preparing
        task, worker.task = worker.task, None
        late, worker.killed = worker.killed or status == -signal.SIGALRM, False
        if task is None or task.done == len(task.places):
            return
        outcomes[task.places[task.done]] = Outcome("undecided", "timeout" if late else "crash")
        rest = task.places[task.done + 1 :]
        if rest:
            worker.queue.appendleft(rest)

    def _kill_the_late(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.task is not None and not worker.killed and now >= worker.deadline:
                worker.killed = True
                with contextlib.suppress(ProcessLookupError):  # it ended by itself: its replacement will say so
                    os.kill(worker.pid, signal.SIGKILL)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:  # still importing, perhaps
                process.kill()
                process.wait()
        self._close_pipes()

    def _forget(self) -> None:
        """In a forked copy: the workers are the original's; only our copies of the pipes are closed."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.returncode = 0  # not our child: nothing to wait for, nothing to warn of
        self._process = None
        self._lock = threading.Lock()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for worker in self._workers:
            os.close(worker.request)
            os.close(worker.reply)
        self._workers, self._owner = [], 0

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter may be half gone
            self.close()


def _home(gold: str, workers: int) -> int:
    """The worker that should read this gold: the same one each time, in every process."""
    return sum(gold.encode("utf-8", "replace")) % workers


def _batches(pairs: Sequence[Pair], outcomes: Sequence[Outcome | None]) -> list[list[int]]:
    """Places of the pairs still to be judged, by gold answer, a few to a task."""
    by_gold: dict[tuple[str, str], list[int]] = {}
    for place, pair in enumerate(pairs):
        if outcomes[place] is None:
            by_gold.setdefault((pair.mode, pair.gold), []).append(place)
    tasks: list[list[int]] = []
    for places in by_gold.values():
        size, task = 0, list[int]()
        for place in places:
            length = len(pairs[place].gold) + sum(map(len, pairs[place].answers))
            if task and (len(task) == PAIRS_PER_TASK or size + length > CHARACTERS_PER_TASK):
                tasks.append(task)
                size, task = 0, []
            task.append(place)
            size += length
        tasks.append(task)
    return tasks


def _line(task: int, mode: str, pairs: Sequence[Pair]) -> bytes:
    return json.dumps({"id": task, "mode": mode, "pairs": [[p.gold, p.answers] for p in pairs]}).encode() + b"\n"


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
