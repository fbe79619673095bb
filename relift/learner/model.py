"""A causal LM and its head as one module that gives log-probabilities and entropies and shows no logits.

Axes: S sequences of a micro-batch, N their input tokens laid end to end, C their completion tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from relift.engines.first_layers import body_of
from relift.learner.attention import Segments, segments_of
from relift.learner.head import TokenScores
from relift.learner.packing import MicroBatch


def logit_scale_of(model: Any) -> tuple[float, float | None]:
    """Read (factor on the logits, soft cap or None) of a model's head: Cohere and Granite scale, Gemma 2 caps."""
    text = model.config.get_text_config()
    factor = float(getattr(text, "logit_scale", None) or 1.0) / float(getattr(text, "logits_scaling", None) or 1.0)
    return factor, getattr(text, "final_logit_softcapping", None)


class LogprobModel(torch.nn.Module):
    """Give (log-probability [C], entropy [C]) in nats at a temperature, one for all tokens or one for each [C].

    One module, so that FSDP2 gathers the head's weights for it; without `entropy_grad` the entropy is not
    differentiable.
    """

    def __init__(self, model: Any, *, chunk_elements: int | None = None) -> None:
        super().__init__()
        self.model = model
        self.chunk_elements = chunk_elements

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
        output = body_of(self.model)(
            input_ids=input_ids_N[None], position_ids=position_N[None], use_cache=False, segments=segments
        )
        hidden_CD = output.last_hidden_state[0].index_select(0, predictor_C)
        head = self.model.get_output_embeddings()
        factor, softcap = logit_scale_of(self.model)
        bias = getattr(head, "bias", None)
        logprob_C, entropy_C = TokenScores.apply(
            hidden_CD, head.weight, bias, target_C, temperature / factor, entropy_grad, softcap, self.chunk_elements
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
