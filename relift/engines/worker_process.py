"""Speak to a child process in JSON lines and watch it: silence, a crash or nonsense end it, with a reason."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relift.errors import ReliftError

ENDED = "ended"  # a message of ours: the child has closed its output
CLOSE_SECONDS = 10.0
ROUTINE = re.compile(r"\b(?:DEBUG|INFO|WARNING) ")  # lines of a log that are no reason for anything


class WorkerProcess:
    """Starts it at once. Its messages arrive in `inbox` as (number, message), so that several can share one queue.

    Its standard error goes to a file, which stays where it is if the child fails and is named then.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        number: int,
        env: Mapping[str, str],
        inbox: queue.SimpleQueue[tuple[int, dict[str, Any]]],
    ) -> None:
        self.name, self.number, self._inbox = name, number, inbox
        handle, log = tempfile.mkstemp(prefix="relift-", suffix=f"-{number}.log")
        self._log = Path(log)
        # A session of its own: Ctrl-C is for us, and what the child starts can be ended with it.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=handle, env=dict(env), start_new_session=True
        )
        os.close(handle)
        self._babbled = False
        self._reader = threading.Thread(target=self._read, name=f"relift-{name}-{number}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                message = json.loads(line)
                if not isinstance(message, dict):
                    raise ValueError("not a message")
                self._inbox.put((self.number, message))
        except ValueError:  # no JSON; or closed under our hands, when nobody asks any more
            self._babbled = True
        self._inbox.put((self.number, {ENDED: True}))

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message. If the child is gone nothing happens: its end stands in the inbox, behind what it said."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def failed(self, why: str | None = None) -> ReliftError:
        """End it; the error that says what happened, with the last line it wrote."""
        if why is None and self._babbled:
            why = "said something that is no message"
        elif why is None:
            with contextlib.suppress(subprocess.TimeoutExpired):  # its output is closed: it has ended, or is about to
                self._process.wait(CLOSE_SECONDS)
            status = self._process.poll()
            if status is None:
                why = "closed its output"
            else:
                why = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        self._kill()
        words = self._last_words()
        return ReliftError(f"{self.name} {why}" + (f": {words}" if words else "") + f"; its log is {self._log}")

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = self._log.read_bytes()[-20_000:].decode("utf-8", "replace").splitlines()
            said = [re.sub(r"^\[rank\d+\]: ", "", " ".join(line.split())) for line in lines if line.strip()]
            errors = [line for line in said if "Error" in line.partition(":")[0]]
            told = [line for line in said if not ROUTINE.search(line)]
            return (errors or told or [""])[-1][:300]
        return ""

    def _kill(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # what it started included: the session is its own
        self._process.wait()
        self._reader.join(CLOSE_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def kill(self) -> None:
        """End it at once, listening or not, and remove its log."""
        self._kill()
        self._log.unlink(missing_ok=True)

    def close(self) -> None:
        """End it in peace; by force after a while. Twice does no harm."""
        if self._process.returncode is None:
            with contextlib.suppress(OSError):
                if self._process.stdin is not None:
                    self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSE_SECONDS)
            self._kill()
            self._log.unlink(missing_ok=True)
