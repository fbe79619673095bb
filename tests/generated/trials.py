"""Try generated inputs in a forked process with a clock and a look at its memory: what is neither taken nor refused in
one line, takes too long or too much memory is a violation.

Seconds in which some process of the machine waited for a core or a disk count less or not at all, but for those of the
trial's own CPU time: a busy machine must not fail a test, and on a quiet one nothing is lost (`counted_seconds`).
"""

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
TRIES = 3  # of an input that took too long: a machine that turns busy errs upwards
HANG_CPU_SECONDS, HANG_SECONDS = 60.0, 600.0  # beside five times the limit; of the clock, however busy the machine
MOST_HANGS = 3  # of one kind and seed: more would use up the time of all other tests
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
    slowest = [0.0]
    first = 0
    while first < n and sum(line.endswith(": hangs") for line in found) < MOST_HANGS:
        numbers = range(first, n)
        first = _one_process(kind, use, folder, numbers, seed=seed, limit=limit_seconds, found=found, slowest=slowest)
    print(f"{kind}: {first} inputs of seed {seed}, {len(found)} violations, the slowest took {slowest[0]:.1f} s")
    return found


def _one_process(
    kind: str,
    use: Use,
    folder: Path,
    numbers: range,
    *,
    seed: int,
    limit: float,
    found: list[str],
    slowest: list[float],
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
            if not _speaks(lines.fileno(), pid, limit=limit):
                found.append(f"{kind} {seed}/{at}: hangs")
                os.kill(pid, signal.SIGKILL)
                at += 1
                break
            chunk = lines.read(2**16)
            if not chunk:
                break
            *whole, data = (data + chunk).split(b"\n")
            for line in whole:
                number, said, late, seconds = json.loads(line)
                if late:  # it is tried again
                    continue
                at = number + 1
                slowest[0] = max(slowest[0], seconds)
                if said:
                    found.append(f"{kind} {seed}/{number}: {said}")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in (0, -signal.SIGKILL):
        found.append(f"{kind} {seed}/{at}: the process ended with {status}")
        at += 1
    return at


def _speaks(file: int, pid: int, *, limit: float) -> bool:
    """Wait for the process to write; False once it has used so much CPU, or let so much time pass, that it hangs."""
    most_cpu = _cpu_of(pid) + HANG_CPU_SECONDS + 5 * limit
    end = time.monotonic() + HANG_SECONDS
    while not select.select([file], [], [], 1.0)[0]:
        if _cpu_of(pid) > most_cpu or time.monotonic() > end:
            return False
    return True


def _work(kind: str, use: Use, folder: Path, numbers: range, *, seed: int, limit: float, writes: int) -> None:
    status = 1
    try:
        for number in numbers:
            for attempt in range(TRIES):
                own = folder / f"{kind}-{seed}-{number}-{attempt}"
                own.mkdir(parents=True)
                said, late, seconds = _one(kind, use, own, seed=seed, number=number, limit=limit)
                late = late and attempt + 1 < TRIES
                os.write(writes, (json.dumps([number, said, late, seconds]) + "\n").encode())
                if not late:
                    break
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _one(kind: str, use: Use, folder: Path, *, seed: int, number: int, limit: float) -> tuple[str, bool, float]:
    """Try one input: what is wrong, whether it is the time alone, and the seconds that count."""
    idle = _reset_peak()
    began, waited, cpu = time.monotonic(), _waited_seconds(), _cpu_seconds()
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
    for_core, for_disk = (after - before for after, before in zip(_waited_seconds(), waited, strict=True))
    passed = time.monotonic() - began
    seconds = counted_seconds(passed, for_core=for_core, for_disk=for_disk, cpu=_cpu_seconds() - cpu)
    more = _peak() - idle
    if not said and more > MEMORY:
        said = f"{more >> 20} MiB more than before"
    if not said and seconds > limit + SLACK_SECONDS:
        return f"{seconds:.1f} seconds", True, seconds
    return said, False, seconds


def counted_seconds(passed: float, *, for_core: float, for_disk: float, cpu: float) -> float:
    """Count the seconds of a trial: those that passed while nothing on the machine waited for a core or a disk; at
    least its CPU time, and a quarter of what passed while nothing waited for a core (a disk that somebody writes to all
    the time always has somebody waiting)."""
    with_core = passed - for_core
    return max(with_core - for_disk, with_core / 4, cpu)


def _waited_seconds() -> tuple[float, float]:
    """Read how long some process has waited for a core, and for a disk, since the machine started
    (docs.kernel.org/accounting/psi.html). Where the system does not tell, all time is taken for waiting, so that CPU
    time alone counts."""
    try:
        lines = [Path(f"/proc/pressure/{what}").read_text().splitlines()[0] for what in ("cpu", "io")]
        core, disk = (int(line.rpartition("total=")[2]) / 1e6 for line in lines)
    except (OSError, ValueError):
        return time.monotonic(), 0.0
    return core, disk


def _cpu_seconds() -> float:
    """Sum the CPU time of this process and of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _cpu_of(pid: int) -> float:
    """Read the CPU seconds of another process; 0 where the system does not tell."""
    with suppress(OSError, ValueError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _reset_peak() -> int:
    """Forget the largest memory this process ever had; its memory now, in bytes. 0 where the system does not tell."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    with suppress(OSError), open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    return 0
