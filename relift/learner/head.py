"""Go from the last hidden state to log-probability and entropy of each completion token, in chunks, keeping no logits.

Axes: C completion tokens, D hidden size, V vocabulary.

With z = (W h + b)/T, p = softmax(z), H = -sum_v p_v log p_v:

    d log p_y / d z_v = [v = y] - p_v          d H / d z_v = -p_v (log p_v + H)

With soft-capped logits (Gemma 2) z = c tanh((W h + b)/c)/T, and d z / d (W h + b) = (1 - tanh^2)/T.
"""

from __future__ import annotations

from typing import Any

import torch

CHUNK_ELEMENTS = 2**24  # logits computed at once: 64 MiB in float32
CHUNK_ELEMENTS_CUDA = 2**27  # 512 MiB: small chunks read the head's weights more often than they fill the device


class TokenScores(torch.autograd.Function):
    """Map (hidden_CD, weight_VD, bias_V, target_C, temperature, entropy_grad, softcap) to (logprob_C, entropy_C).

    `bias_V` and `softcap` may be None; the temperature is one number or [C]. `chunk_elements`: logits computed at once,
    by default CHUNK_ELEMENTS. The backward pass computes the logits
    again, chunk by chunk; if all of them fit into one chunk they are kept. Without `entropy_grad` the entropy is a
    number to record, not differentiable.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_CD: torch.Tensor,
        weight_VD: torch.Tensor,
        bias_V: torch.Tensor | None,
        target_C: torch.Tensor,
        temperature: float | torch.Tensor,
        entropy_grad: bool,  # noqa: FBT001 - torch passes these by position
        softcap: float | None = None,
        chunk_elements: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        chunks = _chunks(len(target_C), len(weight_VD), chunk_elements)
        logprob_C = torch.empty(len(target_C), dtype=torch.float32, device=hidden_CD.device)
        if hidden_CD.dtype == torch.float64:
            logprob_C = logprob_C.double()
        entropy_C = torch.empty_like(logprob_C)
        logprobs_CV = None
        for chunk in chunks:
            logprobs_CV, _ = _log_softmax(hidden_CD[chunk], weight_VD, bias_V, _of(temperature, chunk), softcap)
            logprob_C[chunk] = logprobs_CV.gather(1, target_C[chunk, None])[:, 0]
            entropy_C[chunk] = -(logprobs_CV.exp() * logprobs_CV).sum(-1)
        keep = len(chunks) == 1 and softcap is None  # the slope of a cap cannot be had from log-probabilities
        ctx.save_for_backward(hidden_CD, weight_VD, bias_V, target_C, entropy_C, logprobs_CV if keep else None)
        ctx.temperature, ctx.entropy_grad, ctx.softcap = temperature, entropy_grad, softcap
        ctx.chunk_elements = chunk_elements
        if not entropy_grad:
            ctx.mark_non_differentiable(entropy_C)
        return logprob_C, entropy_C

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor | None) -> Any:
        hidden_CD, weight_VD, bias_V, target_C, entropy_C, kept_CV = ctx.saved_tensors
        grad_logprob_C, grad_entropy_C = grads
        grad_hidden_CD = torch.empty_like(hidden_CD)
        _, of_weight, of_bias, *_ = ctx.needs_input_grad  # a frozen head (LoRA) needs no gradient of its size
        grad_weight_VD = torch.zeros_like(weight_VD) if of_weight else None
        grad_bias_V = torch.zeros_like(bias_V) if of_bias else None
        for chunk in _chunks(len(target_C), len(weight_VD), ctx.chunk_elements):
            logprobs_CV, slope_CV = kept_CV, None
            if logprobs_CV is None:
                temperature = _of(ctx.temperature, chunk)
                logprobs_CV, slope_CV = _log_softmax(hidden_CD[chunk], weight_VD, bias_V, temperature, ctx.softcap)
            p_CV = logprobs_CV.exp()
            if ctx.entropy_grad and grad_entropy_C is not None:
                factor_CV = (logprobs_CV + entropy_C[chunk, None]).mul_(-grad_entropy_C[chunk, None])
            else:
                factor_CV = torch.zeros_like(entropy_C[chunk, None])
            if grad_logprob_C is not None:
                factor_CV = factor_CV.sub_(grad_logprob_C[chunk, None])
            grad_CV = p_CV.mul_(factor_CV)
            if grad_logprob_C is not None:
                grad_CV.scatter_add_(1, target_C[chunk, None], grad_logprob_C[chunk, None])
            if slope_CV is not None:
                grad_CV.mul_(slope_CV)
            grad_CV = grad_CV.div_(_of(ctx.temperature, chunk)).to(weight_VD.dtype)
            grad_hidden_CD[chunk] = grad_CV @ weight_VD
            if grad_weight_VD is not None:
                grad_weight_VD.addmm_(grad_CV.T, hidden_CD[chunk])
            if grad_bias_V is not None:
                grad_bias_V += grad_CV.sum(0)
        return grad_hidden_CD, grad_weight_VD, grad_bias_V, None, None, None, None, None


def _chunks(n_tokens: int, vocabulary: int, elements: int | None) -> list[slice]:
    size = max(1, (elements or CHUNK_ELEMENTS) // vocabulary)
    return [slice(start, min(start + size, n_tokens)) for start in range(0, n_tokens, size)]


def _of(temperature: float | torch.Tensor, chunk: slice) -> float | torch.Tensor:
    """Cut the temperatures of a chunk's tokens, as a column."""
    return temperature[chunk, None] if isinstance(temperature, torch.Tensor) else temperature


def _log_softmax(
    hidden_CD: torch.Tensor,
    weight_VD: torch.Tensor,
    bias_V: torch.Tensor | None,
    temperature: float | torch.Tensor,
    softcap: float | None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Compute log-probabilities, in float32 at least, and the slope of the cap at each logit (None: no cap)."""
    logits_CV = torch.nn.functional.linear(hidden_CD, weight_VD, bias_V)
    if logits_CV.dtype in (torch.float16, torch.bfloat16):
        logits_CV = logits_CV.float()
    slope_CV = None
    if softcap is not None:
        tanh_CV = logits_CV.div_(softcap).tanh_()
        slope_CV = 1 - tanh_CV.square()
        logits_CV = tanh_CV.mul_(softcap)
    if isinstance(temperature, torch.Tensor) or temperature != 1.0:
        logits_CV = logits_CV.div_(temperature)
    return torch.log_softmax(logits_CV, dim=-1), slope_CV
