"""What an engine refuses before any work, for every engine alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

from relift.engines.base import Request, Sampling
from relift.errors import InputError


def check_requests(requests: Sequence[Request], sampling: Sampling, *, vocab: int, max_context: int | None) -> None:
    """Raise InputError, one line, for the first thing that cannot be answered."""
    if sampling.max_tokens < 1:
        raise InputError(f"max_tokens is {sampling.max_tokens}; at least one token must be allowed")
    if not (math.isfinite(sampling.temperature) and sampling.temperature >= 0):
        raise InputError(f"temperature is {sampling.temperature}; it must be 0 (greedy) or positive")
    if not 0 < sampling.top_p <= 1:
        raise InputError(f"top_p is {sampling.top_p}; it must lie above 0 and not above 1 (1: off)")
    if sampling.top_k != -1 and sampling.top_k < 1:
        raise InputError(f"top_k is {sampling.top_k}; it must be positive, or -1 (off)")
    if sampling.stop:
        raise InputError("this engine reads no stop strings; give stop_token_ids, or ask it as an Answerer")
    if any(not 0 <= token < vocab for token in sampling.stop_token_ids):
        raise InputError(f"a stop token of {sampling.stop_token_ids} is outside of the model's {vocab} tokens")
    for q, request in enumerate(requests):
        length = len(request.prompt_ids)
        if not length:
            raise InputError(f"request {q} has an empty prompt; give it at least a beginning-of-text token")
        if min(request.prompt_ids) < 0 or max(request.prompt_ids) >= vocab:
            raise InputError(f"request {q} has a token outside of the model's {vocab} tokens; check the tokenizer")
        if max_context is not None and length + sampling.max_tokens > max_context:
            raise InputError(
                f"request {q}: prompt of {length} tokens and max_tokens {sampling.max_tokens} exceed the context of "
                f"{max_context} tokens; shorten the prompt or lower max_tokens"
            )
        if any(not 0 <= seed < 2**63 for seed in request.seeds):
            raise InputError(f"request {q} has a seed outside of 0 .. 2**63 - 1; seeds come from relift.schema.seed_of")
