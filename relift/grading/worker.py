"""The process that runs math-verify, and dies of it: `python -m relift.grading.worker`, started by relift.grading.pool.

One process imports sympy and math-verify, warms them up, and forks a worker for each pair of pipes it was given; a
worker that dies is replaced by another fork within milliseconds. Messages are lines of JSON, so nothing is ever
unpickled. Three fences stand around each pair: the parent's clock (it kills the worker), the kernel's timer with the
default action (no handler, no interpreter lock needed; it works when the parent is gone), and a limit on memory.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import logging
import os
import resource
import select
import signal
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from relift.grading.confirm import confirmed
from relift.grading.papers import RULES

MEMORY_BYTES = 2 * 1024**3
GRACE_SECONDS = 0.5  # the kernel's timer behind the parent's clock
GOLDS_KEPT = 20_000
PAIRS_PER_LIFE = 20_000  # then a worker makes room for a fresh one: sympy's caches grow
# Pairs of every kind that go the whole way: simplify, solve and the set routines fill their tables at first use
WARM_UP = (
    ("$12$", "$12.5$"), (r"$\frac{1}{2}$", "1/2"), (r"$2\sqrt{3}+1$", r"$5\sqrt{2}$"), ("$x^2+1$", "$x^2+2x$"),
    ("$(1,2)$", "$1,3$"), (r"$\{1,2\}$", r"$\{1,3\}$"), ("$x=5$", "$2x=11$"), ("$[1,2)$", r"$(0,1)\cup(1,3)$"),
    ("$x>2$", "$x<2$"), (r"$\sin 2x$", r"$\cos x$"), (r"$\text{even}$", "$odd$"), ("$50$", r"$5\%$"),
)  # fmt: skip

CORRECT, WRONG = "correct", "wrong"


def main() -> None:
    """Read the set-up line from stdin, fork the workers, replace the dead, end when stdin closes."""
    setup = json.loads(sys.stdin.buffer.readline())
    logging.disable(logging.CRITICAL)
    library = Library()
    for gold, answer in WARM_UP:
        library.warm_up(gold, answer)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    pipes = [tuple(pair) for pair in setup["pipes"]]
    living: dict[int, int] = {}  # pid -> number of its pipes
    for number in range(len(pipes)):
        living[_fork(number, pipes, setup["limit_seconds"], library, status=0)] = number
    control = sys.stdin.fileno()
    while True:
        ready, _, _ = select.select([control, woken], [], [], 1.0)
        if woken in ready:
            os.read(woken, 4096)
        if (control in ready and not os.read(control, 4096)) or os.getppid() != setup["parent"]:
            for pid in living:
                os.kill(pid, signal.SIGKILL)
            return
        while living:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            number = living.pop(pid)
            status = os.waitstatus_to_exitcode(status)
            living[_fork(number, pipes, setup["limit_seconds"], library, status=status)] = number


def _fork(number: int, pipes: list[tuple[int, ...]], limit_seconds: float, library: Library, *, status: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent ends us
        _die_with_parent()
        reading, writing = pipes[number]
        for other in (*(fd for pair in pipes for fd in pair), 0):
            if other not in (reading, writing):
                os.close(other)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _serve(reading, writing, limit_seconds, library, status)
        code = 0
    finally:
        os._exit(code)  # never back into the loop of the process that forks


def _die_with_parent() -> None:
    """Ask the kernel (Linux) to kill this process when the one that forked it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def _serve(reading: int, writing: int, limit_seconds: float, library: Library, status: int) -> None:
    """Tell that we are here (and how our predecessor ended), then answer line by line, pair by pair."""
    os.set_blocking(reading, False)
    while status and select.select([reading], [], [], 0)[0]:
        if not os.read(reading, 65_536):  # what a predecessor left unread is nobody's any more
            return
    os.set_blocking(reading, True)
    _say(writing, ["ready", os.getpid(), status])
    served = 0
    with os.fdopen(reading, "rb", closefd=False) as lines:
        for line in lines:
            task = json.loads(line)
            for place, (gold, answers) in enumerate(task["pairs"]):
                signal.setitimer(signal.ITIMER_REAL, limit_seconds + GRACE_SECONDS)  # SIGALRM is at its default: death
                verdict, reason = library.judge(task["mode"], gold, answers)
                signal.setitimer(signal.ITIMER_REAL, 0)
                _say(writing, [task["id"], place, verdict, reason])
            served += len(task["pairs"])
            if served >= PAIRS_PER_LIFE:
                return


def _say(writing: int, message: list[object]) -> None:
    os.write(writing, json.dumps(message).encode() + b"\n")  # far below PIPE_BUF, so in one piece


@dataclass(frozen=True)
class _Parsed:
    """Hold what math-verify made of a text; `error`: it raised on the way."""

    items: list[Any]
    error: bool

    @property
    def readable(self) -> bool:
        return any(not isinstance(item, str) for item in self.items)


class Library:
    """math-verify with its alarms off, its exceptions told apart from "no", and its golds remembered."""

    def __init__(self) -> None:
        import math_verify
        from math_verify import grader, parser

        for module in (parser, grader):  # before 0.7 its alarm cannot be turned off, and would replace the kernel's
            module.timeout = _no_timeout
        self._parse = _calmed(math_verify.parse, "parsing_timeout")
        self._verify = _calmed(math_verify.verify, "timeout_seconds")
        self._golds: OrderedDict[str, _Parsed] = OrderedDict()

    def warm_up(self, gold: str, answer: str) -> None:
        """The first parse and comparison of a kind build tables: done once, before the forks and before any clock."""
        self._verified(self._parsed(gold), self._parsed(answer))

    def judge(self, mode: str, gold: str, answers: list[str]) -> tuple[str, str]:
        """(verdict, reason); the reason says why it is undecided. `gold` alone (mode "gold") is only read."""
        try:
            if mode in RULES:
                return (CORRECT if RULES[mode](gold, answers[0], self._symbolic) else WRONG), ""
            parsed = self._gold(gold)
            if not parsed.readable:
                return "undecided", "gold_unreadable"
            if mode == "gold":
                return CORRECT, ""
            failed = rounded = False
            for answer in answers:  # several spellings of one answer
                read = self._parsed(answer)
                match, error = self._verified(parsed, read)
                if match and (mode == "naive" or self._holds(parsed, read)):
                    return CORRECT, ""
                failed, rounded = failed or error, rounded or match
            if rounded:
                return "undecided", "rounded"
            return ("undecided", "error") if failed else (WRONG, "")
        except (MemoryError, RecursionError) as error:
            return "undecided", "memory" if isinstance(error, MemoryError) else "error"
        except Exception:  # whatever a library of this size raises on a hostile text
            return "undecided", "error"

    def _symbolic(self, gold: str, answer: str) -> bool:
        """Say whether two texts are one expression to math-verify's parser and sympy."""
        parsed = self._parsed(f"${answer}$")
        return self._verified(self._gold(f"${gold}$"), parsed)[0]

    def _gold(self, gold: str) -> _Parsed:
        if gold not in self._golds:
            self._golds[gold] = self._parsed(gold)
            if len(self._golds) > GOLDS_KEPT:
                self._golds.popitem(last=False)
        return self._golds[gold]

    def _parsed(self, text: str) -> _Parsed:
        try:
            return _Parsed(self._parse(text, strict=True), error=False)
        except Exception:  # once more as the library does it by default: what it then finds still counts
            return _Parsed(self._parse(text, strict=False), error=True)

    def _verified(self, gold: _Parsed, answer: _Parsed) -> tuple[bool, bool]:
        """(match, an exception stood in the way of an answer)."""
        if not answer.items:
            return False, answer.error
        try:
            return bool(self._verify(gold.items, answer.items, strict=True)), False
        except Exception:
            match = bool(self._verify(gold.items, answer.items, strict=False))
            return match, not match

    def _holds(self, gold: _Parsed, answer: _Parsed) -> bool:
        """Whether a match is one without rounding."""
        return confirmed(gold.items, answer.items)


def _no_timeout(*_: object, **__: object) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """In the place of math-verify's decorator: the function as it is."""
    return lambda function: function


def _calmed(function: Callable[..., Any], timeout: str) -> Callable[..., Any]:
    """A function of math-verify without its own alarm; `strict` lets its exceptions through, where it knows how."""
    known = inspect.signature(function).parameters
    fixed: dict[str, Any] = {timeout: None}

    def call(*arguments: Any, strict: bool) -> Any:
        raising = {"raise_on_error": strict} if "raise_on_error" in known else {}
        return function(*arguments, **fixed, **raising)

    return call


if __name__ == "__main__":
    main()
