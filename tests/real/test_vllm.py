"""Real pretrained weights in vLLM as the engine of training: its answers are those of transformers and our sampler.

Runs in an environment with vLLM (make test-real does it where `make test-vllm` has made one); elsewhere it is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from relift.engines.hf_model import load_model, load_tokenizer
from relift.engines.tokens import Request, Sampling
from relift.engines.torch_sampler import TorchSampler
from relift.engines.vllm_child import RolloutOptions
from relift.engines.vllm_rollouts import VLLMRollouts

pytestmark = pytest.mark.real
QUESTIONS = ("What is 17 + 25?", "The capital of France is", "Name three prime numbers above 100.")
TOKENS = 12


def test_greedy_answers_of_three_engines_are_equal(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, token by token; log-probabilities of vLLM and of the model itself within 1e-4 nats."""
    pytest.importorskip("vllm")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    tokenizer, _ = load_tokenizer(str(checkpoint))
    model = load_model(str(checkpoint), device=torch.device("cpu"))

    @torch.no_grad()
    def score(token_ids: Sequence[int], *, temperature: float = 1.0) -> np.ndarray:
        logits_TV = model(torch.tensor([list(token_ids)])).logits[0, :-1] / temperature
        return torch.log_softmax(logits_TV, -1).gather(1, torch.tensor(token_ids[1:])[:, None])[:, 0].numpy()

    requests = [Request(tuple(tokenizer(question).input_ids), (0,)) for question in QUESTIONS]
    greedy = Sampling(TOKENS, temperature=0.0)
    with VLLMRollouts(model.config, RolloutOptions(max_context=256, max_sequences=16), score=score) as engine:
        engine.publish(model.state_dict(), version=0)
        vllms = [answer for (answer,) in engine.generate(requests, greedy)]
    ours = [answer for (answer,) in TorchSampler(model, batch_rows=16).generate(requests, greedy)]
    for request, mine, other in zip(requests, ours, vllms, strict=True):
        assert mine.token_ids_T.tolist() == other.token_ids_T.tolist()
        whole = [*request.prompt_ids, *other.token_ids_T.tolist()]
        np.testing.assert_allclose(other.logprobs_T, score(whole)[len(request.prompt_ids) - 1 :], atol=1e-4)
        with torch.no_grad():
            theirs = model.generate(
                torch.tensor([request.prompt_ids]), do_sample=False, max_new_tokens=TOKENS, eos_token_id=None
            )
        assert theirs[0, len(request.prompt_ids) :].tolist() == mine.token_ids_T.tolist()
