"""vLLM as the engine of training: the contract of every engine, weights that arrive, and an engine that fails."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relift.engines.tokens import Engine, Sampling
from relift.engines.vllm_child import RolloutOptions
from relift.engines.vllm_rollouts import VLLMRollouts
from relift.errors import ReliftError
from relift.schema import Finish
from tests.engines.contract import CHECKS, WARM, requests_for, tokens
from tests.engines.tiny import prompts
from tests.vllm.policy import Policy

pytestmark = pytest.mark.vllm
PROMPTS = prompts(6)
LONG = Sampling(max_tokens=90, temperature=1.0)


def engine_of(policy: Policy, **options: Any) -> VLLMRollouts:
    return VLLMRollouts(policy.model.config, RolloutOptions(**options), score=policy.score)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy("wide")


@pytest.fixture(scope="module")
def engine(policy: Policy) -> Iterator[VLLMRollouts]:
    with engine_of(policy) as engine:
        engine.publish(policy.model.state_dict(), version=0)
        yield engine


@pytest.fixture(autouse=True)
def logs_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # those of children that fail stay


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Any, engine: Engine) -> None:
    check(lambda: engine, PROMPTS)


@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.0])
def test_log_probabilities_are_the_models_at_the_temperature(
    engine: VLLMRollouts, policy: Policy, temperature: float
) -> None:
    sampling = Sampling(max_tokens=40, temperature=temperature, stop_token_ids=(7, 9))
    for request, group in zip(requests_for(PROMPTS), engine.generate(requests_for(PROMPTS), sampling), strict=True):
        for answer in group:
            whole = [*request.prompt_ids, *answer.token_ids_T.tolist()]
            expected = policy.score(whole, temperature=temperature or 1.0)[len(request.prompt_ids) - 1 :]
            np.testing.assert_allclose(answer.logprobs_T, expected, atol=1e-4)


def test_truncated_sampling_has_no_log_probabilities(engine: VLLMRollouts) -> None:
    (group,) = engine.generate(requests_for(PROMPTS[:1]), Sampling(max_tokens=12, temperature=1.0, top_p=0.5))
    assert all(np.isnan(answer.logprobs_T).all() and len(answer.token_ids_T) == 12 for answer in group)


def test_attempts_at_long_prompts_share_what_was_read_and_are_the_same_alone(engine: VLLMRollouts) -> None:
    """Prompts of several blocks of keys and values: 8 attempts together, one at a time, and after a reset."""
    long = [tuple(3 + (5 * i + q) % 60 for i in range(100 + q)) for q in range(4)]
    requests = requests_for(long, attempts=8)
    sampling = Sampling(max_tokens=20, temperature=1.0)
    together = engine.generate(requests, sampling)
    alone = [engine.generate([request], sampling)[0] for request in requests[::-1]][::-1]
    assert tokens(together) == tokens(alone)
    for first, second in zip(sum(together, []), sum(alone, []), strict=True):
        np.testing.assert_allclose(first.logprobs_T, second.logprobs_T, atol=1e-4)


@pytest.mark.parametrize("layout", ["wide", "untied"])
def test_thirty_publications(layout: str, tmp_path: Path) -> None:
    """Every version answers with its own weights, and neither process grows by more than 16 MB from the 5th on."""
    policy = Policy(layout)
    with engine_of(policy) as engine:
        grown = []
        for version in range(30):
            policy.become(version)
            engine.publish(policy.model.state_dict(), version=version)  # compares the probe
            (group,) = engine.generate(requests_for(PROMPTS[:1]), WARM)
            whole = [*PROMPTS[0], *group[0].token_ids_T.tolist()]
            expected = policy.score(whole)[len(PROMPTS[0]) - 1 :]
            np.testing.assert_allclose(group[0].logprobs_T, expected, atol=1e-4)
            assert engine.policy_version == version
            grown.append((resident_bytes(os.getpid()), resident_bytes(pid_of(engine))))
    for name, one in zip(("here", "child"), np.array(grown).T, strict=True):
        print(f"{layout}, {name}: {one[4] / 2**20:.0f} MB after 5 publications, {one[-1] / 2**20:.0f} after 30")
        assert one[-1] - one[4] < 16 * 2**20
    assert not list(Path("/dev/shm").glob(f"relift-weights-{os.getpid()}-*"))


def test_weights_that_do_not_arrive_are_noticed(policy: Policy) -> None:
    """The learner says otherwise; or a tied head stays behind, as vLLM leaves it without an entry of its own."""
    with engine_of(policy) as engine:
        engine.publish(policy.model.state_dict(), version=0)
        other = {name: tensor.clone() for name, tensor in Policy("wide").model.state_dict().items()}
        other["model.norm.weight"] *= 1.05
        with pytest.raises(ReliftError, match="does not answer with version 1 of the weights: .* nats a token"):
            engine.publish(other, version=1)
        stale = Policy("wide")
        stale.become(3)
        head_less = {name: tensor for name, tensor in stale.model.state_dict().items() if name != "lm_head.weight"}
        with engine_of(stale) as second:
            with pytest.raises(ReliftError, match="does not answer with version 0"):
                second.publish(head_less, version=0)


def pid_of(engine: VLLMRollouts) -> int:
    worker = engine._child._worker
    assert worker is not None
    return worker._process.pid


def resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_child_that_fails_is_replaced_and_the_answers_are_the_same(policy: Policy, number: int) -> None:
    """Killed or stopped in the middle of a call; the stopped one is given up after the stall limit."""
    requests = requests_for(PROMPTS, attempts=60)
    events: list[str] = []
    engine = VLLMRollouts(
        policy.model.config, RolloutOptions(stall_seconds=20.0), score=policy.score, on_event=events.append
    )
    with engine:
        engine.publish(policy.model.state_dict(), version=4)
        expected = tokens(engine.generate(requests, LONG))
        first = pid_of(engine)
        hit: list[float] = []

        def strike(n_answers: int, n_tokens: int) -> None:
            if not hit:
                os.kill(first, number)
                hit.append(time.monotonic())

        again = engine.generate(requests, Sampling(**{**LONG.__dict__, "stop_token_ids": (3,)}), on_progress=strike)
        print(f"recovered within {time.monotonic() - hit[0]:.1f} s of {events}")
        assert hit and pid_of(engine) != first and engine.policy_version == 4
        assert tokens(engine.generate(requests, LONG)) == expected
        assert all(answer.finish in set(Finish) for group in again for answer in group)
    assert len(events) == 1 and "vLLM is started again and the work repeated" in events[0]
    assert not Path(f"/proc/{first}").exists()


def test_an_interrupt_ends_the_child_within_two_seconds(policy: Policy) -> None:
    with engine_of(policy) as engine:
        engine.publish(policy.model.state_dict(), version=0)
        child = pid_of(engine)
        began = time.monotonic()
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            while True:
                engine.generate(requests_for(PROMPTS, attempts=400), LONG)
    assert time.monotonic() - began < 0.5 + 2.0
    assert not Path(f"/proc/{child}").exists()
