"""Let the k-th reading of a run folder fail, whoever reads: files opened, folders listed, tables and weights mapped."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import safetensors
import safetensors.torch

_EVENTS = ("open", "os.listdir", "os.scandir")  # audit events of Python's own ways to read


class ReadFaults:
    """Count the readings below `folder` in this process; the `k`-th (from 1) fails with `kind`, an error's name."""

    def __init__(self, folder: Path, k: int, kind: str, *, tell: Callable[[int], object] = lambda n: None) -> None:
        self._below = str(folder)
        self._k, self._error, self._tell = k, getattr(errno, kind), tell
        self.n = 0

    def plant(self) -> None:
        """Begin; there is no end but that of the process."""
        sys.addaudithook(self._hear)
        for holder, name in ((pa, "OSFile"), (safetensors, "safe_open"), (safetensors.torch, "load_file")):
            usual = getattr(holder, name)
            setattr(holder, name, self._wrapped(usual))

    def _wrapped(self, usual: Callable[..., Any]) -> Callable[..., Any]:
        def read(path: object, *values: Any, **named: Any) -> Any:
            self._read(path)
            return usual(path, *values, **named)

        return read

    def _hear(self, event: str, values: tuple[Any, ...]) -> None:
        if event not in _EVENTS or not values or not isinstance(values[0], str | os.PathLike):
            return
        writes = event == "open" and isinstance(values[2], int) and values[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if not writes:
            self._read(values[0])

    def _read(self, path: object) -> None:
        if str(path).startswith(self._below) and self.n < 10**9:
            self.n += 1
            self._tell(self.n)
            if self.n == self._k:
                raise OSError(self._error, os.strerror(self._error), str(path))
