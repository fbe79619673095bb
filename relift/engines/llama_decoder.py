"""Take one decoding step of small models of Llama's layout, with few and fused operations.

A step of 256 rows of the embedded experiment's model takes transformers' code about 3.6 ms besides attention over the
cache, most of it for starting some 250 small operations; this file's 50 take 2.1 ms (one core, torch 2.13, float32). It
computes the same function from the same weights; the tests compare both.

Axes: R rows, H heads, K heads of keys and values, D width of a head, C positions, W columns attended to, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from transformers import LlamaForCausalLM, PreTrainedModel

from relift.engines.kv_cache import KVCache, attend

LARGEST = 20_000_000  # parameters; the fused weights are a copy, which small models alone can afford, or need


def can_fuse(model: PreTrainedModel) -> bool:
    """Say whether this file knows all that the model does: plain Llama on a CPU, no biases, no scaled positions."""
    config = model.config
    return (
        type(model) is LlamaForCausalLM
        and model.device.type == "cpu"
        and model.num_parameters() <= LARGEST
        and config.hidden_act == "silu"
        and not config.attention_bias
        and not config.mlp_bias
        and config.rope_parameters["rope_type"] == "default"
    )


class LlamaDecoder:
    """Fused copies of the weights as they are now, and the rotations of `columns` positions: make one for each call."""

    def __init__(self, model: PreTrainedModel, *, columns: int) -> None:
        body = model.model
        self.model, self.embedding_VE, self.head_VE = model, body.embed_tokens.weight, model.lm_head.weight
        self.layers = [
            (
                torch.cat(
                    [layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight, layer.self_attn.v_proj.weight]
                ),
                torch.cat([layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight]),
            )
            for layer in body.layers
        ]
        position_1C = torch.arange(columns)[None]
        cos_1CD, sin_1CD = body.rotary_emb(self.embedding_VE, position_1C)
        half = cos_1CD.shape[-1] // 2
        # A pair (a, b), D/2 apart, becomes (a cos - b sin, b cos + a sin): x * cos + swapped x * (-sin, sin).
        self.cos_CD, self.sin_CD = cos_1CD[0], torch.cat([-sin_1CD[0, :, :half], sin_1CD[0, :, half:]], dim=-1)

    def __call__(
        self, token_R: torch.Tensor, position_R: torch.Tensor, mask: torch.Tensor, cache: KVCache
    ) -> torch.Tensor:
        """Logits [R, V] of each row's next token; the cache has been told of this step (`begin_decode`)."""
        config, body = self.model.config, self.model.model
        n_query, n_key, half = config.num_attention_heads, config.num_key_value_heads, self.cos_CD.shape[1] // 2
        eps, width = config.rms_norm_eps, (config.hidden_size,)
        cos_R1D, sin_R1D = self.cos_CD[position_R, None], self.sin_CD[position_R, None]
        x_RE = F.embedding(token_R, self.embedding_VE)
        for number, (layer, (qkv_weight, gate_up_weight)) in enumerate(zip(body.layers, self.layers, strict=True)):
            normed_RE = F.rms_norm(x_RE, width, layer.input_layernorm.weight, eps)
            qkv_RHD = F.linear(normed_RE, qkv_weight).view(len(token_R), n_query + 2 * n_key, 2 * half)
            qk_RHD = qkv_RHD[:, : n_query + n_key]
            swapped_RHD = torch.cat((qk_RHD[..., half:], qk_RHD[..., :half]), dim=-1)
            qk_RHD = torch.addcmul(qk_RHD * cos_R1D, swapped_RHD, sin_R1D)
            key_RKWD, value_RKWD = cache.update(qk_RHD[:, n_query:, None], qkv_RHD[:, n_query + n_key :, None], number)
            query_RH1D = qk_RHD[:, :n_query, None]
            out, _ = attend(layer.self_attn, query_RH1D, key_RKWD, value_RKWD, mask, scaling=layer.self_attn.scaling)
            x_RE = torch.addmm(x_RE, out.reshape(len(token_R), -1), layer.self_attn.o_proj.weight.t())
            normed_RE = F.rms_norm(x_RE, width, layer.post_attention_layernorm.weight, eps)
            gate_RF, up_RF = F.linear(normed_RE, gate_up_weight).chunk(2, dim=-1)
            x_RE = torch.addmm(x_RE, F.silu(gate_RF).mul_(up_RF), layer.mlp.down_proj.weight.t())
        return F.linear(F.rms_norm(x_RE, width, body.norm.weight, eps), self.head_VE)
