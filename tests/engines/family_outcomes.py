"""Measure what sampler and learner do with each family of models, and write it to family_outcomes.json.

`python -m tests.engines.family_outcomes` rewrites the file; docs/models.md is made from it (docs/make_models.py), and a
slow test compares it with what is measured anew.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import torch

from relift.engines.tokens import Request, Sampling
from relift.engines.torch_sampler import TorchSampler
from relift.errors import InputError
from relift.learner.learner import Learner
from relift.learner.update import TrainSequence
from tests.engines.families import FAMILIES, VOCAB, tiny_family

OUTCOMES = Path(__file__).with_suffix(".json")
TOLERANCE = 1e-5  # nats, float32
EXACT = "exact"
PROMPTS = (1, 5, 12, 20)  # tokens: below and above the windows and chunks of 8
ROOM = 60  # tokens of prompt and answer, where the model allows


def own_logprobs(model: torch.nn.Module, prompt_ids: tuple[int, ...], token_ids_T: np.ndarray) -> np.ndarray:
    """Compute the log-probabilities of an answer with the model's own code, the whole sequence at once."""
    ids = torch.tensor([[*prompt_ids, *token_ids_T.tolist()]])
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt_ids) - 1 : -1].double()
    return torch.log_softmax(logits, -1).gather(1, ids[0, len(prompt_ids) :, None])[:, 0].numpy()


def sampler_outcome(case: str) -> str:
    """Sample with the torch sampler, and compare every log-probability with the model's own: EXACT, or the refusal."""
    model = tiny_family(case)
    try:
        sampler = TorchSampler(copy.deepcopy(model), batch_rows=16, copied=False)
    except InputError as error:
        return str(error)
    rng = np.random.default_rng(0)
    requests = [Request(tuple(rng.integers(3, VOCAB, n).tolist()), (1, 2)) for n in PROMPTS]
    room = min(sampler.max_context or ROOM, ROOM) - max(PROMPTS)
    answers = sampler.generate(requests, Sampling(max_tokens=room))
    for request, row in zip(requests, answers, strict=True):
        for answer in row:
            own = own_logprobs(model, request.prompt_ids, answer.token_ids_T)
            np.testing.assert_allclose(answer.logprobs_T, own, rtol=0, atol=TOLERANCE)
    return EXACT if (sampler.max_context or ROOM) >= ROOM else f"exact up to {sampler.max_context} tokens"


def learner_outcome(case: str, *, longest: int = ROOM) -> str:
    """Score packed sequences, and compare every log-probability with the model's own: EXACT, or the refusal."""
    model = tiny_family(case)
    try:
        learner = Learner(copy.deepcopy(model), {}, longest=longest)
    except InputError as error:
        if longest == ROOM and "change with the batch beyond" in str(error):
            return "exact up to 32 tokens" if learner_outcome(case, longest=32) == EXACT else str(error)
        return str(error)
    rng = np.random.default_rng(0)
    shapes = [(3, longest // 2), (1, 1), (7, longest - 8), (12, 5)]
    sequences = [TrainSequence(tuple(rng.integers(3, VOCAB, p).tolist()), rng.integers(3, VOCAB, c)) for p, c in shapes]
    for sequence, scores in zip(sequences, learner.score(sequences), strict=True):
        own = own_logprobs(model, sequence.prompt_ids, sequence.completion_ids_T)
        np.testing.assert_allclose(scores, own, rtol=0, atol=TOLERANCE)
    return EXACT


def outcome(case: str) -> dict[str, str]:
    """Measure one family."""
    return {"sampler": sampler_outcome(case), "learner": learner_outcome(case)}


def recorded() -> dict[str, dict[str, str]]:
    """Read what was measured when the file was written."""
    return dict(json.loads(OUTCOMES.read_text()))


if __name__ == "__main__":
    OUTCOMES.write_text(json.dumps({case: outcome(case) for case in FAMILIES}, indent=1) + "\n")
