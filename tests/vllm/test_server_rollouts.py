"""vLLM's server as the engine of training: the contract of every engine, and weights that go through a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relift.engines.server_rollouts import ServerOptions, ServerRollouts
from relift.engines.tokens import Engine, Sampling
from relift.errors import InputError, ReliftError
from tests.engines.contract import CHECKS, WARM, requests_for, tokens
from tests.engines.tiny import prompts, write_checkpoint
from tests.vllm.conftest import Served, serve
from tests.vllm.policy import Policy

pytestmark = pytest.mark.vllm
PROMPTS = prompts(6)
DEVELOPMENT = {"VLLM_SERVER_DEV_MODE": "1"}


def engine_of(policy: Policy, served: Served, folder: Path, **options: Any) -> ServerRollouts:
    settings = {"dtype": "float32", "max_context": 128, "deadline_seconds": 60.0, **options}
    return ServerRollouts(policy.model.config, ServerOptions(served.base_url, folder, **settings), score=policy.score)


@pytest.fixture(scope="module", params=["wide", "untied"])
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Policy, Served]]:
    folder = tmp_path_factory.mktemp("served")
    model = write_checkpoint(folder / "model", layout=request.param)
    processed = ("--logprobs-mode", "processed_logprobs")
    with serve(model, folder / "log", *processed, env=DEVELOPMENT) as served:
        yield Policy(request.param), served


def test_contract_and_publications(trained: tuple[Policy, Served], tmp_path: Path) -> None:
    """Each version answers with its own weights, at its temperature, to 1e-4; nothing stays in the folder."""
    policy, served = trained
    with engine_of(policy, served, tmp_path) as engine:
        for version, seed in enumerate((0, 1, 2, 0)):
            policy.become(seed)
            engine.publish(policy.model.state_dict(), version=version)
            for temperature in (1.0, 0.7, 0.0):
                sampling = Sampling(max_tokens=20, temperature=temperature, stop_token_ids=(7, 9))
                for request, group in zip(
                    requests_for(PROMPTS), engine.generate(requests_for(PROMPTS), sampling), strict=True
                ):
                    for answer in group:
                        whole = [*request.prompt_ids, *answer.token_ids_T.tolist()]
                        expected = policy.score(whole, temperature=temperature or 1.0)[len(request.prompt_ids) - 1 :]
                        np.testing.assert_allclose(answer.logprobs_T, expected, atol=1e-4)
        assert engine.policy_version == 3 and not list(tmp_path.iterdir())

        def make() -> Engine:
            return engine

        for check in CHECKS:
            check(make, PROMPTS)


def test_a_server_with_other_weights_is_noticed(trained: tuple[Policy, Served], tmp_path: Path) -> None:
    """Somebody else publishes to it: the next answers are refused."""
    policy, served = trained
    policy.become(0)
    with engine_of(policy, served, tmp_path) as engine:
        engine.publish(policy.model.state_dict(), version=0)
        expected = tokens(engine.generate(requests_for(PROMPTS), WARM))
        other = Policy(policy.layout)
        other.become(5)
        with engine_of(other, served, tmp_path) as second:
            second.publish(other.model.state_dict(), version=1)
        with pytest.raises(ReliftError, match="does not answer with version 0 of the weights"):
            engine.generate(requests_for(PROMPTS), WARM)
        engine.publish(policy.model.state_dict(), version=0)
        assert tokens(engine.generate(requests_for(PROMPTS), WARM)) == expected


def test_a_server_that_was_started_otherwise(served: Served, folder: Path, tmp_path: Path) -> None:
    """Without the development mode it takes no weights; without processed log-probabilities no temperature but 1."""
    policy = Policy("wide")
    with engine_of(policy, served, tmp_path) as engine:
        with pytest.raises(ReliftError, match="cannot load new weights .*start vLLM with VLLM_SERVER_DEV_MODE=1"):
            engine.publish(policy.model.state_dict(), version=0)
        with pytest.raises(InputError, match="start it with --logprobs-mode processed_logprobs"):
            engine._require_processed()
    with pytest.raises(InputError, match="the server reads 128 tokens, the run needs 4000"):
        with engine_of(policy, served, tmp_path, max_context=4000):
            pass
