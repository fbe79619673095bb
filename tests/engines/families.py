"""Tiny random models of many model types, with windows and chunks short enough to be passed in a test.

`FAMILIES` names each case "model_type" or "model_type/what is special"; docs/models.md is made from it.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCAB = 67
_SIZES: dict[str, Any] = {
    "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": 0,
}  # fmt: skip
_WINDOWS = {"sliding_window": 8, "num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"]}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_MLA = {
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 12,
    "head_dim": 8, "num_key_value_heads": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1,
    "topk_group": 1, "moe_intermediate_size": 24, "first_k_dense_replace": 1, "n_shared_experts": 1,
}  # fmt: skip
_OLD = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
_LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4,
    "original_max_position_embeddings": 32, "factor": 4.0,
}  # fmt: skip

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama/llama3 rotary scaling": {
        "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
        }
    },  # fmt: skip
    "llama/dynamic rotary": {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}},
    "qwen2": {},
    "qwen2/sliding window": {**_WINDOWS, "use_sliding_window": True},
    "qwen3": {},
    "qwen3_moe": {**_EXPERTS},
    "qwen2_moe": {**_EXPERTS, "shared_expert_intermediate_size": 24},
    "mistral": {"sliding_window": None},
    "mistral/sliding window": {"sliding_window": 8},
    "ministral": {**_WINDOWS},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
    "gemma": {},
    "gemma2": {**_WINDOWS, "query_pre_attn_scalar": 8, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0},
    "gemma3_text": {**_WINDOWS, "query_pre_attn_scalar": 8},
    "phi": {},
    "phi3": {},
    "phi3/longrope": {"rope_parameters": _LONGROPE, "original_max_position_embeddings": 32},
    "phi4_multimodal": {},
    "olmo": {},
    "olmo2": {},
    "olmo3": {**_WINDOWS},
    "olmoe": {**_EXPERTS},
    "smollm3": {"no_rope_layers": [1, 0]},
    "glm": {},
    "glm4": {},
    "glm4_moe": {**_MLA},
    "granite": {"logits_scaling": 4.0, "attention_multiplier": 0.3, "residual_multiplier": 0.5},
    "granitemoe": {"num_local_experts": 4, "num_experts_per_tok": 2, "logits_scaling": 4.0},
    "cohere": {"logit_scale": 0.25},
    "cohere2": {**_WINDOWS, "logit_scale": 0.25},
    "starcoder2": {"sliding_window": None},
    "starcoder2/sliding window": {"sliding_window": 8},
    "nemotron": {},
    "stablelm": {},
    "exaone4": {**_WINDOWS},
    "ernie4_5": {},
    "hunyuan_v1_dense": {},
    "seed_oss": {},
    "arcee": {},
    "helium": {},
    "persimmon": {},
    "gpt2": {**_OLD},
    "gpt_neox": {},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 2, "n_head": 4},
    "falcon": {"alibi": False, "head_dim": None},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 128},
    "gptj": {**_OLD, "rotary_dim": 4},
    "deepseek_v2": {**_MLA, "topk_method": "greedy"},
    "deepseek_v3": {**_MLA},
    "gpt_oss": {
        **_WINDOWS, "num_local_experts": 4, "num_experts_per_tok": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
    },
    "llama4_text": {
        "attention_chunk_size": 8, "layer_types": ["chunked_attention", "full_attention"], "num_local_experts": 2,
        "intermediate_size_mlp": 48, "no_rope_layers": [1, 0], "moe_layers": [1], "num_experts_per_tok": 1,
    },
    "minimax_m2": {**_EXPERTS, "num_local_experts": 4, "rotary_dim": 8},
    "qwen3_next": {**_EXPERTS, "layer_types": ["linear_attention", "full_attention"]},
    "mamba": {"num_hidden_layers": 2},
    "mamba2": {"num_hidden_layers": 2, "num_heads": 8, "head_dim": 8, "n_groups": 1},
    "jamba": {"num_experts": 2, "num_experts_per_tok": 1, "use_mamba_kernels": False},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "recurrent_gemma": {"lru_width": 32, "attention_window_size": 8},
}  # fmt: skip


def tiny_family(case: str, *, seed: int = 0, scale: float = 0.2) -> PreTrainedModel:
    """Make the model of a case, in float32; `scale` spreads the weights so that errors show."""
    settings = {name: value for name, value in {**_SIZES, **FAMILIES[case]}.items() if value is not None}
    config = AutoConfig.for_model(case.partition("/")[0], **settings)
    if "sliding_window" in FAMILIES[case]:
        config.sliding_window = FAMILIES[case]["sliding_window"]  # None is another model than the default window
    config.initializer_range = scale
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("sinks"):
                parameter.normal_()
    return model
