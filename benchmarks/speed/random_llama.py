"""Make the model that speed is measured on: the shape of the embedded experiment's base model, random weights.

259 tokens, width 96, 3 layers, SwiGLU 256, tied embeddings, float32. Token 7 is the word "t7".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

VOCAB = 259
PAD_ID, EOS_ID = 0, VOCAB  # the tokenizer's own end token is none of the model's 259: it is never sampled


def make_model(*, heads: int = 4) -> Any:
    """Return the model in eval mode; it has no start and no end token, so a call says what ends an answer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=96, intermediate_size=256, num_hidden_layers=3, num_attention_heads=heads,
        num_key_value_heads=heads, max_position_embeddings=256, tie_word_embeddings=True, initializer_range=0.05,
        bos_token_id=None, eos_token_id=None, pad_token_id=None, dtype="float32",
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def make_tokenizer(*, end: int = EOS_ID) -> Any:
    """Return a tokenizer of words: "t7" is token 7, words are separated by white space, and `end` ends a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({words([ix]): ix for ix in range(VOCAB + 1)}, unk_token=words([PAD_ID])))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=words([PAD_ID]), eos_token=words([end]))


def words(ids: Sequence[int]) -> str:
    """Write token ids as the tokenizer does: [7, 12] is "t7 t12"."""
    return " ".join(f"t{ix}" for ix in ids)


def write_checkpoint(folder: Path, model: Any, *, stop_ids: Sequence[int], end: int = EOS_ID) -> None:
    """Save model and tokenizer as a transformers checkpoint whose answers end at `stop_ids`."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model.generation_config.eos_token_id = list(stop_ids) or None
    model.save_pretrained(folder)
    make_tokenizer(end=end).save_pretrained(folder)
