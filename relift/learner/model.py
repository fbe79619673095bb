"""A causal LM and its head as one module that gives log-probabilities and entropies and shows no logits.

Axes: S sequences of a micro-batch, N their input tokens laid end to end, C their completion tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from relift.errors import InputError
from relift.learner.attention import NAME, Segments, segments_of
from relift.learner.head import TokenScores
from relift.learner.packing import MicroBatch, lay_out
from relift.learner.update import TrainSequence

# Largest difference of log-probabilities between the packed model and its own attention, nats. In half precision
# two correct implementations differ by up to 0.2 (measured between vLLM and transformers).
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}
HALF_TOLERANCE = 0.5


class LogprobModel(torch.nn.Module):
    """Give (log-probability [C], entropy [C]) in nats at a temperature, one for all tokens or one for each [C].

    One module, so that FSDP2 gathers the head's weights for it; without `entropy_grad` the entropy is not
    differentiable.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids_N: torch.Tensor,
        position_N: torch.Tensor,
        segments: Segments,
        predictor_C: torch.Tensor,
        target_C: torch.Tensor,
        *,
        temperature: float | torch.Tensor,
        entropy_grad: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        output = self.model.base_model(
            input_ids=input_ids_N[None], position_ids=position_N[None], use_cache=False, segments=segments
        )
        hidden_CD = output.last_hidden_state[0].index_select(0, predictor_C)
        head = self.model.get_output_embeddings()
        logprob_C, entropy_C = TokenScores.apply(
            hidden_CD, head.weight, getattr(head, "bias", None), target_C, temperature, entropy_grad
        )
        return logprob_C, entropy_C


def run(
    logprobs: Any,
    batch: MicroBatch,
    device: torch.device,
    *,
    temperature_S: np.ndarray,
    entropy_grad: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put a micro-batch on the device and give its log-probabilities; temperature_S is that of each sequence."""
    ids, positions, predictor, target = (
        torch.from_numpy(x).to(device) for x in (batch.input_ids_N, batch.position_N, batch.predictor_C, batch.target_C)
    )
    temperature: float | torch.Tensor = float(temperature_S[0]) if len(temperature_S) else 1.0
    if (temperature_S != temperature).any():
        temperature = torch.from_numpy(np.repeat(temperature_S, batch.completion_S).astype(np.float32)).to(device)
    values: tuple[torch.Tensor, torch.Tensor] = logprobs(
        ids,
        positions,
        segments_of(batch.length_S, batch.token_R, device),
        predictor,
        target,
        temperature=temperature,
        entropy_grad=entropy_grad,
    )
    return values


def exchange_attention(model: Any, device: torch.device) -> None:
    """Put the packed attention into the model, after checking on short sequences that nothing else changes.

    Raises InputError for a model whose attention cannot be exchanged, or that does more than a linear head on the
    last hidden state (soft-capped or scaled logits).
    """
    name = type(model).__name__
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if not getattr(model, "_supports_attention_backend", False) or head is None:
        raise InputError(
            f"model: {name} cannot be trained: it must be a transformers causal LM whose attention goes through "
            "AttentionInterface, as Llama, Qwen2 and Qwen3 do"
        )
    vocabulary = len(head.weight)
    examples = [TrainSequence((1 % vocabulary,), np.arange(3, 3 + n) % vocabulary) for n in (5, 2)]
    with torch.no_grad():
        expected = torch.cat([_own_logprobs(model, example, device) for example in examples])
        model.set_attn_implementation(NAME)
        batch = lay_out(examples, [0, 1], share_prompts=device.type == "cpu")
        got, _ = run(LogprobModel(model), batch, device, temperature_S=np.ones(2), entropy_grad=False)
    off = (got - expected).abs().max().item()
    if not off <= TOLERANCE.get(head.weight.dtype, HALF_TOLERANCE):
        raise InputError(
            f"model: {name} cannot be trained: its log-probabilities differ by {off:.2g} nats from those of packed "
            "causal attention and a linear head; take a model without scaled or soft-capped logits"
        )


def _own_logprobs(model: Any, example: TrainSequence, device: torch.device) -> torch.Tensor:
    ids = torch.tensor([[*example.prompt_ids, *example.completion_ids_T.tolist()]], device=device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(example.prompt_ids) - 1 : -1]
    return torch.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), -1).gather(
        1, ids[0, len(example.prompt_ids) :, None]
    )[:, 0]
