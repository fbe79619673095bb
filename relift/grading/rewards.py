"""Call a reward function of one's own in a process that can be killed, as the grader's workers can.

The function is named `module:function` or `file.py:function`. It is called for one question at a time, by keyword, with
lists that have an entry for each attempt, of those in COLUMNS that it takes:

    def reward(answers, golds, **columns):
        return [1.0 if gold in answer else 0.0 for answer, gold in zip(answers, golds)]

and returns as many numbers, or None for an attempt that is to have no reward.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from relift.errors import InputError
from relift.grading.grader import LIMIT_SECONDS
from relift.grading.pool import START_SECONDS, STOP_SECONDS

COLUMNS = (
    "questions", "answers", "golds", "verdicts", "finishes", "n_tokens", "assistances", "question_ids", "sources",
    "subjects", "levels", "options",
)  # fmt: skip
Columns = Mapping[str, Sequence[Any]]  # one question's attempts: a list for each name in COLUMNS


@dataclass(frozen=True)
class Given:
    """Rewards of each question's attempts, None where there is none, and what went wrong with how many questions."""

    rewards_QG: list[list[float | None]]
    n_failed: int = 0
    why: str = ""  # of the first that failed


class RewardFunction:
    """A reward function in its process, which starts with the `with` block and ends with it.

    Raises InputError, at the start, for a function that cannot be had. `source` is a hash of its file.
    """

    def __init__(self, name: str, *, limit_seconds: float = LIMIT_SECONDS) -> None:
        self.name = name
        self.limit_seconds = limit_seconds  # of one attempt
        self.source = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._replies = -1
        self._buffer = b""

    def __enter__(self) -> Self:
        place, colon, function = self.name.rpartition(":")
        if not colon or not place or not function.isidentifier():
            raise InputError(f"rl.reward = {self.name!r}: write module:function, or file.py:function")
        self._start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop()

    def give(self, groups: Sequence[Columns]) -> Given:
        """Reward the attempts at each question. A call that fails, or passes its limit, gives none."""
        rewards: list[list[float | None]] = []
        words: list[str] = []
        for columns in groups:
            n = len(columns["answers"])
            made = self._call(columns, seconds=self.limit_seconds * n)
            rewards.append(made["rewards"] if "rewards" in made else [None] * n)
            words += [made["error"]] if "error" in made else []
        return Given(rewards, len(words), words[0] if words else "")

    def _call(self, columns: Columns, *, seconds: float) -> dict[str, Any]:
        if self._process is None:
            self._start()
        process = self._process
        assert process is not None and process.stdin is not None
        line = json.dumps({"limit_seconds": seconds, "columns": dict(columns)}).encode() + b"\n"
        try:
            process.stdin.write(line)
            process.stdin.flush()
            reply = self._read(seconds)
        except BrokenPipeError:
            reply = None
        except TimeoutError:
            self._stop(at_once=True)
            return {"error": f"it takes more than {seconds:g} seconds for {len(columns['answers'])} answers"}
        if reply is None:
            self._stop(at_once=True)
            return {"error": f"its process ended ({_end_of(process.returncode)})"}
        return reply

    def _start(self) -> None:
        """Start the process and wait until it has the function; one that was edited meanwhile is refused."""
        self._replies, theirs = os.pipe()
        path = [entry for entry in sys.path if entry] + [os.getcwd()]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "relift.grading.reward_worker", self.name, str(theirs), ",".join(COLUMNS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            process_group=0,
            pass_fds=[theirs],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONHASHSEED": "0"},
        )
        os.close(theirs)
        self._buffer = b""
        process = self._process
        try:
            reply = self._read(START_SECONDS)
        except TimeoutError:
            reply = {"error": f"its import takes more than {START_SECONDS:.0f} seconds"}
        if reply is None:
            self._stop(at_once=True)
            reply = {"error": f"its import ended the process ({_end_of(process.returncode)})"}
        if "error" in reply:
            self._stop(at_once=True)
            raise InputError(f"rl.reward = {self.name}: {reply['error']}")
        if self.source and reply["source"] != self.source:
            self._stop(at_once=True)
            raise InputError(f"rl.reward = {self.name}: its file has changed since the run was started; put it back")
        self.source = reply["source"]

    def _read(self, seconds: float) -> dict[str, Any] | None:
        """Read one line; None at the end of the pipe. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError
                data = os.read(self._replies, 65_536)
                if not data:
                    return None
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _stop(self, *, at_once: bool = False) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            if at_once:
                process.kill()
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(self._replies)


def plain_name(name: str | None) -> str | None:
    """Name a reward function without the folder of its file: for the identity of a run."""
    place, colon, function = (name or "").rpartition(":")
    return f"{Path(place).name}{colon}{function}" if place.endswith(".py") else name


def _end_of(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
