"""Check how far a model reads, and changes of its positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    BloomConfig,
    Gemma3Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    Phi3Config,
    Qwen2MoeConfig,
)

from relift.engines.context import AS_PUBLISHED, Positions, context_limit, context_of, limit_words, switch_of
from relift.engines.hf_model import load_model, load_tokenizer
from relift.errors import InputError
from tests.engines.tiny import tiny_model, write_checkpoint

LONGROPE = {
    "rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 48, "long_factor": [2.0] * 48,
    "original_max_position_embeddings": 4096,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "context", "limit"),
    [
        (LlamaConfig(max_position_embeddings=4096), 4096, 4096),
        (Qwen2MoeConfig(max_position_embeddings=64, sliding_window=0), 64, 64),  # 0 is no window of 0 tokens
        (Gemma3TextConfig(max_position_embeddings=32768, sliding_window=512), 32768, 32768),
        (Gemma3Config(text_config={"max_position_embeddings": 77}), 77, 77),  # stands in text_config alone
        (BloomConfig(), None, None),
        (Phi3Config(max_position_embeddings=131072, rope_parameters=LONGROPE), 131072, 4096),
        (
            LlamaConfig(
                max_position_embeddings=512, rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
            ),
            512,
            512,
        ),
    ],
)
def test_a_window_is_no_context_and_a_switch_is_a_limit(config: Any, context: int | None, limit: int | None) -> None:
    assert context_of(config) == context and context_limit(config) == limit
    assert context_limit(config, 40) == 40


def test_the_words_of_a_limit_say_where_it_comes_from() -> None:
    assert limit_words(LlamaConfig(max_position_embeddings=64)) == "the model reads 64 tokens"
    config = Phi3Config(max_position_embeddings=131072, rope_parameters=LONGROPE)
    assert "change with the batch beyond 4096 tokens (rope type longrope)" in limit_words(config)
    assert switch_of(LlamaConfig()) is None


def test_positions_reach_configuration_model_and_saved_checkpoint(tmp_path: Path) -> None:
    base = write_checkpoint(tmp_path / "base")  # 128 positions, rope_theta 10,000
    changed = Positions(512, 40000.0)
    _, config = load_tokenizer(str(base), positions=changed)
    model = load_model(str(base), device=torch.device("cpu"), positions=changed)
    assert context_of(config) == context_of(model.config) == 512
    # inverse frequency i of a head of 8: theta^(-2i/8); 40000^(-1/4) = 1 / 14.142
    assert model.model.rotary_emb.inv_freq[1].item() == pytest.approx(40000**-0.25)
    model.save_pretrained(tmp_path / "saved")
    saved = AutoConfig.from_pretrained(tmp_path / "saved")
    assert context_of(saved) == 512 and saved.rope_parameters["rope_theta"] == 40000.0
    assert changed.overrides(config)["max_position_embeddings"] == 512
    assert changed.overrides(config)["rope_parameters"]["rope_theta"] == 40000.0  # type: ignore[index]
    assert AS_PUBLISHED.overrides(config) == {} and not AS_PUBLISHED


def test_a_theta_moves_every_position_but_the_first(tmp_path: Path) -> None:
    base = write_checkpoint(tmp_path / "base")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        plain, turned = (
            load_model(str(base), device=torch.device("cpu"), positions=p)(ids).logits[0]
            for p in (AS_PUBLISHED, Positions(rope_theta=40000.0))
        )
    assert torch.equal(plain[0], turned[0]) and not torch.equal(plain[3], turned[3])


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (GPT2Config(), "model gpt2 has no rotary positions"),
        (Gemma3TextConfig(), "has rotary positions of several kinds"),
    ],
)
def test_positions_that_cannot_be_changed(config: Any, words: str) -> None:
    with pytest.raises(InputError, match="model.max_positions") as caught:
        Positions(512).apply(config)
    assert words in str(caught.value)
    AS_PUBLISHED.apply(config)


def test_tiny_models_read_what_they_say() -> None:
    assert context_of(tiny_model("gpt2").config) == 64  # n_positions, by another name
