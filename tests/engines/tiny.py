"""Tiny random models for the engines' tests, one for each layout that matters, and prompts for them."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

VOCAB = 67
_SIZES = {
    "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


def tiny_model(layout: str = "llama", *, seed: int = 0, scale: float = 0.2) -> PreTrainedModel:
    """A model in float32. `scale` is the spread of the weights: .2 gives distributions that depend on the prompt."""
    if layout == "llama":
        config = LlamaConfig(**_SIZES, num_key_value_heads=4, tie_word_embeddings=True)
    elif layout in (
        "wide",
        "untied",
        "odd",
    ):  # heads of 32, for which vLLM has a kernel on a CPU; 24: none
        head_dim = 24 if layout == "odd" else 32
        tied = layout != "untied"
        config = LlamaConfig(**_SIZES, num_key_value_heads=2, head_dim=head_dim, tie_word_embeddings=tied)
    elif layout == "qwen2":  # grouped queries, biases, untied
        config = Qwen2Config(**_SIZES, num_key_value_heads=2, tie_word_embeddings=False)
    elif layout == "qwen3":  # norms of queries and keys, a head wider than hidden size over heads
        config = Qwen3Config(**_SIZES, num_key_value_heads=2, head_dim=16, tie_word_embeddings=True)
    elif layout == "gpt2":  # a table of positions, which ends
        config = GPT2Config(
            vocab_size=VOCAB, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2
        )
    else:
        raise ValueError(layout)
    config.initializer_range = scale
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def prompts(n: int, *, seed: int = 0, longest: int = 36) -> list[tuple[int, ...]]:
    """Prompts of mixed lengths, the shortest (one token) and the edges of the prefill's multiples included."""
    rng = random.Random(seed)
    lengths = [1, 2, 16, 17, 18, 32, 33, 34] + [rng.randint(1, longest) for _ in range(n)]
    return [tuple(rng.randrange(3, VOCAB) for _ in range(length)) for length in lengths[:n]]


def character_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """A tokenizer for tiny_model: three special tokens (unknown, start, end), then a character a token."""
    characters = "".join(chr(c) for c in range(ord("?"), ord("?") + VOCAB - 3))
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2} | {c: i + 3 for i, c in enumerate(characters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<unk>", "<s>", "</s>")])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    wrapped.save_pretrained(folder)
    return wrapped


def write_checkpoint(folder: Path, *, layout: str = "llama", seed: int = 0) -> Path:
    """A folder with a tiny model and its tokenizer, as transformers loads it."""
    tiny_model(layout, seed=seed).save_pretrained(folder)
    character_tokenizer(folder)
    return folder
