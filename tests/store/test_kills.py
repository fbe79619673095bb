"""P1: SIGKILL at random times, recovery included; what comes out is bytewise what an undisturbed run writes."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from relift.store import check_run
from tests.sizes import tries
from tests.store.processes import fork, kill, wait
from tests.store.rows import table_bytes, train

N_STEPS, WEIGHTS = 8, 2_000_000  # large enough that a kill often finds a checkpoint half written


def run(folder: Path) -> None:
    train(folder, n_steps=N_STEPS, weights=WEIGHTS)


def killed_runs(tmp_path: Path, n_kills: int, *, seed: int) -> tuple[int, int]:
    """Returns (kills that found the run at work, those that found a temporary name)."""
    begin = time.monotonic()
    assert wait(fork(lambda: run(tmp_path / "expected"))) == 0
    duration = time.monotonic() - begin
    expected = table_bytes(tmp_path / "expected")
    rng, n_killed, n_open, n_runs = random.Random(seed), 0, 0, 0
    while n_killed < n_kills:
        folder, finished = tmp_path / f"run{n_runs}", False
        n_runs += 1
        while not finished:
            pid = fork(lambda folder=folder: run(folder))  # type: ignore[misc]
            time.sleep(rng.uniform(0, duration))
            kill(pid)
            status = wait(pid)
            assert status in (0, -9)
            finished = status == 0
            n_killed += not finished
            n_open += not finished and any(folder.rglob(".tmp-*"))
            if not finished and n_killed >= n_kills:
                run(folder)
                finished = True
        found = table_bytes(folder)
        assert found.keys() == expected.keys()
        assert [name for name in found if found[name] != expected[name]] == []
        assert check_run(folder).problems == []
    return n_killed, n_open


def test_twenty_kills(tmp_path: Path) -> None:
    n_killed, n_open = killed_runs(tmp_path, 20, seed=1)
    assert n_killed >= 20 and n_open >= 1


@pytest.mark.fault
def test_two_hundred_kills(tmp_path: Path) -> None:
    n = tries(200, 2_000)
    n_killed, n_open = killed_runs(tmp_path, n, seed=2 if n == 200 else int(time.time()))
    assert n_killed >= n and n_open >= 0.25 * n_killed, f"{n_open} of {n_killed} found a temporary name"


def test_planted_rows_from_the_clock_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison notices a run whose rows depend on when it ran."""
    import tests.store.rows as rows

    update = rows.update
    monkeypatch.setattr(rows, "update", lambda number: update(number).assign(loss=time.monotonic()))
    with pytest.raises(AssertionError):
        killed_runs(tmp_path, 1, seed=3)
