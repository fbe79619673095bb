"""A vLLM server as the engine of training, against one that speaks like it; the real one is tested in tests/vllm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relift.engines.server_rollouts import ServerOptions, ServerRollouts
from relift.engines.tokens import Engine, Sampling
from relift.errors import InputError, ReliftError
from tests.engines.contract import CHECKS, WARM, requests_for
from tests.engines.fake_training_server import VOCAB, Server, training_server
from tests.engines.tiny import prompts, tiny_model

PROMPTS = prompts(6)


def weights(value: float) -> dict[str, torch.Tensor]:
    """Two tensors, one under two names: written out for the server their sum is 5 * value."""
    tied = torch.full((2,), value)
    return {"embed": tied, "norm": torch.full((1,), value), "lm_head.weight": tied}


class Learner:
    value = 0.5

    def score(self, token_ids: Sequence[int]) -> np.ndarray:
        return np.array([-(1 + 5 * self.value) / (2 + token) for token in token_ids[1:]], np.float32)


def engine_of(server: Server, folder: Path, **options: Any) -> tuple[ServerRollouts, Learner]:
    learner = Learner()
    settings = {"dtype": "float32", "max_context": 128, "deadline_seconds": 20.0, **options}
    made = ServerRollouts(tiny_model().config, ServerOptions(server.url, folder, **settings), score=learner.score)
    return made, learner


def test_contract_and_publications(tmp_path: Path) -> None:
    with training_server() as server:
        engine, learner = engine_of(server, tmp_path)
        with engine:
            with pytest.raises(ValueError, match="publish weights first"):
                engine.generate(requests_for(PROMPTS), WARM)
            for version, value in enumerate((0.5, -0.1)):
                learner.value = value
                engine.publish(weights(value), version=version)
                for temperature in (1.0, 0.5):
                    ((answer, *_),) = engine.generate(requests_for(PROMPTS[:1]), Sampling(12, temperature))
                    expected = -(1 + 5 * value) / (2 + answer.token_ids_T) / temperature
                    np.testing.assert_allclose(answer.logprobs_T, expected, rtol=1e-6)
            assert server.names == {"embed", "norm", "lm_head.weight"}  # no name stands for another one
            assert server.resets == 2 and not list(tmp_path.iterdir())

            def make() -> Engine:
                return engine

            for check in CHECKS:
                check(make, PROMPTS)


def test_a_server_that_fails_for_a_while_is_asked_again(tmp_path: Path) -> None:
    with training_server() as server:
        engine, learner = engine_of(server, tmp_path, deadline_seconds=20.0)
        with engine:
            engine.publish(weights(learner.value), version=0)
            server.failures = 2
            assert len(engine.generate(requests_for(PROMPTS[:2]), WARM)) == 2
            assert server.failures == 0
        brief, learner = engine_of(server, tmp_path, deadline_seconds=0.4)
        with brief:
            brief.publish(weights(learner.value), version=0)
            server.failures = 10**6
            with pytest.raises(ReliftError, match="/v1/completions gave no answer within 0 s: status 503"):
                brief.generate(requests_for(PROMPTS[:1]), WARM)
            server.failures = 0


def test_what_a_server_may_do_wrong(tmp_path: Path) -> None:
    """Each is one line; the last one: it was started again, and answers with weights of its own."""
    with training_server() as server:
        engine, learner = engine_of(server, tmp_path)
        with engine:
            engine.publish(weights(learner.value), version=7)
            for odd, message in (
                ({"token_ids": [VOCAB + 5] * 12}, "answered not as it was asked"),
                ({"token_ids": [5]}, "answered not as it was asked"),
                ({"token_ids": None}, "must be vLLM 0.10.2 or later"),
                ({"logprobs": {"token_logprobs": [float("nan")] * 12}}, "not finite with version 7"),
            ):
                server.odd = odd
                with pytest.raises(ReliftError, match=message) as error:
                    engine.generate(requests_for(PROMPTS[:1]), WARM)
                assert "\n" not in str(error.value)
            server.odd, server.total = {}, 3.0
            with pytest.raises(ReliftError, match="does not answer with version 7 of the weights"):
                engine.generate(requests_for(PROMPTS), WARM)


def test_a_server_that_was_started_otherwise(tmp_path: Path) -> None:
    with training_server(development=False) as server:
        engine, learner = engine_of(server, tmp_path)
        with (
            pytest.raises(ReliftError, match="cannot load new weights .*start vLLM with VLLM_SERVER_DEV_MODE=1"),
            engine,
        ):
            engine.publish(weights(learner.value), version=0)
        too_long, _ = engine_of(server, tmp_path, max_context=4000)
        with pytest.raises(InputError, match="the server reads 128 tokens, the run needs 4000"), too_long:
            pass
    with training_server(processed=False) as server:
        engine, learner = engine_of(server, tmp_path)
        with engine:
            engine.publish(weights(learner.value), version=0)
            engine.generate(requests_for(PROMPTS), WARM)
            with pytest.raises(InputError, match="start it with --logprobs-mode processed_logprobs"):
                engine.generate(requests_for(PROMPTS), Sampling(12, 0.5))
        with pytest.raises(InputError, match="no such folder; name one that the server sees too"):
            engine_of(server, tmp_path / "nowhere")
