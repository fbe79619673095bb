"""Run lighteval's grader as a process of its own: answers in, scores out. Needs its interpreter alone."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from relift.errors import InputError

SCRIPT = Path(__file__).with_name("grade.py")
START_SECONDS = 300.0  # importing lighteval takes 5 to 30
STALL_SECONDS = 60.0  # its own alarms end each phase after 5 s; past this it hangs where no alarm reaches


@dataclass(frozen=True)
class PeerRow:
    """Hold one answer for lighteval: the gold as its tasks would give it, the text without thoughts.

    `kind`: math or choice. `n_options`: how many letters there are to choose from (choice).
    """

    kind: str
    gold: str
    text: str
    n_options: int = 0


@dataclass(frozen=True)
class PeerGrade:
    """Hold lighteval's score, and what it read. `score` None: it has none, for the reason in `error`."""

    score: int | None
    golds: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    error: str | None = None


class LightevalGrader:
    """Grade rows in lighteval's interpreter; `versions` are known after the first `grade`.

    An answer on which that process dies or hangs gets no score, and the next one a new process.
    """

    def __init__(self, python: Path, *, stall_seconds: float = STALL_SECONDS) -> None:
        self.python = Path(python)
        self.versions: dict[str, str] = {}
        self._stall_seconds = stall_seconds

    def grade(self, rows: Sequence[PeerRow]) -> list[PeerGrade]:
        """Return a grade for each row, in order; equal rows are graded once.

        Raises InputError, one line, if there is no such interpreter or no lighteval in it.
        """
        distinct = list(dict.fromkeys(rows))
        grades: list[PeerGrade] = []
        while len(grades) < len(distinct):
            rest = distinct[len(grades) :]
            begun = len(grades)
            grades.extend(self._until_it_ends(rest))
            if len(grades) < len(distinct):
                why = "its process died or hung on this answer" + ("" if len(grades) > begun else ", the first given")
                grades.append(PeerGrade(None, error=why))
        by_row = dict(zip(distinct, grades, strict=True))
        return [by_row[row] for row in rows]

    def _until_it_ends(self, rows: Sequence[PeerRow]) -> Iterator[PeerGrade]:
        """Return the grades of one process, up to where it stopped."""
        if not rows:
            return
        with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as errors:
            given.writelines(json.dumps(vars(row)) + "\n" for row in rows)
            given.seek(0)
            process = self._start(given, errors)
            lines = _Lines(process)
            try:
                hello = lines.next(START_SECONDS)
                if hello is None:
                    errors.seek(0)
                    last = (errors.read().strip().splitlines() or ["it says nothing"])[-1]
                    raise InputError(f"{self.python}: lighteval does not start there ({last}); see docs/lighteval.md")
                self.versions = hello["versions"]
                for _ in rows:
                    line = lines.next(self._stall_seconds)
                    if line is None:
                        return
                    yield PeerGrade(line["score"], tuple(line["golds"]), tuple(line["answers"]), line["error"])
            finally:
                process.kill()
                process.wait()
                lines.close()

    def _start(self, given: IO[str], errors: IO[str]) -> subprocess.Popen[str]:
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        try:
            return subprocess.Popen(
                [str(self.python), "-P", "-W", "ignore", str(SCRIPT)],
                stdin=given, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
            )  # fmt: skip
        except OSError as error:
            raise InputError(
                f"{self.python}: cannot start it: {error.strerror}; give the Python of an environment with lighteval"
            ) from error


class _Lines:
    """Read lines of JSON from a process, waiting for each no longer than is said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._queue: queue.Queue[str | None] = queue.Queue()
        assert process.stdout is not None
        self._stream = process.stdout
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            self._queue.put(line)
        self._queue.put(None)

    def close(self) -> None:
        """Release the pipe after the process has ended."""
        self._thread.join()
        self._stream.close()

    def next(self, seconds: float) -> dict[str, Any] | None:
        """Return the next line; None at the end, after that many seconds, or for half a line."""
        try:
            line = self._queue.get(timeout=seconds)
        except queue.Empty:
            return None
        if line is None or not line.endswith("\n"):
            return None
        parsed: dict[str, Any] = json.loads(line)
        return parsed
