"""Size the room for keys and values of an engine on a CPU, which would else take nearly all of the memory."""

from __future__ import annotations

from typing import Any

import torch

CPU_MEMORY = 0.4  # of what is free, at most
LEAST_CACHE = 64 * 2**20  # bytes


def cache_bytes(text_config: Any, dtype: str, *, sequences: int, length: int, copies: int = 1) -> int:
    """Count bytes for keys and values of so many answers of full length (tokens), at most what `copies` may take."""
    heads = getattr(text_config, "num_key_value_heads", None) or text_config.num_attention_heads
    width = getattr(text_config, "head_dim", None) or text_config.hidden_size // text_config.num_attention_heads
    per_token = 2 * text_config.num_hidden_layers * heads * width * getattr(torch, dtype).itemsize
    return min(max(sequences * length * per_token, LEAST_CACHE), int(CPU_MEMORY * _free_bytes() / copies))


def _free_bytes() -> int:
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
