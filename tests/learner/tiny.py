"""A causal LM of a few thousand parameters, sequences for it, and the gradient as a dictionary."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from relift.learner.learner import Learner
from relift.learner.update import Component, Loss, Term, TrainSequence

VOCABULARY = 29
ARCHITECTURES: dict[str, tuple[Any, Any]] = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}


def tiny_model(architecture: str = "llama", *, tied: bool = True, seed: int = 0) -> Any:
    """Two layers, four heads over two key-value heads, so that grouped-query attention is exercised."""
    config, model = ARCHITECTURES[architecture]
    torch.manual_seed(seed)
    return model(
        config(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=128,
            tie_word_embeddings=tied,
            initializer_range=0.2,  # far from uniform, so that errors show
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
        )
    )


def some_sequences(n: int = 9, *, seed: int = 0, old: bool = True, longest: int = 20) -> tuple[TrainSequence, ...]:
    """Sequences of many lengths, with advantages of both signs and old log-probabilities near the model's."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(n):
        n_prompt, n_completion = rng.integers(1, 8), rng.integers(1, longest)
        out.append(
            TrainSequence(
                prompt_ids=tuple(int(t) for t in rng.integers(0, VOCABULARY, n_prompt)),
                completion_ids_T=rng.integers(0, VOCABULARY, n_completion).astype(np.int32),
                columns=constant(float(rng.normal()), n_completion)
                | ({"old": rng.normal(-4, 1, n_completion).astype(np.float32)} if old else {})
                | {"sampler": rng.normal(-4, 1, n_completion).astype(np.float32)},
            )
        )
    return tuple(out)


def constant(advantage: float, n_tokens: int) -> dict[str, np.ndarray]:
    """The column of an advantage that is the same for every token."""
    return {"advantage": np.full(n_tokens, advantage, np.float32)}


def component(
    name: str,
    sequences: tuple[TrainSequence, ...],
    loss: Loss,
    denominator: float,
    *,
    scale: float = 1.0,
    entropy_weight: float = 0.0,
    per_sequence: bool = False,
    temperature: float = 1.0,
) -> Component:
    """A component of one term; `per_sequence`: each token counts 1/|y| of its sequence."""
    per_token_S = np.array([1 / max(len(s.completion_ids_T), 1) for s in sequences]) if per_sequence else None
    return Component(name, sequences, (Term(loss, denominator, per_token_S, scale, entropy_weight),), temperature)


def gradients(learner: Learner) -> dict[str, torch.Tensor]:
    return {n: p.grad.clone() for n, p in learner.model.named_parameters() if p.grad is not None}


def relative_difference(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """||a - b|| / ||b|| over all tensors together."""
    assert a.keys() == b.keys()
    off = sum((a[n].double() - b[n].double()).square().sum().item() for n in a)
    return float(np.sqrt(off / sum(t.double().square().sum().item() for t in b.values())))
