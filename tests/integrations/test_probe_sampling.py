"""A probe by the model's own `generate`: as our sampler answers, and end to end for a model that ours refuses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, BloomConfig

from relift.engines.tokens import Sampling
from relift.integrations.probe_callback import ProbeCallback
from relift.integrations.probe_sampling import exact_sampler, sample_by_generate, sample_exactly
from relift.store import RunReader, check_run
from tests.engines.tiny import VOCAB, character_tokenizer, prompts, tiny_model
from tests.integrations.fake_trl import grpo_args

QUESTIONS = [{"prompt": "AB?", "answer": "2"}, {"prompt": "ABCDEF?", "answer": "3"}, {"prompt": "C?", "answer": "4"}]


def refused_model() -> Any:
    """A tiny model of a type that our sampler has no code for."""
    torch.manual_seed(0)
    config = BloomConfig(vocab_size=VOCAB, hidden_size=32, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2)
    config.initializer_range = 0.2
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def test_greedily_both_ways_are_the_same(tmp_path: Path) -> None:
    """Prompts of mixed lengths, more rows than a batch; what the model's own settings say of sampling plays no part."""
    model, tokenizer = tiny_model(), character_tokenizer(tmp_path)
    model.generation_config.update(repetition_penalty=5.0, no_repeat_ngram_size=1, min_new_tokens=5)
    own = model.generation_config
    sampling = Sampling(max_tokens=12, temperature=0.0, stop_token_ids=(2,))
    asked = prompts(24)
    sampler = exact_sampler(model)
    assert sampler is not None
    ours = sample_exactly(sampler, asked, [[7, 8, 9]] * 24, sampling, tokenizer)
    theirs = sample_by_generate(model, asked, sampling, tokenizer, attempts=3, seed=0)
    assert len(theirs) == 72 and model.generation_config is own  # 24 x 3, a batch has 64 rows
    assert [one.token_ids for one in theirs] == [one.token_ids for one in ours]
    assert [(one.text, one.truncated) for one in theirs] == [(one.text, one.truncated) for one in ours]
    assert {one.truncated for one in ours} == {False, True}  # some end by their end token, some at the limit


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_that_our_sampler_refuses_is_probed(tmp_path: Path, temperature: float) -> None:
    model, tokenizer = refused_model(), character_tokenizer(tmp_path)
    assert exact_sampler(model) is None
    model.train()
    model.transformer.h[0].eval()  # frozen by its owner, say
    probe = ProbeCallback(
        QUESTIONS, tmp_path / "run", attempts=4, every=1, temperature=temperature, max_tokens=6,
        reward=lambda completions, **_: [float(len(text) % 2) for text in completions], strict=True,
    )  # fmt: skip
    state, told = SimpleNamespace(global_step=0, max_steps=1), {"model": model, "processing_class": tokenizer}
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    probe.on_train_begin(grpo_args(max_steps=1), state, None, **told)
    state.global_step = 1
    probe.on_step_end(grpo_args(max_steps=1), state, None, **told)
    probe.on_train_end(grpo_args(max_steps=1), state, None, **told)
    assert torch.equal(torch.get_rng_state(), before[0]) and np.random.get_state()[1].tolist() == before[1]
    assert model.training and not model.transformer.h[0].training
    reader = RunReader(tmp_path / "run")
    assert check_run(tmp_path / "run").problems == []
    rows = reader.read("attempts", origin="probe")
    assert rows.groupby(["step", "draw"]).size().to_dict() == {(0, 0): 12, (0, 1): 12, (1, 0): 12}
    assert (rows["seed"] == -1).all() and rows["sum_logprob"].isna().all()  # not told, and not made up
    assert (rows["n_tokens"] <= 6).all() and (rows["n_tokens"] > 0).all()
    assert set(rows["finish"].astype(str)) <= {"stop", "length"}
    texts = reader.read("responses", origin="probe").groupby(["question_ix", "step", "draw"])["text"].nunique()
    assert (texts == 1).all() if temperature == 0 else (texts > 1).any()
