"""Attend causally over sequences laid end to end, behind transformers' AttentionInterface.

Axes: N tokens of a micro-batch, S its sequences, H heads, K key-value heads, L longest row of a bucket, D head size.

On a CPU rows of about equal length are gathered into a right-padded bucket [S, H, L, D]: causal attention never looks
at the padding behind a row. A prompt that several sequences share stands once in N and in each of their rows; what
it attends to is the same in all, so its output is taken from any one. On CUDA in half precision torch's
variable-length kernel takes the sequences as they lie, prompts not shared, windows included.

Windows, chunks, soft caps and sinks are those of relift.engines.attention_rules. Scores that are capped, or that share
weight with a sink, are computed with all of them in memory, one sequence at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface

from relift.engines.attention_rules import Rule, attend_explicitly, attend_fused, rule_of
from relift.errors import InputError

NAME = "relift_packed"
MAX_PADDING = 1.25  # a bucket's padded size over its tokens: beyond, another SDPA call is cheaper


class NoSegments(InputError):
    """The packed attention was called outside of a Learner, or by layers that hand no arguments on to it."""


@dataclass(frozen=True)
class Bucket:
    """`n_rows` rows of at most `longest` tokens. token_P: place in N, padded row by padded row; padding repeats the
    row's first token."""

    n_rows: int
    longest: int
    token_P: torch.Tensor


@dataclass(frozen=True)
class Segments:
    """Locate the rows of a micro-batch."""

    longest: int
    bounds_S1: torch.Tensor  # int32, 0 and the end of every row: what variable-length kernels call cu_seqlens
    buckets: tuple[Bucket, ...]
    output_N: torch.Tensor  # for each token its place among the padded rows of all buckets, end to end


def segments_of(length_S: np.ndarray, token_R: np.ndarray, device: torch.device) -> Segments:
    """Buckets of rows of these lengths, best sorted, that hold these tokens of N (see packing.MicroBatch)."""
    bounds = np.concatenate([[0], np.cumsum(length_S)])
    buckets, output_N = [], np.zeros(int(token_R.max()) + 1, np.int64)
    first = offset = 0
    for last in range(1, len(length_S) + 1):
        tail = length_S[first : last + 1]
        if last < len(length_S) and len(tail) * tail.max() <= MAX_PADDING * tail.sum():
            continue
        rows, longest = length_S[first:last], int(length_S[first:last].max())
        real = np.arange(longest) < rows[:, None]
        token = np.repeat(token_R[bounds[first:last]], longest).reshape(real.shape)
        token[real] = token_R[bounds[first] : bounds[last]]
        output_N[token[real]] = offset + np.flatnonzero(real)  # of rows with the same token, any will do
        buckets.append(Bucket(len(rows), longest, torch.from_numpy(token.ravel()).to(device)))
        first, offset = last, offset + token.size
    return Segments(
        int(length_S.max()),
        torch.from_numpy(bounds.astype(np.int32)).to(device),
        tuple(buckets),
        torch.from_numpy(output_N).to(device),
    )


def packed_attention(
    module: torch.nn.Module,
    query_1HND: torch.Tensor,
    key_1KND: torch.Tensor,
    value_1KND: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    segments: Segments | None = None,
    **arguments: Any,
) -> tuple[torch.Tensor, None]:
    """Attend as transformers' attention functions do: ([1, N, H, D], None). Dropout is never applied.

    Raises InputError where a model asks for attention that is not known.
    """
    del attention_mask  # the segments say all
    if segments is None:
        raise NoSegments("this model belongs to a Learner and only runs inside it; load a second copy to generate")
    rule = rule_of(module, arguments)
    query, key, value = (x[0].transpose(0, 1) for x in (query_1HND, key_1KND, value_1KND))  # [N, heads, D]
    by_kernel = rule.chunk is None and not rule.reweighs
    if by_kernel and query.is_cuda and query.dtype in (torch.float16, torch.bfloat16):
        return _by_kernel(query, key, value, segments, scaling, rule)[None], None
    rows = [_by_bucket(query, key, value, bucket, scaling, rule) for bucket in segments.buckets]
    return (rows[0] if len(rows) == 1 else torch.cat(rows)).index_select(0, segments.output_N)[None], None


def _by_kernel(
    query_NHD: torch.Tensor,
    key_NKD: torch.Tensor,
    value_NKD: torch.Tensor,
    segments: Segments,
    scaling: float | None,
    rule: Rule,
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
        window_size=(-1 if rule.window is None else rule.window - 1, 0),  # tokens before the query's own
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
    rule: Rule,
) -> torch.Tensor:
    """Attend in a bucket's padded rows, end to end: [S * L, H, D]."""
    query, key, value = (
        x.index_select(0, bucket.token_P).view(bucket.n_rows, bucket.longest, *x.shape[1:]).transpose(1, 2)
        for x in (query_NHD, key_NKD, value_NKD)
    )
    if not (rule.limits(bucket.longest) or rule.reweighs):
        output = attend_fused(query, key, value, scale=scaling)
    else:
        position_L = torch.arange(bucket.longest, device=query.device)
        seen_LL = rule.sees(position_L[:, None], position_L)
        if rule.reweighs:
            rows = zip(query.split(1), key.split(1), value.split(1), strict=True)
            output = torch.cat([attend_explicitly(q, k, v, seen_LL, scale=scaling, rule=rule) for q, k, v in rows])
        else:
            output = attend_fused(query, key, value, scale=scaling, seen=seen_LL)
    # The width is that of the values: in latent attention (DeepSeek) it is not that of queries and keys.
    return output.transpose(1, 2).reshape(bucket.n_rows * bucket.longest, query_NHD.shape[1], -1)


AttentionInterface.register(NAME, packed_attention)
