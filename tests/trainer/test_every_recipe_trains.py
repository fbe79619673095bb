"""Every recipe trains a tiny model for three steps, with the real learner and sampler."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from relift.grading import SCORERS
from relift.store import RunReader, check_run
from relift.trainer.configuration import load_config
from relift.trainer.recipes import RECIPES
from tests.resume.harness import lay_inputs, run_here


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = SCORERS["exact"]
    yield lay_inputs(tmp_path_factory.mktemp("inputs"))
    SCORERS["exact"] = before


@pytest.mark.parametrize("name", RECIPES)
def test_it_trains(name: str, inputs: Path, tmp_path: Path) -> None:
    source = tmp_path / "run.toml"
    source.write_text(f'recipe = "{name}"\nsteps = 3\n')
    more = {"sft_rl": ["sft.phase_steps=1"], "hint_rl": ["prefix.questions=all"]}.get(name, [])
    more += [f"teacher.path={inputs / 'teacher'}"] if "teacher" in RECIPES[name].defaults else []
    sets = [f"model.path={inputs / 'base'}", f"data.questions={inputs / 'train.jsonl'}", "data.prompt=plain",
            "rollout.questions_per_step=8", "rollout.attempts_per_question=4", "rollout.max_tokens=12", "sft.batch=4",
            "checkpoint.every=3", *more]  # fmt: skip
    run_here(load_config(source, overrides=sets), tmp_path / "run")
    assert check_run(tmp_path / "run").problems == []
    if name in ("prefix_rl", "hint_rl"):  # half of the attempts
        attempts = RunReader(tmp_path / "run").read("attempts", columns=["assistance"], origin="rollout")
        assert (attempts["assistance"] != "none").mean() == 0.5
    updates = RunReader(tmp_path / "run").read("updates")
    assert len(updates) >= 3 and np.isfinite(updates["loss"]).all() and not updates["skipped"].any()
    assert (updates["grad_norm"] > 0).any()
    before, after = (weights(tmp_path / "run" / "weights" / f"step-{step:06d}") for step in (0, 3))
    moved = any((before[key] != after[key]).any() for key in before)
    assert moved == (name != "frozen")


def weights(folder: Path) -> dict[str, np.ndarray]:
    """Read the weights of a checkpoint."""
    return {k: v.numpy() for path in folder.glob("model*.safetensors") for k, v in load_file(path).items()}
