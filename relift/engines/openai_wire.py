"""Write requests to an OpenAI-compatible server. Pure functions; nothing is sent here.

openai_replies.py reads what comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relift.engines.texts import AttemptRequest
from relift.engines.tokens import Sampling
from relift.errors import InputError
from relift.suggest import hint

COMPLETIONS, CHAT = "completions", "chat"
PATHS = {COMPLETIONS: "/completions", CHAT: "/chat/completions"}
# Servers that take prompts as token ids, all sampling settings and seeds of 64 bits; by the name they give as owner of
# their models (vLLM: vllm/entrypoints/openai/models/serving.py; SGLang: sglang/srt/entrypoints/http_server.py).
KNOWN = ("vllm", "sglang")
# At these values a setting is what the standard's default is: a server that is not known need not hear of it, and some
# refuse what they do not know.
STANDARD = {"presence_penalty": 0.0, "frequency_penalty": 0.0, "n": 1, "stream": False}
LENGTH_FIELDS = ("max_tokens", "max_completion_tokens")  # names of the longest answer, in tokens; OpenAI has changed it
SEED_BITS = 31  # for other servers: many read numbers as 32-bit integers, or as floating point


@dataclass(frozen=True)
class Dialect:
    """Tell how a server is spoken to. `known`: it takes every setting; another one takes the standard's alone."""

    model: str
    api: str
    known: bool
    thinking: tuple[str, str] = ("<think>", "</think>")
    omit: tuple[str, ...] = ()  # settings that this server does not take
    length_field: str = LENGTH_FIELDS[0]


def request_body(ask: AttemptRequest, sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    """Write the JSON of one request; no setting is left to the server's defaults that it is known to take."""
    body: dict[str, Any] = {
        "model": dialect.model,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "n": 1,
        "stream": False,
        "seed": ask.seed if dialect.known else ask.seed % 2**SEED_BITS,
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if dialect.known:
        body |= {
            "top_k": sampling.top_k,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "stop_token_ids": list(sampling.stop_token_ids),
            # An answer ends with one of stop_token_ids and nothing else, as in every engine; only where the prompt has
            # no tokens, and nobody here knows any, is it up to the server.
            "ignore_eos": bool(ask.prompt.token_ids),
            "skip_special_tokens": True,
            "spaces_between_special_tokens": False,
        }
    if dialect.api == COMPLETIONS:
        return {**body, "prompt": list(ask.prompt.token_ids)}
    turns = [{"role": role, "content": content} for role, content in ask.prompt.turns or ()]
    return {**body, "messages": turns}


def sent_body(body: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    """Leave out of a request what the server does not take: what is `omit`ted, and defaults of the standard where
    nobody knows the server. What is bought goes by the whole request, so this changes no name in a ledger."""
    sent = {name: value for name, value in body.items() if name not in dialect.omit}
    if not dialect.known:
        sent = {name: value for name, value in sent.items() if name not in STANDARD or value != STANDARD[name]}
    if dialect.length_field in sent or LENGTH_FIELDS[0] not in sent:
        return sent
    return {dialect.length_field if name == LENGTH_FIELDS[0] else name: value for name, value in sent.items()}


def require_omittable(names: Sequence[str], length_field: str) -> None:
    """Refuse to leave out what is no setting of a request, or what makes it one. Raises InputError."""
    known = [*_KNOWN_SETTINGS]
    for name in names:
        if name not in known:
            near = hint(name, known) or f"; known: {', '.join(known)}"
            raise InputError(f"--engine-option omit={','.join(names)}: no setting of a request is {name!r}{near}")
    if length_field not in LENGTH_FIELDS:
        raise InputError(f"--engine-option length_field={length_field}: use {' or '.join(LENGTH_FIELDS)}")


_KNOWN_SETTINGS = (
    "max_tokens", "temperature", "top_p", "presence_penalty", "frequency_penalty", "n", "stream", "seed", "stop",
    "top_k", "min_p", "repetition_penalty", "stop_token_ids", "ignore_eos", "skip_special_tokens",
    "spaces_between_special_tokens",
)  # fmt: skip
