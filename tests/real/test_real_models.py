"""Real pretrained weights: sampler, learner and transformers say the same of them, and an evaluation runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relift.engines.hf_model import load_model, load_tokenizer, stop_tokens
from relift.engines.tokens import Request, Sampling
from relift.engines.torch_sampler import TorchSampler
from relift.learner.learner import Learner
from relift.learner.update import TrainSequence
from relift.prompts import render
from relift.store import RunReader
from tests.repository import benchmark_data

pytestmark = pytest.mark.real

CPU = torch.device("cpu")
QUESTIONS = ("What is 17 + 25?", "The capital of France is", "Name three prime numbers above 100.")


@pytest.fixture
def parts(checkpoint: Path) -> Iterator[tuple[Any, Any, list[tuple[int, ...]]]]:
    """(model, tokenizer, prompts): as chats where the checkpoint has a template, as plain text else."""
    tokenizer, _ = load_tokenizer(str(checkpoint))
    template = "chat" if tokenizer.chat_template else "plain"
    prompts = [render(question, template, tokenizer).token_ids for question in QUESTIONS]
    yield load_model(str(checkpoint), device=CPU), tokenizer, prompts


def test_greedy_answers_are_those_of_transformers(parts: tuple[Any, Any, list[tuple[int, ...]]]) -> None:
    model, tokenizer, prompts = parts
    theirs = []
    for prompt in prompts:
        with torch.no_grad():
            ids = model.generate(
                torch.tensor([prompt]), do_sample=False, max_new_tokens=16, pad_token_id=tokenizer.eos_token_id
            )
        theirs.append(ids[0, len(prompt) :].tolist())
    stops = stop_tokens(tokenizer, model.config._name_or_path)
    sampler = TorchSampler(model, batch_rows=16, copied=False)
    ours = sampler.generate([Request(p, (0,)) for p in prompts], Sampling(16, temperature=0.0, stop_token_ids=stops))
    assert [row[0].token_ids_T.tolist() for row in ours] == theirs


def test_log_probabilities_of_sampler_and_learner_agree(parts: tuple[Any, Any, list[tuple[int, ...]]]) -> None:
    model, _, prompts = parts
    sampler = TorchSampler(model, batch_rows=16)
    answers = sampler.generate([Request(p, (0, 1)) for p in prompts], Sampling(24))
    sequences = [
        TrainSequence(prompt, answer.token_ids_T)
        for prompt, row in zip(prompts, answers, strict=True)
        for answer in row
    ]
    scores = Learner(model, {}, longest=64).score(sequences)
    sampled = [answer.logprobs_T for row in answers for answer in row]
    assert max(np.abs(a - b).max() for a, b in zip(scores, sampled, strict=True)) < 1e-4


def test_a_probe_of_questions_like_those_of_math(checkpoint: Path, tmp_path: Path) -> None:
    """The command, from end to end: every answer is graded, none is left undecided."""
    rows = [
        {"problem": "What is $51 + 99$?", "answer": "150"},
        {"problem": "Simplify $\\frac{6}{8}$.", "answer": "\\frac{3}{4}"},
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer, _ = load_tokenizer(str(checkpoint))
    template = "chat" if tokenizer.chat_template else "plain"
    arguments = [
        sys.executable, "-m", "relift.cli", "probe", checkpoint, "--questions", tmp_path / "q.jsonl", "--samples", 1,
        "--max-tokens", 32, "--template", template, "--out", tmp_path / "run", "--engine-option", "batch_rows=16",
        "--quiet",
    ]  # fmt: skip
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    attempts = RunReader(tmp_path / "run").read("attempts")
    assert len(attempts) == 2 and set(attempts["verdict"]) <= {"correct", "wrong"}


def test_questions_of_math_500_are_scored(checkpoint: Path, tmp_path: Path) -> None:
    """Evaluate real questions, in as many tokens as a test has time for: every answer has a verdict."""
    data = benchmark_data()
    if data is None or not (data / "math500.jsonl").is_file():
        pytest.skip("no copy of MATH-500: set RELIFT_BENCHMARK_DATA to a folder with math500.jsonl")
    tokenizer, _ = load_tokenizer(str(checkpoint))
    arguments = [
        sys.executable, "-m", "relift.cli", "eval", checkpoint, "-b", "math500", "--data", data, "--limit", 3,
        "--samples", 1, "--max-tokens", 32, "--template", "boxed" if tokenizer.chat_template else "plain",
        "--out", tmp_path / "run", "--engine-option", "batch_rows=16", "--quiet", "--json",
    ]  # fmt: skip
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    attempts = RunReader(tmp_path / "run").read("attempts")
    assert len(attempts) == 3 and set(attempts["verdict"]) <= {"correct", "wrong"}
    assert json.loads(done.stdout)
