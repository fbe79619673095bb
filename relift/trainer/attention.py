"""Causal attention over sequences laid end to end, behind transformers' AttentionInterface.

Axes: S sequences, N their tokens laid end to end, H heads, K key-value heads, L longest of a bucket, D head size.

On a CPU neighbouring sequences of about equal length share a right-padded bucket [S, H, L, D]: causal attention never
looks at the padding behind a row. On CUDA in half precision torch's variable-length kernel takes them as they lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from relift.errors import InputError

NAME = "relift_packed"
MAX_PADDING = 1.25  # a bucket's padded size over its tokens: beyond, another SDPA call is cheaper


@dataclass(frozen=True)
class Bucket:
    """Tokens start .. stop of N: n_rows sequences of up to `longest` tokens. padded_place_N: row * longest + i."""

    start: int
    stop: int
    n_rows: int
    longest: int
    padded_place_N: torch.Tensor | None  # None: all rows are of equal length, nothing is padded


@dataclass(frozen=True)
class Segments:
    """Where the sequences of a micro-batch begin and end."""

    longest: int
    bounds_S1: torch.Tensor  # int32, 0 and the end of every sequence: what variable-length kernels call cu_seqlens
    buckets: tuple[Bucket, ...]


def segments_of(length_S: np.ndarray, device: torch.device) -> Segments:
    """Bounds and buckets of sequences of these lengths, which are best sorted."""
    bounds = np.concatenate([[0], np.cumsum(length_S)])
    buckets, first = [], 0
    for last in range(1, len(length_S) + 1):
        tail = length_S[first : last + 1]
        if last == len(length_S) or len(tail) * tail.max() > MAX_PADDING * tail.sum():
            buckets.append(_bucket(length_S[first:last], int(bounds[first]), device))
            first = last
    longest = int(length_S.max(initial=0))
    return Segments(longest, torch.from_numpy(bounds.astype(np.int32)).to(device), tuple(buckets))


def _bucket(length_S: np.ndarray, start: int, device: torch.device) -> Bucket:
    longest, n_tokens = int(length_S.max()), int(length_S.sum())
    place = None
    if (length_S != longest).any():
        skipped_S = np.arange(len(length_S)) * longest - (np.cumsum(length_S) - length_S)
        place = torch.from_numpy(np.arange(n_tokens) + np.repeat(skipped_S, length_S)).to(device)
    return Bucket(start, start + n_tokens, len(length_S), longest, place)


def packed_attention(
    module: torch.nn.Module,
    query_1HND: torch.Tensor,
    key_1KND: torch.Tensor,
    value_1KND: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    segments: Segments | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention function: ([1, N, H, D], None). Dropout is never applied.

    Raises InputError where a model asks for what is not covered: a window shorter than a sequence, soft-capped
    scores, attention sinks.
    """
    del module, attention_mask  # the segments say all
    if segments is None:
        raise InputError("this model belongs to a Learner and only runs inside it; load a second copy to generate")
    if sliding_window is not None and segments.longest > sliding_window:
        raise InputError(
            f"the model attends to {sliding_window} tokens only and a sequence has {segments.longest}: "
            "sliding windows are not supported; shorten max_tokens or take another model"
        )
    for name in ("softcap", "s_aux"):
        if others.get(name) is not None:
            raise InputError(f"the model's attention uses {name}, which is not supported; take another model")
    query, key, value = (x[0].transpose(0, 1) for x in (query_1HND, key_1KND, value_1KND))  # [N, heads, D]
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16):
        return _by_kernel(query, key, value, segments, scaling)[None], None
    rows = [_by_bucket(query, key, value, bucket, scaling) for bucket in segments.buckets]
    return (rows[0] if len(rows) == 1 else torch.cat(rows))[None], None


def _by_kernel(
    query_NHD: torch.Tensor,
    key_NKD: torch.Tensor,
    value_NKD: torch.Tensor,
    segments: Segments,
    scaling: float | None,
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn  # no CPU kernel; imported where it can run

    output = varlen_attn(
        query_NHD,
        key_NKD,
        value_NKD,
        segments.bounds_S1,
        segments.bounds_S1,
        segments.longest,
        segments.longest,
        scale=scaling,
        window_size=(-1, 0),
        enable_gqa=query_NHD.shape[1] != key_NKD.shape[1],
    )
    assert isinstance(output, torch.Tensor)
    return output


def _by_bucket(
    query_NHD: torch.Tensor,
    key_NKD: torch.Tensor,
    value_NKD: torch.Tensor,
    bucket: Bucket,
    scaling: float | None,
) -> torch.Tensor:
    query, key, value = (_pad(x[bucket.start : bucket.stop], bucket) for x in (query_NHD, key_NKD, value_NKD))
    output_SHLD = scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=scaling, enable_gqa=query.shape[1] != key.shape[1]
    )
    rows = output_SHLD.transpose(1, 2).reshape(bucket.n_rows * bucket.longest, *query_NHD.shape[1:])
    return rows if bucket.padded_place_N is None else rows.index_select(0, bucket.padded_place_N)


def _pad(x_NHD: torch.Tensor, bucket: Bucket) -> torch.Tensor:
    """[S, H, L, D], zeros behind the shorter rows."""
    if bucket.padded_place_N is not None:
        rows = x_NHD.new_zeros(bucket.n_rows * bucket.longest, *x_NHD.shape[1:])
        x_NHD = rows.index_copy(0, bucket.padded_place_N, x_NHD)
    return x_NHD.reshape(bucket.n_rows, bucket.longest, *x_NHD.shape[1:]).transpose(1, 2)


AttentionInterface.register(NAME, packed_attention)


def lengths_of(segments: Segments) -> Sequence[int]:
    """Tokens of each sequence, for error messages and tests."""
    return [int(n) for n in torch.diff(segments.bounds_S1)]
