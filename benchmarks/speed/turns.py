"""Time calls of several processes in turns, so that they meet the same machine.

Each works for half a second while the others are stopped with all that they started; its seconds are those of its
turns. On a shared machine, whose speed changes by ten per cent within minutes, two equal calls then differ by less than
one.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

MARK = "RELIFT "  # vLLM and others write to standard output too: our lines begin with this
TURN_SECONDS = 0.5  # shorter than what a grader gives one answer, which runs on while it is stopped


def serve(info: Mapping[str, Any], call: Callable[[str], Mapping[str, Any]]) -> None:
    """Serve calls: say `info`, then for every line of the input say what `call(line)` returned.

    `begin` and `end` are added, seconds of a clock that processes share, and `cpu_seconds`.
    """
    say(info)
    for line in sys.stdin:
        begin, before = time.monotonic(), cpu_seconds()
        said = call(line.strip())
        cpu, end = cpu_seconds() - before, time.monotonic()
        say({"begin": begin, "end": end, "cpu_seconds": cpu, **said})


def say(message: Mapping[str, Any]) -> None:
    """Write one message for the process that drives this one."""
    print(MARK + json.dumps(message, default=str), flush=True)


class Caller:
    """Drive a process that makes a call for every line of its input and says what it came to (`serve`).

    `environment`: variables beside ours.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self.said: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()  # None: it has ended
        self.turns: list[tuple[float, float]] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(MARK):
                self.said.put(json.loads(line.removeprefix(MARK)))
        self.said.put(None)

    def hear(self, seconds: float | None = None) -> dict[str, Any] | None:
        """Return its next message; None if there is none for so long. Raises RuntimeError if it has ended."""
        try:
            message = self.said.get(timeout=seconds)
        except queue.Empty:
            return None
        if message is None:
            raise RuntimeError(f"its process ended with status {self.process.wait()}")
        return message

    def tell(self, line: str = "call") -> None:
        """Let it make the call of this line."""
        self.turns = []
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)

    def signal(self, number: signal.Signals) -> None:
        """Signal the process and all that it started, also what it starts meanwhile."""
        reached: set[int] = set()
        while new := [pid for pid in family(self.process.pid) if pid not in reached]:
            for pid in new:
                reached.add(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def turn(self, seconds: float) -> dict[str, Any] | None:
        """Let it work for so many seconds, then stop it. Returns what its call came to, once that has ended."""
        begin = time.monotonic()
        self.signal(signal.SIGCONT)
        result = self.hear(seconds)
        if result is None:
            self.signal(signal.SIGSTOP)
        self.turns.append((begin, time.monotonic()))
        return result and {**result, "seconds": worked(self.turns, result["begin"], result["end"])}

    def close(self) -> None:
        """Close its input, which ends it, and wait for that."""
        self.signal(signal.SIGCONT)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()  # it ends with its input
        self.process.wait()
        self._listener.join()
        self.process.stdout.close()


def worked(turns: Sequence[tuple[float, float]], begin: float, end: float) -> float:
    """Sum the seconds of these turns (each from, to) that lie between begin and end."""
    return sum(max(0.0, min(end, stop) - max(begin, start)) for start, stop in turns)


def take_turns(callers: Sequence[Caller]) -> list[dict[str, Any]]:
    """Make one call of each, in turns of TURN_SECONDS; seconds are those of a caller's own turns."""
    results: dict[Caller, dict[str, Any]] = {}
    for caller in callers:
        caller.signal(signal.SIGSTOP)  # before it is told, so that it does nothing outside of its turns
        caller.tell()
    while len(results) < len(callers):
        for caller in callers:
            if caller not in results and (result := caller.turn(TURN_SECONDS)):
                results[caller] = result
    return [results[caller] for caller in callers]


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and all that it started, ended ones included."""
    ticks = 0
    for pid in family(os.getpid()):
        with contextlib.suppress(OSError):
            ticks += sum(map(int, _stat(pid)[11:15]))  # user, system, and of the waited for
    return ticks / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """List a process and all that it started, itself first."""
    parent = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                parent[int(entry.name)] = int(_stat(int(entry.name))[1])
    found = [pid]
    for one in found:
        found += [child for child, of in parent.items() if of == one]
    return found


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
