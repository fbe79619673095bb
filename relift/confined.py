"""Call a function of somebody else's making (a chat template) in a process with limits on time, memory and output.

One forked process serves calls until none has come for some seconds; it holds no file of ours open and ends with us.
A call that passes a limit ends the process, not the caller.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import struct
import threading
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

CPU_SECONDS = 10  # of one call
MEMORY_BYTES = 2**30  # beside what the process has when it is forked
LARGEST_TEXT = 4 * 2**20  # characters that a call may return
IDLE_SECONDS = 5.0
WALL_SECONDS = 300.0  # for a machine so busy that CPU_SECONDS do not pass
_HEAD = struct.Struct(">Q")


class ConfinedError(ValueError):
    """Report in words what a confined call raised, or which limit it passed."""


class Confined:
    """Call `function` with JSON values, confined; it returns a text. Raises ConfinedError. One call at a time."""

    def __init__(self, function: Callable[..., str]) -> None:
        self._function = function
        self._pid = 0
        self._to_child = self._from_child = -1
        self._lock = threading.Lock()

    def __call__(self, *values: Any) -> str:
        with self._lock:
            for _ in range(2):  # an idle process may have ended between two calls
                if not self._pid:
                    self._start()
                reply = self._ask(json.dumps(values).encode())
                if reply is not None:
                    break
            else:
                raise ConfinedError("the process that renders it ends at once")
        if "error" in reply:
            raise ConfinedError(reply["error"])
        return str(reply["text"])

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            if self._pid:
                self._end()

    def __del__(self) -> None:
        if self._pid:
            self._end()

    def _start(self) -> None:
        child_reads, self._to_child = os.pipe()
        self._from_child, child_writes = os.pipe()
        with warnings.catch_warnings():
            # Of forks beside threads: the child takes no lock that another thread may hold, it renders and writes.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            _serve(self._function, child_reads, child_writes)
        os.close(child_reads)
        os.close(child_writes)

    def _ask(self, request: bytes) -> dict[str, Any] | None:
        """Ask the process once; None if it had ended before."""
        try:
            _write(self._to_child, request)
            data = _read(self._from_child, seconds=WALL_SECONDS)
        except BrokenPipeError:
            data = None
        except TimeoutError:
            self._end()
            return {"error": f"it takes more than {WALL_SECONDS:.0f} seconds"}
        if data is not None:
            reply: dict[str, Any] = json.loads(data)
            return reply
        status = self._end()
        if status == 0:
            return None
        took = f"{CPU_SECONDS} seconds" if status == -signal.SIGXCPU else f"{MEMORY_BYTES >> 20} MiB of memory"
        return {"error": f"it takes more than {took}"}

    def _end(self) -> int:
        """Close the pipes, wait for the process, return its exit status (ended by a signal: minus its number)."""
        os.close(self._to_child)
        os.close(self._from_child)
        pid, self._pid = self._pid, 0
        try:
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
        except ChildProcessError:
            return 0
        return os.waitstatus_to_exitcode(status)


def _serve(function: Callable[..., str], reads: int, writes: int) -> NoReturn:
    """Answer calls in the forked process until the caller is gone or has been silent."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGXCPU):
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
        _keep_only(reads, writes)
        _limit_memory()
        while (data := _read(reads, seconds=IDLE_SECONDS)) is not None:
            used = resource.getrusage(resource.RUSAGE_SELF)
            seconds = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))
            _write(writes, json.dumps(_reply(function, json.loads(data))).encode())
    except (TimeoutError, OSError):
        os._exit(0)
    except BaseException:  # of this process nothing may be seen but its status
        os._exit(1)
    os._exit(0)


def _reply(function: Callable[..., str], values: list[Any]) -> dict[str, str]:
    try:
        text = function(*values)
    except MemoryError:
        return {"error": f"it takes more than {MEMORY_BYTES >> 20} MiB of memory"}
    except Exception as error:  # it is the function of a stranger: all that it raises is told
        return {"error": " ".join(str(error).split())[:400] or type(error).__name__}
    if len(text) > LARGEST_TEXT:
        return {"error": f"it writes {len(text):,} characters, more than {LARGEST_TEXT:,}"}
    return {"text": text}


def _keep_only(*files: int) -> None:
    """Close all files but these and the standard ones: a lock of the caller's must end with the caller."""
    begin = 3
    for file in sorted(files):
        os.closerange(begin, file)
        begin = file + 1
    os.closerange(begin, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 2**20))


def _limit_memory() -> None:
    try:
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # no Linux: time and output are limited
        return
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _write(file: int, data: bytes) -> None:
    left = memoryview(_HEAD.pack(len(data)) + data)
    while left:
        left = left[os.write(file, left) :]


def _read(file: int, *, seconds: float) -> bytes | None:
    """Read one message; None at the end of the pipe. Raises TimeoutError when nothing comes for so long."""
    data = bytearray()
    wanted = _HEAD.size
    while len(data) < wanted:
        if not select.select([file], [], [], seconds)[0]:
            raise TimeoutError
        chunk = os.read(file, min(wanted - len(data), 2**20))
        if not chunk:
            return None
        data += chunk
        if len(data) == wanted == _HEAD.size:
            wanted += _HEAD.unpack(bytes(data))[0]
    return bytes(data[_HEAD.size :])
