"""Try generated inputs in a forked process with a clock and a look at its memory: what is neither taken nor refused in
one line, takes too long or too much memory is a violation."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from relift.errors import ReliftError
from tests.sizes import tries

MEMORY = 2**30  # bytes above what the process has when the input comes
SLACK_SECONDS = 0.5
TRIES = 3  # of an input that took too long: a busy machine errs upwards
N_USUAL, N_FULL = 60, 300  # inputs of each kind and seed
FIXED_SEED = 13

Use = Callable[[random.Random, Path], None]  # makes the input of this random state in an empty folder, and uses it


def n_inputs() -> int:
    """Count the inputs of each kind and seed: 60, in `make fault-long` 300."""
    return tries(N_USUAL, N_FULL)


def fresh_seed() -> int:
    """Draw a seed, or take the one that `RELIFT_SEED` names, to see a failure again."""
    return int(os.environ.get("RELIFT_SEED", random.SystemRandom().randrange(10**6)))


def violations(kind: str, use: Use, folder: Path, *, n: int, seed: int, limit_seconds: float) -> list[str]:
    """Try `n` inputs; a line for each that went wrong. A process that hangs is killed and the next input tried."""
    found: list[str] = []
    first = 0
    while first < n:
        first = _one_process(kind, use, folder, range(first, n), seed=seed, limit=limit_seconds, found=found)
    return found


def _one_process(
    kind: str, use: Use, folder: Path, numbers: range, *, seed: int, limit: float, found: list[str]
) -> int:
    """Try inputs in one process until all are done or it ends; the number of the next one to try."""
    reads, writes = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: the child uses none of them
        pid = os.fork()
    if pid == 0:
        os.close(reads)
        _work(kind, use, folder, numbers, seed=seed, limit=limit, writes=writes)
    os.close(writes)
    at = numbers.start
    with open(reads, "rb", buffering=0) as lines:
        data = b""
        while True:
            # longer than all tries of an input that is merely late
            if not select.select([lines], [], [], TRIES * (limit + 30.0))[0]:
                found.append(f"{kind} {seed}/{at}: hangs")
                os.kill(pid, signal.SIGKILL)
                at += 1
                break
            chunk = lines.read(2**16)
            if not chunk:
                break
            *whole, data = (data + chunk).split(b"\n")
            for line in whole:
                at, said = json.loads(line)
                at += 1
                if said:
                    found.append(f"{kind} {seed}/{at - 1}: {said}")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in (0, -signal.SIGKILL):
        found.append(f"{kind} {seed}/{at}: the process ended with {status}")
        at += 1
    return at


def _work(kind: str, use: Use, folder: Path, numbers: range, *, seed: int, limit: float, writes: int) -> None:
    status = 1
    try:
        for number in numbers:
            said = ""
            for attempt in range(TRIES):
                own = folder / f"{kind}-{seed}-{number}-{attempt}"
                own.mkdir(parents=True)
                said, late = _one(kind, use, own, seed=seed, number=number, limit=limit)
                if not late:
                    break
            os.write(writes, (json.dumps([number, said]) + "\n").encode())
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _one(kind: str, use: Use, folder: Path, *, seed: int, number: int, limit: float) -> tuple[str, bool]:
    """Try one input: what is wrong, and whether it is the time alone."""
    idle = _reset_peak()
    began = time.monotonic()
    said = ""
    try:
        use(random.Random(f"{kind}-{seed}-{number}"), folder)
    except ReliftError as error:
        lines = str(error).splitlines()
        if len(lines) != 1 or len(lines[0]) > 2_000:
            said = f"{len(lines)} lines of {len(str(error))} characters: {str(error)[:200]!r}"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-3:]
        said = f"{type(error).__name__}: {str(error)[:200]!r} at {[f'{f.filename[-40:]}:{f.lineno}' for f in where]}"
    seconds, more = time.monotonic() - began, _peak() - idle
    if not said and more > MEMORY:
        said = f"{more >> 20} MiB more than before"
    if not said and seconds > limit + SLACK_SECONDS:
        return f"{seconds:.1f} seconds", True
    return said, False


def _reset_peak() -> int:
    """Forget the largest memory this process ever had; its memory now, in bytes. 0 where the system does not tell."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    with suppress(OSError), open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    return 0
