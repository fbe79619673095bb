"""End a command in words: what is out of memory or cannot be printed is one line and an exit status, no traceback."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

from relift.inert import PlainOutput

BAD_INPUT, OUT_OF_MEMORY, STORAGE = 2, 4, 5
BROKEN_PIPE = 141  # as a shell reports a command that SIGPIPE ended: the reader has had enough, as `head` has

_BAD_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
_STORAGE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ESTALE,
    errno.ENFILE, errno.EMFILE, errno.ENXIO, errno.ENODEV, errno.ETXTBSY,
)  # fmt: skip
LONGEST_SHOWN = 200  # characters of a path in a message

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


def print_plainly() -> None:
    """Print as escapes what the terminal's encoding lacks and, on standard output, what would command it: names of
    files, runs and models are other people's words."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    usual = sys.stdout
    if isinstance(usual, io.TextIOWrapper) and not isinstance(usual, PlainOutput):
        how: dict[str, Any] = {"encoding": usual.encoding, "errors": usual.errors}
        lines: dict[str, Any] = {"line_buffering": usual.line_buffering, "write_through": usual.write_through}
        sys.stdout = PlainOutput(usual.detach(), **how, **lines)


def file_line(error: OSError) -> tuple[int, str] | None:
    """Tell exit status and words for a file that cannot be opened, read or written; None for another error.

    A file that is not there is none of these: whoever looks for one says so, and else it is a bug of ours.
    """
    reason = f"{error.strerror} (errno {error.errno})"
    if error.errno in _BAD_NAMES:
        return BAD_INPUT, f"{_shown(error.filename)}: cannot be used: {reason}; give another path"
    if error.errno in _STORAGE:
        again = "; put that right and start again: what is committed is kept"
        return STORAGE, f"{_shown(error.filename)}: cannot be read or written: {reason}{again}"
    return None


def _shown(name: object) -> str:
    """Shorten the name of a file from its middle, as a path of thousands of letters is."""
    text = str(name)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN // 2]} ... {text[-LONGEST_SHOWN // 2 :]}"


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
    if error.errno == errno.EIO:  # of a terminal that is gone, or of a file that was open
        return STORAGE, f"reading or writing failed: {error.strerror} (errno {error.errno})"
    return STORAGE, f"the output cannot be printed: {error.strerror}"
