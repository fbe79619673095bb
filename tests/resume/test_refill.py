"""A run killed between two rounds of sampling of one step resumes to the same weights, tables and state."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relift.errors import ResumeRefused
from relift.store import RunReader
from relift.trainer import refill
from relift.trainer.draws import Draws
from relift.trainer.run import Run, StepReport
from tests.resume.harness import Child, config_of, contents, run_here

# One answer in eight is right, so few groups of two carry signal and every step has further rounds.
REFILLED: dict[str, Any] = {
    "recipe": "dapo",
    "steps": 8,
    "rollout": {"questions_per_step": 3, "attempts_per_question": 2, "refill": 3},
    "rl": {"drop_flat_groups": True, "truncated": "penalty", "advantage": "std"},
    "checkpoint": {"every": 2},
}


@pytest.fixture(scope="module")
def whole(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    run_here(config_of(inputs, **REFILLED), folder)
    return contents(folder)


def dying(n_rounds: int, real: Callable[..., int]) -> Callable[..., int]:
    """Kill the own process before the n-th further round."""
    seen = [0]

    def round_size(missing: int, **counts: int) -> int:
        seen[0] += 1
        if seen[0] == n_rounds:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(missing, **counts)

    return round_size


@pytest.mark.parametrize("n_rounds", [2, 5, 9])
def test_killed_between_rounds(
    n_rounds: int, inputs: Path, whole: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run = config_of(inputs, **REFILLED), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(refill, "round_size", dying(n_rounds, refill.round_size))
        assert Child(config, run).wait() == -signal.SIGKILL, "there were not so many rounds"
    assert Child(config, run).wait() == 0
    assert contents(run) == whole


def test_a_curriculum_resumes(inputs: Path, tmp_path: Path) -> None:
    """Killed after step 5, whose checkpoint is that of step 4: the counts of step 5 are those of a second try."""
    config = config_of(inputs, **REFILLED, curriculum={"order": "accuracy", "revisit": 3})

    def die(run: Run, report: StepReport) -> None:
        if report.step == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    run_here(config, tmp_path / "whole" / "run")
    assert Child(config, tmp_path / "run", on_step=die).wait() == -signal.SIGKILL
    assert Child(config, tmp_path / "run").wait() == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole" / "run")
    frame = RunReader(tmp_path / "run").read("attempts", origin="rollout")
    assert set(frame["draw_weight"]) >= {0.25, 1.0}  # and 0 where solved ones fill a step


def test_a_changed_reward_function_is_refused_by_name(inputs: Path, tmp_path: Path) -> None:
    """Rewards of one's own train, and a resume with another file of the same name is none."""
    own = tmp_path / "own.py"
    own.write_text("def length(answers):\n    return [len(a) for a in answers]\n")
    rewarded = {**REFILLED, "steps": 2, "rl": {**REFILLED["rl"], "reward": f"{own}:length"}}
    run_here(config_of(inputs, **rewarded), tmp_path / "run")
    frame = RunReader(tmp_path / "run").read("attempts", origin="rollout")
    assert frame["reward"].min() >= 0 and frame["reward"].max() > 1  # lengths, less a penalty of at most 1
    assert frame["verdict"].nunique() == 2 and frame["used_in_update"].any()
    own.write_text("def length(answers):\n    return [-len(a) for a in answers]\n")
    with pytest.raises(ResumeRefused, match=r"rl\.reward\.source is "):
        run_here(config_of(inputs, **rewarded), tmp_path / "run")


def test_a_lost_place_in_the_order_is_noticed(
    inputs: Path, whole: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: a resume draws from the beginning again."""
    config, run = config_of(inputs, **REFILLED), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(refill, "round_size", dying(9, refill.round_size))
        Child(config, run).wait()
    monkeypatch.setattr(Draws, "load_state_dict", lambda self, state: None)
    Child(config, run).wait()
    assert contents(run) != whole
