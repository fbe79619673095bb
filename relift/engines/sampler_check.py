"""Check that the torch sampler computes what a model's own code does, before it answers anything.

A few tokens are sampled greedily from short prompts, in float32, on a copy of the first layers where the model is
large or half-precise, and compared with the model's own attention. What differs, or fails, is another architecture
than the sampler knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from relift.engines.attention_rules import require_known_layers
from relift.engines.decoding_batch import ROW_MULTIPLE, DecodingBatch, jobs_of
from relift.engines.first_layers import checkable
from relift.engines.kv_cache import KVCache
from relift.engines.tokens import Completion, Request, Sampling
from relift.errors import InputError, ReliftError

TOLERANCE = 1e-3  # nats, in float32
NEW_TOKENS = 3
PROMPT_TOKENS = (1, 9)

# What a model's own code raises when it is called otherwise than it expects.
MODEL_ERRORS = (TypeError, ValueError, RuntimeError, AttributeError, LookupError)


def require_exact(model: Any, exchange: Callable[[Any], None]) -> None:
    """Raise InputError, one line, for a model that the sampler does not compute as the model itself does.

    `exchange` puts the sampler's attention into a model; it is called on the model that is examined, which may be the
    model itself.
    """
    require_known_layers(model.config)
    examined, kind = checkable(model), model.config.get_text_config().model_type
    vocabulary = int(model.config.get_text_config().vocab_size)
    prompts = [tuple((3 + t) % vocabulary for t in range(n)) for n in PROMPT_TOKENS]
    requests, sampling = [Request(prompt, (0,)) for prompt in prompts], Sampling(NEW_TOKENS, temperature=0.0)
    own = examined.config._attn_implementation
    try:
        with torch.inference_mode():
            exchange(examined)
            batch = DecodingBatch(examined, jobs_of(requests, rows=ROW_MULTIPLE), sampling, KVCache(rows=ROW_MULTIPLE))
            answers = batch.run(None).completions([0] * len(requests), frozenset())
            examined.set_attn_implementation(own)
            off = max(_difference(examined, p, answer) for p, answer in zip(prompts, answers, strict=True))
    except ReliftError:  # of the batch: what else it refuses was not asked for
        raise InputError(f"model {kind}: its logits are not finite; check the weights") from None
    except MODEL_ERRORS as error:
        words = " ".join(str(error).split())[:160]
        raise InputError(f"the torch sampler cannot run model {kind}: {words}; use another engine for it") from None
    if not off <= TOLERANCE:
        raise InputError(
            f"the torch sampler cannot run model {kind}: a log-probability differs by {off:.2g} nats from that of the "
            "model's own attention; use another engine for it"
        )


def _difference(model: Any, prompt_ids: tuple[int, ...], answer: Completion) -> float:
    """Measure the largest difference between an answer's log-probabilities and the model's own."""
    device = next(model.parameters()).device
    ids = torch.tensor([[*prompt_ids, *answer.token_ids_T.tolist()]], device=device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt_ids) - 1 : -1].float()
    own = torch.log_softmax(logits, -1).gather(1, ids[0, len(prompt_ids) :, None])[:, 0]
    return float((own.cpu() - torch.from_numpy(answer.logprobs_T)).abs().max())
