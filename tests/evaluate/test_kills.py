"""Killed at any instant and started again: the same content, and no committed attempt is asked for twice."""

from __future__ import annotations

import random
import time
import warnings
from pathlib import Path

import pytest

from relift.evaluate.collect import Commits
from relift.store import RunReader, check_run
from tests.evaluate.fakes import CountingAnswerer, assert_same, benchmark, plan_of, run
from tests.store.processes import fork, kill, wait

FAST = Commits(answers=6, seconds=600.0)


class Slow(CountingAnswerer):
    """A little slow, and writes down what it was asked where a kill cannot take it back."""

    def __init__(self, log: Path) -> None:
        super().__init__([])
        self.log = log

    def stream(self, asks, sampling):  # type: ignore[no-untyped-def]
        with self.log.open("a", buffering=1) as log:
            for index, reply in super().stream(asks, sampling):
                log.write(asks[index].key + "\n")
                time.sleep(0.002)
                yield index, reply


def committed_keys(folder: Path) -> set[str]:
    if not (folder / "run.json").is_file():
        return set()
    reader = RunReader(folder)
    attempts = reader.read("attempts", columns=["question_ix", "attempt"])
    ids = reader.read("questions", columns=["question_id", "question_ix"]).set_index("question_ix")["question_id"]
    return {f"{ids[q]}/0/{a}" for q, a in zip(attempts["question_ix"], attempts["attempt"], strict=True)}


def killed_runs(tmp_path: Path, *, kills: int, seed: int) -> None:
    plan = plan_of(benchmark("ten", range(10), samples=6), benchmark("more", range(8, 14), samples=3))
    run(tmp_path / "whole", CountingAnswerer([]), plan, commits=FAST)
    rng = random.Random(seed)
    done = n = 0
    while done < kills:
        folder, log = tmp_path / f"run{n}", tmp_path / f"asked{n}"
        n += 1
        finished = False
        while not finished:
            before = committed_keys(folder)
            log.write_text("")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: they are idle
                child = fork(lambda: run(folder, Slow(log), plan, commits=FAST))  # noqa: B023 - used at once
            if done < kills:
                time.sleep(rng.uniform(0.0, 0.6))
                kill(child)
                done += 1
            finished = wait(child) == 0
            assert not before & set(log.read_text().split())
            if (folder / "run.json").is_file():
                assert before <= committed_keys(folder)
        assert_same(folder, tmp_path / "whole")
        assert check_run(folder).problems == []


def test_five_kills(tmp_path: Path) -> None:
    killed_runs(tmp_path, kills=5, seed=0)


@pytest.mark.fault
def test_fifty_kills(tmp_path: Path) -> None:
    killed_runs(tmp_path, kills=50, seed=1)
