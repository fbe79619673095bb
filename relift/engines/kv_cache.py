"""Hold keys and values of the sampler's rows in buffers that stay where they are, and attend over them.

Column c of a row holds the token at position c of its sequence, so rows of different lengths stand side by side
without padding in front, and nothing that a row computes depends on its neighbours' lengths. Keys are stored
transposed: a query times [D, W] runs at twice the rate of a query times [W, D] transposed, and decoding is bound by
reading the cache.

Axes: R rows (answers being written), P prompts of a prefill, H heads of keys and values, M query heads of each,
C columns of the buffer, W columns attended to (W <= C), L columns of a prefill, D width of a head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from transformers import AttentionInterface
from transformers.cache_utils import Cache

from relift.engines.attention_rules import Rule, attend_explicitly, attend_fused, rule_of

# Widths grow in these steps. With 16 the last bits of a log-probability depended on how many rows there were (MKL picks
# another kernel for the odd multiples of 16 when rows are few); with 32 they did not (AVX-512, torch 2.13, float32).
COLUMN_MULTIPLE = 32
ATTENTION = "relift_sampler"


def round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


class KVCache(Cache):
    """A transformers cache whose rows are filled, advanced and moved independently.

    `begin_prefill` or `begin_decode` says what the next forward pass does; `update` is called by the model's layers.
    """

    def __init__(self, *, rows: int) -> None:
        super().__init__(layers=[])
        self.rows = rows
        self.columns = 0
        self.buffers: list[tuple[torch.Tensor, torch.Tensor]] = []  # a layer: keys [R, H, D, C], values [R, H, C, D]
        self._prompt_of_row_R: torch.Tensor | None = None
        self._first_row = 0
        self._width = 0
        self._position_R = torch.empty(0, dtype=torch.long)
        self._row_R = torch.empty(0, dtype=torch.long)

    @property
    def n_bytes(self) -> int:
        return sum(buffer.nbytes for layer in self.buffers for buffer in layer)

    def reserve(self, columns: int) -> None:
        """Make room for `columns` columns, keeping what is there."""
        if columns <= self.columns:
            return
        extra = round_up(columns, COLUMN_MULTIPLE) - self.columns
        self.columns += extra
        self.buffers = [(F.pad(k, (0, extra)), F.pad(v, (0, 0, 0, extra))) for k, v in self.buffers]

    def begin_prefill(self, *, first_row: int, prompt_of_row_R: torch.Tensor) -> None:
        """Announce a pass of P prompts; rows from `first_row` on receive the prompt that `prompt_of_row_R` names."""
        self._first_row, self._prompt_of_row_R = first_row, prompt_of_row_R

    def begin_decode(self, *, position_R: torch.Tensor, width: int) -> None:
        """Announce a pass that runs one token of each of the first R rows, at `position_R` < `width`."""
        self._prompt_of_row_R, self._position_R, self._width = None, position_R, width
        self._row_R = torch.arange(len(position_R), device=position_R.device)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store a layer's new keys and values, [., H, ., D]; return those that its queries may look at."""
        while layer_idx >= len(self.buffers):  # the first pass of a call shows heads, widths and dtype
            heads, key_dim, value_dim = key_states.shape[1], key_states.shape[-1], value_states.shape[-1]
            keys = key_states.new_zeros(self.rows, heads, key_dim, self.columns)
            self.buffers.append((keys, value_states.new_zeros(self.rows, heads, self.columns, value_dim)))
        keys_RHDC, values_RHCD = self.buffers[layer_idx]
        if self._prompt_of_row_R is not None:
            source_R, columns = self._prompt_of_row_R, key_states.shape[2]
            rows = slice(self._first_row, self._first_row + len(source_R))
            keys_RHDC[rows, :, :, :columns] = key_states.transpose(2, 3)[source_R]
            values_RHCD[rows, :, :columns] = value_states[source_R]
            return key_states, value_states
        n_rows = len(self._row_R)
        keys_RHDC[self._row_R, :, :, self._position_R] = key_states[:, :, 0]
        values_RHCD[self._row_R, :, self._position_R] = value_states[:, :, 0]
        return keys_RHDC[:n_rows, :, :, : self._width].transpose(2, 3), values_RHCD[:n_rows, :, : self._width]

    def move(self, source_R: torch.Tensor, target_R: torch.Tensor, *, width: int) -> None:
        """Copy rows `source_R` onto rows `target_R` (disjoint sets), the first `width` columns."""
        for keys_RHDC, values_RHCD in self.buffers:
            keys_RHDC[target_R, :, :, :width] = keys_RHDC[source_R, :, :, :width]
            values_RHCD[target_R, :, :width] = values_RHCD[source_R, :, :width]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Positions are always given, so nobody needs this; models ask for it all the same."""
        return 0


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    **arguments: object,
) -> tuple[torch.Tensor, None]:
    """Attend in a prefill (causal, no mask) or with one token a row (additive mask [R, 1, 1, W]).

    query [., H*M, ., D], key and value [., H, ., D]; returns [., queries, H*M, D]. One batched product per row and
    head is faster on a CPU than the fused kernel for a single query.
    Raises InputError for models whose attention departs from the plain one in a way that is not known.
    """
    rule = rule_of(module, arguments)
    if attention_mask is None:
        return _prefill(query, key, value, scaling, rule).transpose(1, 2), None
    rows, query_heads, _, head_dim = query.shape
    if rule.limits(key.shape[2]):
        # A row at position p sees the columns 0 .. p of the mask, so their number tells p.
        position_R111 = (attention_mask == 0).sum(dim=-1, keepdim=True) - 1
        column_W = torch.arange(key.shape[2], device=key.device)
        attention_mask = attention_mask.masked_fill(~rule.sees(position_R111, column_W), -torch.inf)
    if rule.reweighs:
        seen_R111W = (attention_mask == 0)[:, None]
        return attend_explicitly(query, key, value, seen_R111W, scale=scaling, rule=rule).transpose(1, 2), None
    query_RHMD = query.reshape(rows, key.shape[1], -1, head_dim) * (head_dim**-0.5 if scaling is None else scaling)
    scores_RHMW = (query_RHMD @ key.transpose(-1, -2)).add_(attention_mask)
    weights_RHMW = torch.softmax(scores_RHMW, dim=-1, dtype=torch.float32).to(value.dtype)
    return (weights_RHMW @ value).reshape(rows, 1, query_heads, -1), None


def _prefill(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None, rule: Rule
) -> torch.Tensor:
    """Attend from every token of the prompts to those before it: [P, H*M, L, D]."""
    length = key.shape[2]
    if not (rule.limits(length) or rule.reweighs):
        return attend_fused(query, key, value, scale=scaling)
    position_L = torch.arange(length, device=query.device)
    seen_LL = rule.sees(position_L[:, None], position_L)
    # A prompt at a time: the scores of all heads stand in memory.
    rows = [
        attend_explicitly(q[None], k[None], v[None], seen_LL, scale=scaling, rule=rule)
        for q, k, v in zip(query, key, value, strict=True)
    ]
    return torch.cat(rows)


# A name of our own in transformers' table of attention functions: models read it from their own configuration, so
# models that do not ask for it never see it. No mask function goes with it: masks are made by the sampler.
AttentionInterface.register(ATTENTION, attend)
