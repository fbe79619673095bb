"""Recipes that ask again within a step, or teach themselves: killed and taken up, they end like a run left alone."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from relift.store import RunReader, check_run
from relift.trainer.run import Run, StepReport
from tests.resume.harness import Child, config_of, contents, run_here

LONG = {"data": {"max_prompt_tokens": 160}}
RECIPES: dict[str, tuple[dict[str, Any], str | None]] = {  # changes, and the help that attempts were given
    "prefix_rft": (LONG, "prefix"),
    "ghpo": (LONG | {"prefix": {"place": "prompt"}}, "hint"),
    "bread": (LONG, "prefix"),
    "hdpo": (LONG, "privileged"),
    "sdpo": (LONG, None),
    "srpo": (LONG, None),
    "kdrl": ({"teacher": {"answers": "wrong"}}, None),
}


@pytest.mark.parametrize("name", RECIPES)
def test_killed_after_step_two_and_taken_up(name: str, inputs: Path, tmp_path: Path) -> None:
    changes, help_given = RECIPES[name]
    changes = changes | ({"teacher": changes["teacher"] | {"path": str(inputs / "teacher")}} if name == "kdrl" else {})
    config = config_of(inputs, recipe=name, steps=4, probe={"every": 4}, checkpoint={"every": 1}, **changes)
    whole, killed = tmp_path / "whole" / "run", tmp_path / "killed" / "run"  # the name is in the run_id
    run_here(config, whole)
    assert Child(config, killed, on_step=end_at_two).wait() == -signal.SIGKILL
    run_here(config, killed)
    assert check_run(killed).problems == []
    assert contents(killed) == contents(whole)
    reader = RunReader(whole)
    assert (reader.read("updates")["grad_norm"] > 0).any()
    attempts = reader.read("attempts", columns=["assistance", "origin"], origin="rollout")
    assert set(attempts["assistance"]) == {"none"} | ({help_given} if help_given else set())
    seen = reader.read("trajectories", origin="rollout")["n_attempts"].sum()
    assert seen == (attempts["assistance"] == "none").sum()  # help is in no trajectory


def end_at_two(run: Run, report: StepReport) -> None:
    if report.step == 2:
        os.kill(os.getpid(), signal.SIGKILL)
