"""Commands end in one line where memory, a disk or a terminal is too small."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from relift.cli.endings import memory_line, one_line, printing_failed


def run(*arguments: object, out: int | None = None, encoding: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
    """Run `relift` in a fresh interpreter; only there do the standard streams end as they do for people."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run(
        [sys.executable, "-m", "relift.cli", *map(str, arguments)],
        stdout=subprocess.PIPE if out is None else out,
        stderr=subprocess.PIPE,
        env=environment,
        timeout=120,
        check=False,
    )


def test_a_full_disk_behind_the_output_is_status_5() -> None:
    with open("/dev/full", "w") as full:
        ended = run("eval", "--list", out=full.fileno())
    assert (ended.returncode, ended.stderr) == (5, b"relift: the output cannot be printed: No space left on device\n")


def test_a_reader_that_has_had_enough_is_no_error_to_talk_of() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    ended = run("eval", "--list", out=writes)
    os.close(writes)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_narrow_terminal_and_a_terminals_commands_are_written_as_escapes(tmp_path: Path) -> None:
    ended = run("check", tmp_path / "\x1b[31m\u5b57", encoding="ascii")
    assert ended.returncode == 2
    assert b"Traceback" not in ended.stderr and b"\x1b" not in ended.stderr and ended.stderr.isascii()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to"),
    ],
)
def test_memory_that_ran_out_names_what_to_lower(error: Exception) -> None:
    assert "lower rollout.batch_rows" in str(memory_line(error, "train"))
    assert "lower --engine-option batch_rows" in str(memory_line(error, "eval"))
    assert memory_line(error, "check") == "out of memory"


def test_other_errors_are_not_taken_for_these() -> None:
    assert memory_line(RuntimeError("shape mismatch"), "train") is None
    assert printing_failed(OSError(errno.ENOSPC, "No space left on device", "weights")) is None
    assert printing_failed(OSError(errno.ENOENT, "No such file")) is None


def test_one_line_has_no_control_characters() -> None:
    assert one_line("a\nb \x1b[31m \u202e \x9b") == "a b \\x1b[31m \\u202e \\x9b"
