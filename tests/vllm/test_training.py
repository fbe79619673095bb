"""A ReLIFT run whose rollouts vLLM writes: it repeats, resumes after a kill, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relift.config import Config
from relift.grading import SCORERS
from relift.store import RunReader, check_run
from relift.trainer.run import Run, StepReport
from tests.resume.harness import Child, config_of, contents, lay_inputs, run_here

pytestmark = pytest.mark.vllm
STEPS: dict[str, Any] = {"steps": 4, "checkpoint": {"every": 1}, "probe": {"every": 2}}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    exact = SCORERS["exact"]
    yield lay_inputs(tmp_path_factory.mktemp("inputs"))
    SCORERS["exact"] = exact


def with_vllm(inputs: Path, **changes: Any) -> Config:
    rollout = {"engine": "vllm", **changes.pop("rollout", {})}
    return config_of(inputs, **{**STEPS, **changes}, rollout=rollout)


@pytest.fixture(scope="module")
def reference(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference") / "run"
    run_here(with_vllm(inputs), folder)
    return folder


def test_a_run_is_whole_and_sampler_and_learner_agree(reference: Path) -> None:
    """Mean log-probability gap of every RL update at most 1e-4 nats: one policy, two implementations in float32."""
    assert check_run(reference).problems == []
    reader = RunReader(reference)
    assert reader.run.engine["name"] == "vllm"
    updates = reader.read("updates")
    assert {"rl", "sft"} <= set(updates["kind"])
    gap = updates.loc[updates["kind"] == "rl", "sampler_kl"]
    assert gap.abs().max() < 1e-4 and gap.notna().all()
    attempts = reader.read("attempts")
    assert attempts["sum_logprob"].notna().all() and attempts["mean_entropy"].isna().all()
    versions = attempts.groupby(["origin", "step"], observed=True)["policy_version"].agg(["min", "max"])
    assert (versions["min"] == versions["max"]).all()
    rollouts = versions.loc["rollout"]
    assert (rollouts["max"].to_numpy() == rollouts.index.to_numpy() - 1).all()


def test_killed_it_resumes_to_the_same(inputs: Path, reference: Path, tmp_path: Path) -> None:
    """SIGKILL at the end of step 2; the sampler it had started is gone at once, and the next start ends alike."""
    told = tmp_path / "children"

    def die(run: Run, report: StepReport) -> None:
        if report.step == 2:
            told.write_text(str(run.engine._child._worker._process.pid))  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGKILL)

    folder = tmp_path / "run"
    assert Child(with_vllm(inputs), folder, on_step=die).wait() == -signal.SIGKILL
    time.sleep(2.0)
    assert not Path(f"/proc/{told.read_text()}").exists()
    assert Child(with_vllm(inputs), folder).wait() == 0
    assert contents(folder) == contents(reference)
