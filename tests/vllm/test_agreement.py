"""vLLM and the torch sampler are two ways to the same answers, on a model that can do something.

The embedded world's base model: $RELIFT_ARITH_BASE names one, else the demo's first is made or taken from the cache.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from relift.arith.world import make_questions
from relift.engines.hf_model import load_tokenizer, stop_tokens
from relift.engines.model_source import resolve_model
from relift.engines.open import open_answerer
from relift.engines.options import TorchOptions, VLLMOptions
from relift.engines.texts import Answerer, AttemptRequest, Prompt
from relift.engines.tokens import Sampling
from relift.schema import Question, seed_of
from tests.engines.answer_contract import answers

pytestmark = pytest.mark.vllm
N_QUESTIONS, N_ATTEMPTS = 200, 8
Z_99 = 2.576  # two-sided 99 %


@pytest.fixture(scope="module")
def base() -> Path:
    named = os.environ.get("RELIFT_ARITH_BASE")
    if named:
        return Path(named)
    from relift.demo.base_model import cached_base  # trains for minutes
    from relift.demo.experiment import cache_folder

    return cached_base(cache_folder(), seed=1)


def both(base: Path) -> tuple[Answerer, Answerer]:
    source = resolve_model(str(base))
    torch_options, vllm_options = TorchOptions(dtype="float32"), VLLMOptions(dtype="float32", logprobs=True)
    return open_answerer("torch", source, options=torch_options), open_answerer("vllm", source, options=vllm_options)


def asks_of(questions: list[Question], base: Path, *, attempts: int, salt: int) -> list[AttemptRequest]:
    tokenizer, _ = load_tokenizer(str(base))
    return [
        AttemptRequest(f"{q.question_id}/0/{g}", Prompt(ids), seed_of(salt, "benchmark", 0, 0, q.question_id, g))
        for q in questions
        for ids in [tuple(tokenizer(q.problem)["input_ids"])]
        for g in range(attempts)
    ]


def test_greedy_answers_are_identical_and_sampled_scores_agree(base: Path) -> None:
    """Sampled: D_i = rate of question i by torch - by vLLM; |mean D| <= z * sd(D) / sqrt(N), and so for lengths and
    log-probabilities of a token. The seeds are the same and mean different random numbers to each."""
    tokenizer, _ = load_tokenizer(str(base))
    questions = make_questions("probe", N_QUESTIONS, seed=5)
    stop = stop_tokens(tokenizer, str(base))
    greedy = Sampling(max_tokens=128, temperature=0.0, stop_token_ids=stop)
    warm = Sampling(max_tokens=128, temperature=1.0, stop_token_ids=stop)
    one, many = (asks_of(questions, base, attempts=k, salt=3) for k in (1, N_ATTEMPTS))
    seen = []
    for engine in both(base):
        with engine:
            replies = answers(engine, one, greedy)
            sampled = answers(engine, many, warm)
        golds = [q.answer for q in questions for _ in range(N_ATTEMPTS)]
        correct = [f"\\boxed{{{gold}}}" in r.text for gold, r in zip(golds, sampled, strict=True)]
        nats = [(r.sum_logprob or math.nan) / r.n_tokens for r in sampled]
        per_answer = np.column_stack([correct, [r.n_tokens for r in sampled], nats])
        seen.append((replies, per_answer.reshape(N_QUESTIONS, N_ATTEMPTS, 3).mean(axis=1)))
    (torch_greedy, torch_rates), (vllm_greedy, vllm_rates) = seen
    for mine, theirs in zip(torch_greedy, vllm_greedy, strict=True):
        assert (mine.text, mine.finish, mine.n_tokens) == (theirs.text, theirs.finish, theirs.n_tokens)
        assert mine.sum_logprob == pytest.approx(theirs.sum_logprob, abs=1e-3)
    assert 0.1 < torch_rates[:, 0].mean() < 0.95  # else agreement would mean little
    difference_N3 = torch_rates - vllm_rates
    for what, difference_N in zip(("rate", "tokens", "nats a token"), difference_N3.T, strict=True):
        half_width = Z_99 * difference_N.std(ddof=1) / math.sqrt(N_QUESTIONS)
        print(f"{what}: {difference_N.mean():+.4f} +- {half_width:.4f}")
        assert abs(difference_N.mean()) <= half_width, what
        assert difference_N.std() > 0
