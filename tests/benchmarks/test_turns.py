"""Processes that work in turns: only one of them at a time, with all that it started."""

from __future__ import annotations

import sys

import pytest

from relift.benchmarks.speed.turns import Caller, take_turns, worked

# a call: 60 times, or 90, a child says when it does something, a hundredth of a second apart
CHILD = "import time; [(print(time.monotonic(), flush=True), time.sleep(.01)) for _ in range({n})]"
CALL = """
import subprocess, sys
from relift.benchmarks.speed.turns import serve

def call(line):
    done = subprocess.run([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE, text=True, check=True)
    return {{"at": [float(line) for line in done.stdout.split()]}}

serve({{"name": "ready"}}, call)
"""


def caller(n: int) -> Caller:
    return Caller([sys.executable, "-c", CALL.format(child=CHILD.format(n=n))], {})


def test_seconds_are_those_of_its_own_turns() -> None:
    assert worked([(0, 1), (2, 3), (5, 9)], 0.5, 2.25) == 0.75
    assert worked([], 0, 9) == 0


def test_one_works_while_the_other_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relift.benchmarks.speed.turns.TURN_SECONDS", 0.1)
    callers = [caller(60), caller(90)]
    try:
        assert [c.hear() for c in callers] == [{"name": "ready"}] * 2
        results = take_turns(callers)
        assert [len(result["at"]) for result in results] == [60, 90]  # in the order of the callers
        assert len(callers[0].turns) > 2
        # Neither the process nor its child does anything outside of its turns but for what it had begun.
        for own, result in zip(callers, results, strict=True):
            inside = sum(any(start <= at <= stop for start, stop in own.turns) for at in result["at"])
            assert inside == len(result["at"])
            assert 0 < result["seconds"] < result["end"] - result["begin"]
        for start, stop in callers[0].turns:
            overlap = sum(min(stop, other_stop) - max(start, other_start) for other_start, other_stop in
                          callers[1].turns if min(stop, other_stop) > max(start, other_start))  # fmt: skip
            assert overlap == 0
    finally:
        for each in callers:
            each.close()


def test_a_process_that_ends_is_said() -> None:
    ended = Caller([sys.executable, "-c", "raise SystemExit(3)"], {})
    try:
        with pytest.raises(RuntimeError, match="status 3"):
            ended.hear()
    finally:
        ended.close()
