"""The side of vLLM in training that is ours, against a child that speaks like it: weights, deadlines, restarts.

The real vLLM is tested in tests/vllm.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relift.engines import vllm_child, vllm_rollouts
from relift.engines.tokens import Engine, Sampling
from relift.engines.vllm_child import RolloutOptions
from relift.engines.vllm_rollouts import VLLMRollouts
from relift.engines.weights_file import weights_file
from relift.errors import InputError, ReliftError, StoreError
from tests.engines.contract import CHECKS, WARM, requests_for, tokens
from tests.engines.tiny import prompts, tiny_model

SCRIPT = Path(__file__).with_name("fake_rollouts_worker.py")
PROMPTS = prompts(6)
STARTS = "starts"


@pytest.fixture(autouse=True)
def without_vllm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vllm_rollouts, "installed_version", lambda: "0.0")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / STARTS).mkdir()


def weights(value: float) -> dict[str, torch.Tensor]:
    """Two tensors, one of them under two names: their sum is 3 * value."""
    tied = torch.full((2,), value)
    return {"embed": tied, "norm": torch.full((1,), value), "lm_head.weight": tied}


class Learner:
    """Says of the probe what the fake child says: -(1 + sum of the weights) / (2 + token)."""

    def __init__(self, value: float = 0.5) -> None:
        self.value = value

    def score(self, token_ids: Sequence[int]) -> np.ndarray:
        return np.array([-(1 + 3 * self.value) / (2 + token) for token in token_ids[1:]], np.float32)


def engine_of(
    tmp_path: Path, mode: str = "good", *, events: list[str] | None = None, **options: Any
) -> tuple[VLLMRollouts, Learner]:
    learner = Learner()
    engine = VLLMRollouts(
        tiny_model().config,
        RolloutOptions(**{"stall_seconds": 5.0, **options}),
        score=learner.score,
        on_event=(events if events is not None else []).append,
        command=(sys.executable, "-S", str(SCRIPT), mode, str(tmp_path / STARTS)),
    )
    return engine, learner


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Any, tmp_path: Path) -> None:
    engine, learner = engine_of(tmp_path)
    with engine:
        engine.publish(weights(learner.value), version=3)

        def make() -> Engine:
            return engine

        check(make, PROMPTS)


def test_every_version_answers_with_its_weights(tmp_path: Path) -> None:
    """Token k has log-probability -(1 + 3 v) / (2 + k); the file is gone after each publication."""
    engine, learner = engine_of(tmp_path)
    memory = vllm_child.tempfile.gettempdir(), "/dev/shm"
    with engine:
        with pytest.raises(ValueError, match="publish weights first"):
            engine.generate(requests_for(PROMPTS), WARM)
        for version, value in enumerate((0.5, 1.0, -0.25)):
            learner.value = value
            engine.publish(weights(value), version=version)
            for answer in engine.generate(requests_for(PROMPTS[:1]), WARM)[0]:
                np.testing.assert_allclose(answer.logprobs_T, -(1 + 3 * value) / (2 + answer.token_ids_T), rtol=1e-6)
        assert engine.policy_version == 2
        assert not any(list(Path(place).glob(f"relift-weights-{os.getpid()}-*")) for place in memory)
    assert len(os.listdir(tmp_path / STARTS)) == 1


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("hangs", "vLLM took no step in time"),
        ("dies", "vLLM ended with status 7: RuntimeError: out of paper; its log is "),
        ("lies", "vLLM wrote tokens that the model does not have"),
        ("repeats", "vLLM answered what it was not asked"),
        ("cuts short", "vLLM answered what it was not asked, or not as it was asked"),
        ("stale", "vLLM answered with version 2 of the weights"),
        ("babbles", "vLLM said something that is no message"),
    ],
)
def test_a_child_that_goes_wrong(mode: str, message: str, tmp_path: Path) -> None:
    """Once: another one, the same weights, the same answers. Always: one line after so many restarts."""
    engine, learner = engine_of(tmp_path)
    with engine:
        engine.publish(weights(learner.value), version=3)
        expected = tokens(engine.generate(requests_for(PROMPTS), WARM))
    (tmp_path / STARTS / "0").unlink()
    events: list[str] = []
    engine, learner = engine_of(tmp_path, f"once {mode}", events=events, stall_seconds=0.7)
    with engine:
        engine.publish(weights(learner.value), version=3)
        assert tokens(engine.generate(requests_for(PROMPTS), WARM)) == expected
        assert engine.policy_version == 3
    (event,) = events
    assert event.startswith(message) and event.endswith("vLLM is started again and the work repeated")
    events.clear()
    engine, learner = engine_of(tmp_path, mode, events=events, stall_seconds=0.7, restarts=2)
    with pytest.raises(ReliftError, match="failed 3 times at the same work: lower vllm.max_sequences") as error, engine:
        engine.publish(weights(learner.value), version=3)
        engine.generate(requests_for(PROMPTS), WARM)
    assert str(error.value).startswith(message) and "\n" not in str(error.value) and len(events) == 2
    assert len(os.listdir(tmp_path / STARTS)) == 2 + 3


def test_what_another_child_would_not_mend(tmp_path: Path) -> None:
    for mode, message in (
        ("cannot-open", "vLLM ended with status 1: ValueError: Head size 24 is not supported; its log"),
        ("wrong weights", "the engine does not answer with version 3 of the weights"),
        ("not finite", "a log-probability that is not finite with version 3"),
    ):
        events: list[str] = []
        engine, learner = engine_of(tmp_path, mode, events=events)
        with pytest.raises(ReliftError, match=message), engine:
            engine.publish(weights(learner.value), version=3)
            engine.generate(requests_for(PROMPTS), WARM)
        assert not events
    engine, _ = engine_of(tmp_path)
    with engine:
        with pytest.raises(ReliftError, match="published norm holds numbers that are not finite"):
            engine.publish(weights(0.5) | {"norm": torch.tensor([torch.nan])}, version=1)
        with pytest.raises(ReliftError, match="published weights are a list"):
            engine.publish([], version=1)


def test_an_interrupt_ends_a_hanging_child_within_two_seconds(tmp_path: Path) -> None:
    engine, learner = engine_of(tmp_path, "hangs", stall_seconds=60.0)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), engine:
        engine.publish(weights(learner.value), version=0)
        worker = engine._child._worker
        assert worker is not None
        began = time.monotonic()
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        engine.generate(requests_for(PROMPTS), WARM)
    assert time.monotonic() - began < 2.0
    assert worker._process.returncode is not None


def test_a_stopped_child_that_reads_nothing_is_given_up_in_time(tmp_path: Path) -> None:
    """A message larger than a pipe holds, to a process that was stopped: sending must not wait for it."""
    events: list[str] = []
    engine, learner = engine_of(tmp_path, events=events, stall_seconds=0.7)
    with engine:
        engine.publish(weights(learner.value), version=0)
        worker = engine._child._worker
        assert worker is not None
        os.kill(worker._process.pid, signal.SIGSTOP)
        began = time.monotonic()
        answers = engine.generate(requests_for([PROMPTS[2] * 4] * 600, attempts=8), Sampling(max_tokens=1))
        assert len(answers) == 600 and time.monotonic() - began < 10
    assert len(events) == 1


def test_arguments_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and values of a token: 2 * 2 layers * 4 heads * 8 wide * 4 bytes = 512; of 256 answers of 128 tokens 16 MiB,
    less than the least of 64 MiB."""
    monkeypatch.setenv("LOCAL_RANK", "1")
    child = vllm_child.VLLMChild(tiny_model().config, RolloutOptions(max_context=100), ())
    arguments, env = child.arguments(), child._environment()
    child.close()
    assert arguments["kv_cache_memory_bytes"] == 64 * 2**20
    assert (arguments["max_model_len"], arguments["load_format"]) == (100, "dummy")
    assert arguments["logprobs_mode"] == "processed_logprobs"
    assert "LOCAL_RANK" not in env and env["OMP_NUM_THREADS"] == str(torch.get_num_threads())
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    for gpus, seen, sleeps in ((None, "5", True), ("6,7", "6,7", False)):
        child = vllm_child.VLLMChild(tiny_model().config, RolloutOptions(gpus=gpus, gpu_memory=0.3), ())
        arguments = child.arguments()
        assert child._environment()["CUDA_VISIBLE_DEVICES"] == seen
        assert (arguments["enable_sleep_mode"], arguments["gpu_memory_utilization"]) == (sleeps, 0.3)
        assert "kv_cache_memory_bytes" not in arguments
        child.close()


def test_weights_files_hold_shared_tensors_once(tmp_path: Path) -> None:
    """Two tensors of 2 and 1 numbers: 12 bytes in float32, 6 in bfloat16; the third name is an alias."""
    for dtype, n_bytes in ((torch.float32, 12), (torch.bfloat16, 6)):
        with weights_file(weights(0.5), dtype=dtype, folder=tmp_path) as file:
            assert (file.n_bytes, file.aliases) == (n_bytes, {"lm_head.weight": "embed"})
            assert file.path.is_file()
        assert not file.path.exists()
    with pytest.raises(StoreError, match="weights for the engine cannot be written in .*: No such file"):
        with weights_file(weights(0.5), folder=tmp_path / "nowhere"):
            pass


def test_without_vllm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs vLLM: pip install 'relift\[vllm\]'"):
        VLLMRollouts(tiny_model().config, RolloutOptions(), score=Learner().score)
