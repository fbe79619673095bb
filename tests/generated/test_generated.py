"""Try generated inputs of five kinds, from a fixed seed and a fresh one: each is taken or refused in one line, within
its time, in memory of at most 1 GiB more, and leaves nothing half-written."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.engines.tiny import write_checkpoint
from tests.generated.trials import FIXED_SEED, counted_seconds, fresh_seed, n_inputs, violations
from tests.generated.uses import uses
from tests.store.rows import train

KINDS = ("grader text", "checkpoint", "run record", "server reply", "data file")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Lay a checkpoint and a run that the inputs are made of."""
    folder = tmp_path_factory.mktemp("sound")
    train(folder / "run", n_steps=4)
    return write_checkpoint(folder / "base"), folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("seeded", ["fixed", "fresh"])
@pytest.mark.parametrize("kind", KINDS)
def test_generated_inputs(
    kind: str, seeded: str, sound: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 of each kind and seed in `make test-slow`, 300 in `make fault-long`. A failure of the
    fresh seed is seen again with RELIFT_SEED, which the message names."""
    monkeypatch.setenv("RELIFT_MAX_DATA_BYTES", str(2**28))  # the bound, which is 8 GiB, at a size that fits here
    seed = FIXED_SEED if seeded == "fixed" else fresh_seed()
    use, limit = uses(*sound)[kind]
    found = violations(kind, use, tmp_path, n=n_inputs(), seed=seed, limit_seconds=limit)
    assert found == [], f"seed {seed}"


def planted_hang(rng: object, folder: Path) -> None:
    if folder.name.endswith("-1-0"):
        raise RuntimeError("planted")
    if "-2-" in folder.name:
        os._exit(3)


def planted_slow_or_large(rng: object, folder: Path) -> None:
    if "-0-" in folder.name:
        end = time.process_time() + 0.8
        while time.process_time() < end:  # CPU time, which counts on a busy machine too
            pass
    elif "-1-" in folder.name:
        len(b"x" * (2**30 + 2**29))  # half a GiB over, for what the system takes back meanwhile


@pytest.mark.slow
def test_the_trials_see_what_goes_wrong(tmp_path: Path) -> None:
    """An error that is none of ours, a process that dies, one that is slow, one that is large."""
    found = violations("a", planted_hang, tmp_path, n=4, seed=9, limit_seconds=5.0)
    assert [line[:6] for line in found] == ["a 9/1:", "a 9/2:"] and "planted" in found[0] and "ended with 3" in found[1]
    found = violations("b", planted_slow_or_large, tmp_path, n=3, seed=9, limit_seconds=0.1)
    assert [line[:6] for line in found] == ["b 9/0:", "b 9/1:"]
    assert "seconds" in found[0] and "MiB more" in found[1]


def test_waiting_for_the_machine_does_not_count_and_cpu_time_does() -> None:
    """9 s passed, 8 of them while something waited for a core: 1 s, or the 3 s of CPU that it used meanwhile. 8 of them
    while something waited for a disk: a quarter of 9."""
    assert counted_seconds(9.0, for_core=8.0, for_disk=0.0, cpu=0.5) == 1.0
    assert counted_seconds(9.0, for_core=8.0, for_disk=0.0, cpu=3.0) == 3.0
    assert counted_seconds(9.0, for_core=0.0, for_disk=8.0, cpu=0.5) == 2.25
    assert counted_seconds(9.0, for_core=0.0, for_disk=0.0, cpu=0.0) == 9.0
