"""Read from a model's layers how their attention departs from the plain causal one, and compute it.

Departures that are known: a window of the latest tokens (Mistral, Gemma 2 and 3, gpt-oss), chunks of tokens (Llama 4),
soft-capped scores (Gemma 2), sinks (gpt-oss). Sampler and learner read the same rules, so what one refuses the other
refuses too.

Axes: B rows, H heads of queries, K heads of keys and values, M query heads of each, L queries, W keys, D width of a
head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from relift.errors import InputError

PLAIN_LAYERS = {"full_attention", "sliding_attention", "chunked_attention"}  # types of layers with a cache of keys


@dataclass(frozen=True)
class Rule:
    """Say which keys a layer's queries see and how scores become weights. None: as in plain causal attention."""

    window: int | None = None  # a query sees this many latest tokens, its own included
    chunk: int | None = None  # a query sees the tokens of its own chunk of so many
    softcap: float | None = None  # scores s become c tanh(s / c)
    sinks_H: torch.Tensor | None = None  # a score per head that takes weight and gives no value

    def limits(self, length: int) -> bool:
        """Say whether some token before it is hidden from a query of a sequence of this length."""
        return any(n is not None and n < length for n in (self.window, self.chunk))

    @property
    def reweighs(self) -> bool:
        """Say whether scores become weights by more than a softmax."""
        return self.softcap is not None or self.sinks_H is not None

    def sees(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Tell for positions that broadcast to [..., L, W] which keys a query sees."""
        seen = key <= query
        if self.window is not None:
            seen = seen & (query - key < self.window)
        if self.chunk is not None:
            seen = seen & (query // self.chunk == key // self.chunk)
        return seen


def rule_of(module: Any, arguments: Mapping[str, Any]) -> Rule:
    """Read the rule of a layer from the arguments it gives its attention function. Raises InputError for others."""
    for name in ("position_bias", "indices"):
        if arguments.get(name) is not None:
            raise InputError(f"{type(module).__name__} uses {name} in its attention, which is not supported")
    return Rule(
        window=arguments.get("sliding_window") or None,
        chunk=_chunk_of(module),
        softcap=arguments.get("softcap") or None,
        sinks_H=arguments.get("s_aux"),
    )


def _chunk_of(module: Any) -> int | None:
    """Find the size of the chunks that a layer attends in: Llama 4 says it by its mask alone."""
    config, number = getattr(module, "config", None), getattr(module, "layer_idx", None)
    types = getattr(config, "layer_types", None)
    if not types or number is None or types[number] != "chunked_attention":
        return None
    return getattr(config, "attention_chunk_size", None)


def require_known_layers(model_config: Any) -> None:
    """Refuse a model with layers of another kind than attention. Raises InputError, one line."""
    text = model_config.get_text_config()
    other = sorted(set(getattr(text, "layer_types", None) or ()) - PLAIN_LAYERS)
    if other:
        raise InputError(
            f"model {text.model_type} has layers of type {other[0]}, which neither the torch sampler nor the learner "
            "computes; use another engine for it"
        )


def attend_explicitly(
    query_BHLD: torch.Tensor,
    key_BKWD: torch.Tensor,
    value_BKWD: torch.Tensor,
    seen: torch.Tensor,
    *,
    scale: float | None,
    rule: Rule,
) -> torch.Tensor:
    """Compute attention [B, H, L, D] with all of its scores at once; `seen` broadcasts to [B, K, M, L, W]."""
    rows, heads, length, width = query_BHLD.shape
    query = query_BHLD.reshape(rows, key_BKWD.shape[1], -1, length, width)
    scores = query @ key_BKWD[:, :, None].transpose(-1, -2)
    scores = scores * (width**-0.5 if scale is None else scale)
    weights = weights_of(scores, seen, rule).to(value_BKWD.dtype)
    return (weights @ value_BKWD[:, :, None]).reshape(rows, heads, length, -1)


def attend_fused(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scale: float | None,
    seen: torch.Tensor | None = None,
) -> torch.Tensor:
    """Attend by torch's fused kernels, causally or to what `seen` says: [B, H, L, D]; key and value [B, K, W, D].

    Heads of keys that several query heads share are handed on as they are where a kernel takes them so. In float32 on
    CUDA none does but the one that writes all scores down (docstring of torch's scaled_dot_product_attention on
    enable_gqa: flash and math kernels alone; flash takes no float32), so there they are repeated.
    """
    grouped = query.shape[1] != key.shape[1]
    if grouped and repeats_heads(query.device.type, query.dtype):
        copies = query.shape[1] // key.shape[1]
        key, value, grouped = key.repeat_interleave(copies, 1), value.repeat_interleave(copies, 1), False
    return torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=seen, is_causal=seen is None, scale=scale, enable_gqa=grouped
    )


def repeats_heads(device: str, dtype: torch.dtype) -> bool:
    """Say whether shared heads of keys must be repeated, for want of a kernel that reads them as they are."""
    return device == "cuda" and dtype not in (torch.float16, torch.bfloat16)


def weights_of(scores_BKMLW: torch.Tensor, seen: torch.Tensor, rule: Rule) -> torch.Tensor:
    """Turn scaled scores into weights that sum to 1, or to less where a sink takes its part."""
    scores = scores_BKMLW.to(torch.promote_types(scores_BKMLW.dtype, torch.float32))
    if rule.softcap is not None:
        scores = rule.softcap * torch.tanh(scores / rule.softcap)
    scores = scores.masked_fill(~seen, -torch.inf)
    if rule.sinks_H is None:
        return torch.softmax(scores, dim=-1)
    sinks = (
        rule.sinks_H.to(scores.dtype).reshape(1, scores.shape[1], scores.shape[2], 1, 1).expand(*scores.shape[:-1], 1)
    )
    return torch.softmax(torch.cat([scores, sinks], dim=-1), dim=-1)[..., :-1]
