"""Fail any one reading of a run folder: the command ends with 5 in one line, and the next start goes on as if it
had not."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.cli.command import relift
from tests.cli.read_faults import ReadFaults
from tests.resume.harness import HashGrader, contents

KINDS = ("EIO", "EACCES")
Words = Callable[[Path, Path, Path], tuple[object, ...]]  # of a command: configuration, inputs, run
COMMANDS: dict[str, Words] = {
    "train": lambda config, inputs, run: ("train", config, "--out", run, "--quiet"),
    "check": lambda config, inputs, run: ("check", run),
    "compare": lambda config, inputs, run: ("compare", run, f"{run}@4", "--force"),
    "eval": lambda config, inputs, run: (
        "eval", run, "-b", "arith_sequence", "--samples", 1, "--max-tokens", 2, "--out", run.parent / "ev", "--quiet",
    ),
    "probe": lambda config, inputs, run: (
        "probe", run, "--questions", inputs / "probe.jsonl", "--into", run, "--step", 9, "--draw", 3, "--samples", 1,
        "--max-tokens", 4, "--quiet",
    ),
    "report": lambda config, inputs, run: (
        "report", run, "--out", run.parent / "r.html", "--only", "bands", "--resamples", 20, "--quiet",
    ),
}  # fmt: skip


def fails_at(k: int, kind: str, words: tuple[object, ...], *, copy_of: Path, run: Path) -> int:
    """Run a command whose k-th reading below `run` fails; the number of readings there were."""
    for path in (run, run.parent / "ev"):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(copy_of, run)
    if words[0] == "train":  # something is left to do
        shutil.rmtree(run / "weights/step-000009")
    counted, counts = os.pipe()

    def plant() -> None:
        ReadFaults(run, k, kind, tell=lambda n: os.write(counts, b".")).plant()

    ended = relift(*words, grader=HashGrader, before=plant)
    os.close(counts)
    n = 0
    while data := os.read(counted, 4096):
        n += len(data)
    os.close(counted)
    where = f"{kind} at reading {k} of relift {words[0]}: {ended.err}"
    assert ended.status in (0, 5), where  # 0: what failed is read again, or decides nothing
    told = ended.err.count("relift: ")
    assert "Traceback" not in ended.err and told <= 1, where
    assert ended.status == 0 or told or words[0] == "check", where  # `check` lists what it finds
    return n


def every_fault(name: str, ks: Iterable[int], config: Path, inputs: Path, finished: Path, run: Path) -> int:
    words, n_failed = COMMANDS[name](config, inputs, run), 0
    for k in ks:
        kind = KINDS[k % len(KINDS)]
        if fails_at(k, kind, words, copy_of=finished, run=run) < k:
            break
        n_failed += 1
        if name == "train":
            assert relift(*words, grader=HashGrader).status == 0
            assert contents(run) == contents(finished)
    return n_failed


def test_a_reading_may_fail(config: Path, inputs: Path, finished: Path, tmp_path: Path) -> None:
    """Three readings of each of four commands; all of them are behind `make fault`."""
    rng = random.Random(13)
    for name in ("train", "check", "compare", "eval"):
        ks = sorted(rng.sample(range(1, 30), 3))
        assert every_fault(name, ks, config, inputs, finished, tmp_path / "run") == 3


@pytest.mark.fault
@pytest.mark.parametrize("name", COMMANDS)
def test_every_reading_may_fail(name: str, config: Path, inputs: Path, finished: Path, tmp_path: Path) -> None:
    assert every_fault(name, range(1, 2_000), config, inputs, finished, tmp_path / "run") > 20
