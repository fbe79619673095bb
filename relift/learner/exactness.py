"""Put the packed attention into a model, and check that nothing else changes by it.

The check runs in float32 whatever the model trains in, on a copy of its first layers where it is large: in half
precision two correct implementations differ by up to 0.2 nats, and what leaks from one sequence into the next (the
convolutions of LFM2: 0.7 nats) would pass for rounding.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from relift.engines.attention_rules import require_known_layers
from relift.engines.context import SWITCHING, switch_of
from relift.engines.first_layers import checkable
from relift.errors import InputError
from relift.learner.attention import NAME, NoSegments
from relift.learner.distributed import NOT_FINITE
from relift.learner.model import LogprobModel, run
from relift.learner.packing import lay_out
from relift.learner.update import TrainSequence

# Largest difference of log-probabilities between the packed model and its own attention, nats.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}
SHOWN_TOKENS = 32  # of a long sequence this many last tokens are compared

# What a model's own code raises when it is called otherwise than it expects.
MODEL_ERRORS = (TypeError, ValueError, RuntimeError, AttributeError, LookupError)


def exchange_attention(
    model: Any, device: torch.device, *, longest: int | None = None, weights: Mapping[str, Any] | None = None
) -> None:
    """Put the packed attention into the model, after checking that its log-probabilities stay its own.

    Compared are two short sequences packed together, and one of `longest` tokens (the longest of the run) before a
    short one. `weights`: files of a model that is on the meta device. Raises InputError for a model whose attention
    cannot be exchanged, whose sequences see each other when they are packed, or that does more than a linear head,
    scaled or soft-capped, on the last hidden state.
    """
    name = type(model).__name__
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if not getattr(model, "_supports_attention_backend", False) or head is None:
        raise InputError(
            f"model: {name} cannot be trained: it must be a transformers causal LM whose attention goes through "
            "AttentionInterface, as Llama, Qwen2 and Qwen3 do"
        )
    require_known_layers(model.config)
    switch = switch_of(model.config)
    if switch is not None and longest is not None and longest > switch:
        raise InputError(
            f"model: {name} cannot be trained on {longest} tokens: its positions ({' or '.join(SWITCHING)} rotary "
            f"embeddings) change with the batch beyond {switch}; shorten max_tokens"
        )
    examined = checkable(model, weights).to(device)
    if weights is not None and not all(bool(t.isfinite().all()) for t in examined.state_dict().values()):
        raise InputError(NOT_FINITE)  # the others are looked at while they are read
    try:
        _compare(examined, device, name=name, longest=longest)
    except NoSegments:
        raise InputError(
            f"model: {name} cannot be trained: its layers hand no arguments on to their attention, so packed sequences "
            "cannot be told apart; take another model"
        ) from None
    except MODEL_ERRORS as error:
        words = " ".join(str(error).split())[:200]
        raise InputError(f"model: {name} cannot be trained: packed sequences fail in its code: {words}") from None
    model.set_attn_implementation(NAME)


def _compare(model: Any, device: torch.device, *, name: str, longest: int | None) -> None:
    """Raise InputError unless packed and own log-probabilities agree. The packed attention stays in the model."""
    vocabulary = len(model.get_output_embeddings().weight)
    short = [_example(5, vocabulary), _example(2, vocabulary)]
    sets = [short] if longest is None or longest <= 8 else [short, [_example(longest - 1, vocabulary), short[0]]]
    with torch.no_grad():
        expected = [[_own_logprobs(model, example, device) for example in examples] for examples in sets]
        model.set_attn_implementation(NAME)
        for examples, own in zip(sets, expected, strict=True):
            packed = _packed_logprobs(model, examples, device)
            alone = [_packed_logprobs(model, [example], device)[0] for example in examples]
            for what, others in (
                ("sequences see each other when they are packed: a log-probability moves", alone),
                ("log-probabilities of packed causal attention and a linear head differ from its own", own),
            ):
                off = max((p - o).abs().max().item() for p, o in zip(packed, others, strict=True))
                if not off <= TOLERANCE[packed[0].dtype]:
                    raise InputError(f"model: {name} cannot be trained: {what} by {off:.2g} nats; take another model")


def _example(n_tokens: int, vocabulary: int) -> TrainSequence:
    """Make a sequence of one prompt token and so many others."""
    return TrainSequence((1 % vocabulary,), np.arange(3, 3 + n_tokens) % vocabulary)


def _own_logprobs(model: Any, example: TrainSequence, device: torch.device) -> torch.Tensor:
    """Compute the log-probabilities of the last tokens with the model's own attention."""
    ids = torch.tensor([[*example.prompt_ids, *example.completion_ids_T.tolist()]], device=device)
    n = min(len(example.completion_ids_T), SHOWN_TOKENS)
    some = {"logits_to_keep": n + 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
    logits = model(input_ids=ids, use_cache=False, **some).logits[0, -n - 1 : -1]
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return torch.log_softmax(logits, -1).gather(1, ids[0, -n:, None])[:, 0]


def _packed_logprobs(model: Any, examples: list[TrainSequence], device: torch.device) -> list[torch.Tensor]:
    """Compute those of each example with the packed attention, all in one micro-batch."""
    batch = lay_out(examples, list(range(len(examples))), share_prompts=device.type == "cpu")
    flat, _ = run(LogprobModel(model), batch, device, temperature_S=np.ones(len(examples)), entropy_grad=False)
    parts = flat.split(batch.completion_S.tolist())
    in_order = [part for _, part in sorted(zip(batch.index_S.tolist(), parts, strict=True), key=lambda pair: pair[0])]
    return [part[-SHOWN_TOKENS:] for part in in_order]
