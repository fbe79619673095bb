"""End a command in words: what is out of memory or cannot be printed is one line and an exit status, no traceback."""

from __future__ import annotations

import errno
import os
import sys
from typing import TextIO

OUT_OF_MEMORY, STORAGE = 4, 5
BROKEN_PIPE = 141  # as a shell reports a command that SIGPIPE ended: the reader has had enough, as `head` has

# What a command may be told to do with less memory.
_LOWER = {
    "train": "rollout.batch_rows (answers sampled at a time) or runtime.token_budget (tokens trained on at a time)",
    "eval": "--engine-option batch_rows or --max-tokens",
    "probe": "--engine-option batch_rows or --max-tokens",
    "topup": "--engine-option batch_rows or --max-tokens",
}


def one_line(text: str) -> str:
    """Put a text on one line, control characters written as escapes: a file's name may hold a terminal's commands."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def tolerate_narrow_terminals() -> None:
    """Let characters that the terminal's encoding lacks be printed as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def memory_line(error: BaseException, command: str) -> str | None:
    """Say what to lower when memory ran out; None for any other error."""
    words = str(error).lower()
    of_torch = type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and ("can't allocate memory" in words or "out of memory" in words)
    )
    of_arrow = type(error).__name__ == "ArrowMemoryError"
    if not (isinstance(error, MemoryError) or of_torch or of_arrow):
        return None
    mend = f"; lower {_LOWER[command]}" if command in _LOWER else ""
    again = ", and start again: what is committed is kept" if command in _LOWER else ""
    return f"out of memory{mend}{again}"


def printing_failed(error: OSError, *streams: TextIO) -> tuple[int, str | None] | None:
    """Tell exit status and words when the output cannot be printed; None when the error is of something else.

    Nothing more is printed there afterwards, nor flushed at the end of the process.
    """
    if error.filename is not None or error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF):
        return None
    silent = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        try:
            os.dup2(silent, stream.fileno())
        except (OSError, ValueError):  # it has no file: a test's, a notebook's
            continue
    os.close(silent)
    if error.errno == errno.EPIPE:
        return BROKEN_PIPE, None
    return STORAGE, f"the output cannot be printed: {error.strerror}"
