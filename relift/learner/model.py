"""A causal LM and its head as one module that gives log-probabilities and entropies and shows no logits.

Axes: S sequences of a micro-batch, N their input tokens laid end to end, C their completion tokens.
"""

from __future__ import annotations

from typing import Any

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


class Scorer(torch.nn.Module):
    """(log-probability [C], entropy [C]) in nats at `temperature`. One module, so that FSDP2 gathers the head's
    weights for it; without `entropy_grad` the entropy is not differentiable."""

    def __init__(self, model: Any, *, temperature: float) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(
        self,
        input_ids_N: torch.Tensor,
        position_N: torch.Tensor,
        segments: Segments,
        predictor_C: torch.Tensor,
        target_C: torch.Tensor,
        *,
        entropy_grad: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        output = body_of(self.model)(
            input_ids=input_ids_N[None], position_ids=position_N[None], use_cache=False, segments=segments
        )
        hidden_CD = output.last_hidden_state[0].index_select(0, predictor_C)
        head = self.model.get_output_embeddings()
        factor, softcap = logit_scale_of(self.model)
        bias, temperature = getattr(head, "bias", None), self.temperature / factor
        logprob_C, entropy_C = TokenScores.apply(
            hidden_CD, head.weight, bias, target_C, temperature, entropy_grad, softcap
        )
        return logprob_C, entropy_C


def run(
    scorer: Any, batch: MicroBatch, device: torch.device, *, entropy_grad: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put a micro-batch on the device and score it."""
    ids, positions, predictor, target = (
        torch.from_numpy(x).to(device) for x in (batch.input_ids_N, batch.position_N, batch.predictor_C, batch.target_C)
    )
    scores: tuple[torch.Tensor, torch.Tensor] = scorer(
        ids, positions, segments_of(batch.length_S, batch.token_R, device), predictor, target, entropy_grad=entropy_grad
    )
    return scores
