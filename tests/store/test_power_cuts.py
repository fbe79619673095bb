"""Cut the power: an ext4 file system of its own is shut down without flushing anything, and mounted again."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relift.store import RunReader, check_run
from relift.store.checkpoints import steps_with_weights, verify_checkpoint
from relift.store.files import Disk
from tests.sizes import tries
from tests.store.processes import fork, kill, wait
from tests.store.rows import table_bytes, train

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN of fs/ext4/ext4.h: _IOR('X', 125, __u32)
NO_FLUSH = 2  # EXT4_GOING_FLAGS_NOLOGFLUSH: not even the journal
N_STEPS = 8


class AnnouncingDisk(Disk):
    """Write a line to a pipe when a step, or a checkpoint, has become durable as the store believes."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._named: list[str] = []

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        own = target.parent.name in ("commits", "weights") and "orphaned" not in target.parts  # of what was rolled back
        if own and not target.name.startswith("."):
            self._named.append(f"{target.parent.name}/{target.name}")

    def fsync(self, path: Path) -> None:
        super().fsync(path)
        for name in [name for name in self._named if name.startswith(f"{path.name}/")]:
            os.write(self._pipe, f"{name}\n".encode())
            self._named.remove(name)


def have_a_file_system() -> bool:
    return os.geteuid() == 0 and all(shutil.which(tool) for tool in ("mkfs.ext4", "mount", "umount"))


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Make an ext4 file system in a file; call it to mount it (again), with its journal replayed."""
    image, at = tmp_path / "disk.img", tmp_path / "mnt"
    if not have_a_file_system():
        pytest.skip("needs root and mkfs.ext4")
    at.mkdir()
    with open(image, "wb") as file:
        file.truncate(96 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)

    def unmount() -> None:
        subprocess.run(["umount", at], check=False, stderr=subprocess.DEVNULL)

    def mount() -> Path:
        unmount()
        ended = subprocess.run(["mount", "-o", "loop", image, at], check=False, capture_output=True, text=True)
        if ended.returncode:
            pytest.skip(f"no loop device can be mounted here: {ended.stderr.strip()[:80]}")
        return at

    yield mount
    unmount()


def cut_power(at: Path) -> None:
    descriptor = os.open(at, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", NO_FLUSH))
    finally:
        os.close(descriptor)


def run_until_cut(at: Path, seconds: float) -> tuple[bool, list[str]]:
    """Train in a process of its own until the power is cut: whether it had ended, and what it called durable."""
    reads, writes = os.pipe()
    pid = fork(lambda: train(at / "run", disk=AnnouncingDisk(writes), n_steps=N_STEPS, weights=200_000))
    os.close(writes)
    time.sleep(seconds)
    cut_power(at)
    kill(pid)
    ended = wait(pid) == 0
    announced = b""
    while chunk := os.read(reads, 4096):
        announced += chunk
    os.close(reads)
    return ended, announced.decode().split()


def require_durable(run: Path, announced: list[str]) -> None:
    """Find all that was called durable there and whole, but for what a later checkpoint retired."""
    reader = RunReader(run)
    steps = {name.removeprefix("commits/") for name in announced if name.startswith("commits/")}
    assert steps <= {path.name for path in (run / "commits").iterdir()}
    reader.read("attempts")
    newest = max((int(name[-6:]) for name in announced if name.startswith("weights/")), default=None)
    if newest is not None:
        assert newest in steps_with_weights(run)
        verify_checkpoint(run, newest)


@pytest.mark.fault
def test_a_power_cut_at_any_moment_loses_nothing_that_was_durable(
    mounted: Callable[[], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    train(tmp_path / "expected", n_steps=N_STEPS, weights=200_000)
    whole = time.monotonic() - began
    expected = table_bytes(tmp_path / "expected")
    n = tries(6, 60)
    rng, n_cuts, n_early = random.Random(5 if n == 6 else time.time()), 0, 0
    while n_cuts < n:
        ended = False
        at = mounted()
        shutil.rmtree(at / "run", ignore_errors=True)
        while not ended:
            # the first cuts come at any time, later ones too late for a run that ever ends
            ended, announced = run_until_cut(at, rng.uniform(0, whole) if rng.random() < 0.8 else 3 * whole)
            n_cuts += 1
            n_early += not ended
            at = mounted()
            if announced:
                require_durable(at / "run", announced)
        train(at / "run", n_steps=N_STEPS, weights=200_000)  # what was deleted and came back is deleted again
        assert table_bytes(at / "run") == expected and check_run(at / "run").problems == []
    with capsys.disabled():
        print(f" {n_cuts} power cuts, {n_early} in the midst of a run: 0 lost ", end="")
    assert n_early >= n_cuts // 4
