"""A run killed at any instant resumes to bitwise the same weights and the same tables."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relift.learner.optim import NamedOptimizer
from relift.store import check_run
from relift.trainer.demos import DemoBuffer
from relift.trainer.run import Run, StepReport
from tests.resume.harness import BATCH, Child, config_of, contents, run_here
from tests.sizes import tries

KILLS = 20
KILLS_FAULT = 200


def kill_until_done(inputs: Path, folder: Path, *, rng: random.Random, longest: float) -> int:
    """Start, kill after a random time, start again, until a start reaches the end; the number of kills."""
    kills = 0
    while True:
        child = Child(config_of(inputs), folder)
        deadline = time.monotonic() + rng.uniform(0.0, longest)
        while (status := child.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.002)
        if status is None:
            child.kill()
            status = child.wait()
        if status == 0:
            return kills
        assert status == -signal.SIGKILL, "a start failed by itself"
        kills += 1


def kill_many(inputs: Path, reference: dict[str, str], folder: Path, *, kills: int, seed: int) -> int:
    """Runs killed at random times until `kills` have happened; every one must end like the reference."""
    rng = random.Random(seed)
    began = time.monotonic()
    assert Child(config_of(inputs), folder / "run").wait() == 0  # how long a whole run takes here and now
    whole = time.monotonic() - began
    assert contents(folder / "run") == reference
    done, number = 0, 0
    while done < kills:
        number += 1
        run = folder / str(number) / "run"  # run_id holds the folder's name
        done += kill_until_done(inputs, run, rng=rng, longest=0.7 * whole)
        assert contents(run) == reference, f"run {number} (seed {seed}) differs from the uninterrupted one"
        assert check_run(run).problems == []
    return done


def test_twenty_random_kills(inputs: Path, reference: dict[str, str], tmp_path: Path) -> None:
    assert kill_many(inputs, reference, tmp_path, kills=KILLS, seed=1) >= KILLS


@pytest.mark.fault
def test_two_hundred_random_kills(inputs: Path, reference: dict[str, str], tmp_path: Path) -> None:
    kills = tries(KILLS_FAULT, 10 * KILLS_FAULT)
    assert kill_many(inputs, reference, tmp_path, kills=kills, seed=int(time.time())) >= kills


def die_when(level: int) -> Callable[[Run, StepReport], None]:
    """Kill the own process at the end of the first step that leaves so many in the buffer."""

    def on_step(run: Run, report: StepReport) -> None:
        if len(run.buffer) == level:
            os.kill(os.getpid(), signal.SIGKILL)

    return on_step


# One question a step, about 3 in 5 all wrong, and no fine-tuning before step 14: the buffer passes every level.
FILLING: dict[str, Any] = {
    "steps": 15,
    "rollout": {"questions_per_step": 1},
    "buffer": {"flush": "uniform", "every": 14},
    "probe": {"every": 15},
    "checkpoint": {"every": 1},
}


@pytest.fixture(scope="module")
def filled(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("filled") / "run"
    run_here(config_of(inputs, **FILLING), folder)
    return contents(folder)


@pytest.mark.parametrize("level", [0, 1, BATCH - 1, BATCH, BATCH + 1])
def test_killed_at_a_fill_level_of_the_buffer(level: int, inputs: Path, filled: dict[str, str], tmp_path: Path) -> None:
    config, run = config_of(inputs, **FILLING), tmp_path / "run"
    assert Child(config, run, on_step=die_when(level)).wait() == -signal.SIGKILL, "the level was never reached"
    assert Child(config, run).wait() == 0
    assert contents(run) == filled


PLANTED: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "the buffer is lost": lambda patch: patch.setattr(DemoBuffer, "load_state_dict", lambda self, state: None),
    "the moments are lost": lambda patch: patch.setattr(NamedOptimizer, "load", lambda self, steps, moments: None),
    "the buffer's order is lost": lambda patch: patch.setattr(
        DemoBuffer, "load_state_dict", _reversed(DemoBuffer.load_state_dict)
    ),
}


def _reversed(load: Callable[..., None]) -> Callable[..., None]:
    return lambda self, state: load(self, {**state, "entries": state["entries"][::-1]})


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_noticed(
    bug: str, inputs: Path, filled: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run = config_of(inputs, **FILLING), tmp_path / "run"
    assert Child(config, run, on_step=die_when(BATCH)).wait() == -signal.SIGKILL
    PLANTED[bug](monkeypatch)
    Child(config, run).wait()
    assert contents(run) != filled
