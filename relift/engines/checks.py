"""Refuse what no engine can answer, before any work, for every engine alike."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from relift.engines.texts import AttemptRequest
from relift.engines.tokens import Request, Sampling
from relift.errors import InputError


def check_requests(requests: Sequence[Request], sampling: Sampling, *, vocab: int, max_context: int | None) -> None:
    """Raise InputError, one line, for the first thing that cannot be answered."""
    check_sampling(sampling, vocab=vocab)
    if sampling.stop:
        raise InputError("this engine reads no stop strings; give stop_token_ids, or ask it as an Answerer")
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


def check_sampling(sampling: Sampling, *, vocab: int | None) -> None:
    """Raise InputError, one line, for settings that mean nothing. `vocab` None: not known, as of some servers."""
    if sampling.max_tokens < 1:
        raise InputError(f"max_tokens is {sampling.max_tokens}; at least one token must be allowed")
    if not (math.isfinite(sampling.temperature) and sampling.temperature >= 0):
        raise InputError(f"temperature is {sampling.temperature}; it must be 0 (greedy) or positive")
    if not 0 < sampling.top_p <= 1:
        raise InputError(f"top_p is {sampling.top_p}; it must lie above 0 and not above 1 (1: off)")
    if sampling.top_k != -1 and sampling.top_k < 1:
        raise InputError(f"top_k is {sampling.top_k}; it must be positive, or -1 (off)")
    if any(token < 0 or (vocab is not None and token >= vocab) for token in sampling.stop_token_ids):
        raise InputError(f"a stop token of {sampling.stop_token_ids} is outside of the model's {vocab} tokens")
    if not all(sampling.stop):
        raise InputError("a stop string is empty; leave it out")


def check_asks(
    asks: Sequence[AttemptRequest],
    sampling: Sampling,
    *,
    vocab: int | None,
    max_context: int | None,
    ids_needed: bool = True,
) -> None:
    """Raise InputError, one line, for the first of an Answerer's asks that cannot be answered.

    `max_context` None: without limit, or not known. Without `ids_needed` a prompt may have no token ids, as that of a
    server that reads turns."""
    check_sampling(sampling, vocab=vocab)
    keys = Counter(ask.key for ask in asks)
    if len(keys) < len(asks):
        raise InputError(f"ask {keys.most_common(1)[0][0]} is there twice; the key of an ask is its own")
    long: list[AttemptRequest] = []
    for ask in asks:
        ids = ask.prompt.token_ids
        if not ids and ids_needed:
            raise InputError(f"ask {ask.key} has an empty prompt; give it at least a beginning-of-text token")
        if ids and (min(ids) < 0 or (vocab is not None and max(ids) >= vocab)):
            raise InputError(f"ask {ask.key} has a token outside of the model's {vocab} tokens; check the tokenizer")
        if not 0 <= ask.seed < 2**63:
            raise InputError(f"ask {ask.key} has a seed outside of 0 .. 2**63 - 1; seeds come from seed_of")
        if max_context is not None and len(ids) + sampling.max_tokens > max_context:
            long.append(ask)
    if long and max_context is not None:
        longest = max(len(ask.prompt.token_ids) for ask in long)
        mend = f"use --max-tokens {max_context - longest}" if longest < max_context else "leave such questions out"
        raise InputError(
            f"prompt + {sampling.max_tokens} tokens exceed the model's {max_context} in {len(long)} of {len(asks)}, "
            f"the longest prompt has {longest}; {mend}"
        )
