"""Child processes that are forked with everything imported, so that a kill hits the work and not the imports."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable

import pyarrow as pa

pa.set_cpu_count(1)
pa.set_io_thread_count(1)


def fork(work: Callable[[], object]) -> int:
    """Runs `work` in a child and returns its process id; the child's exit status is 0 if it returned."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def wait(pid: int) -> int:
    """Exit status; minus the signal if one ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def running(pid: int) -> bool:
    """Whether the child still works. Once it is False, `wait` has nothing left to collect: it exited with 0."""
    done, status = os.waitpid(pid, os.WNOHANG)
    assert done == 0 or status == 0, "the child failed"
    return done == 0


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
