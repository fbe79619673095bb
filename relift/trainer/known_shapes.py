"""Keep the config.json of the presets' base models, for a dry run where no hub can be reached.

Values of config.json of Qwen/Qwen2.5-Math-1.5B, Qwen/Qwen2.5-Math-7B, Qwen/Qwen2.5-7B-Instruct and
Qwen/Qwen3-1.7B-Base on huggingface.co. The numbers of parameters that follow from them, 1.54, 7.62 and 1.72 billion,
are those of the models' cards (the last one says 1.7, and 1.4 without embeddings).
"""

from __future__ import annotations

from typing import Any

from transformers import Qwen2Config, Qwen3Config

_SMALL = {
    "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
    "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
}  # fmt: skip
_LARGE = {
    "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False,
}  # fmt: skip
_QWEN3 = {
    "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16,
    "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": True,
}  # fmt: skip
_MATH = {"max_position_embeddings": 4096, "rope_theta": 10000.0}

KNOWN: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2.5-Math-1.5B": _SMALL | _MATH,
    "Qwen/Qwen2.5-Math-7B": _LARGE | _MATH,
    "Qwen/Qwen2.5-7B-Instruct": _LARGE | {"max_position_embeddings": 32768, "rope_theta": 1000000.0},
    "Qwen/Qwen3-1.7B-Base": _QWEN3 | {"max_position_embeddings": 32768, "rope_theta": 1000000.0},
}


def known_config(name: str) -> Any:
    """Make the configuration of a model that the table has; None for any other."""
    values = KNOWN.get(name)
    if values is None:
        return None
    theta = {"rope_type": "default", "rope_theta": values["rope_theta"]}
    kind = Qwen3Config if name.startswith("Qwen/Qwen3") else Qwen2Config
    return kind(**{k: v for k, v in values.items() if k != "rope_theta"}, rope_parameters=theta)
