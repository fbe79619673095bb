"""Write requests to an OpenAI-compatible server and read its replies. Pure functions; nothing is sent here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relift.engines.answer_text import writable
from relift.engines.texts import AttemptRequest, Reply
from relift.engines.tokens import Sampling
from relift.schema import Finish

COMPLETIONS, CHAT = "completions", "chat"
PATHS = {COMPLETIONS: "/completions", CHAT: "/chat/completions"}
# Servers that take prompts as token ids, all sampling settings and seeds of 64 bits; by the name they give as owner of
# their models (vLLM: vllm/entrypoints/openai/models/serving.py; SGLang: sglang/srt/entrypoints/http_server.py).
KNOWN = ("vllm", "sglang")
SEED_BITS = 31  # for other servers: many read numbers as 32-bit integers, or as floating point


class Retryable(Exception):
    """Another try may help. `after`: seconds the server asked to wait. `paid`: an answer may have been charged."""

    def __init__(self, reason: str, *, after: float | None = None, paid: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.after, self.paid = reason, after, paid


class Rejected(Exception):
    """Another try would end the same way. `for_all`: so would every other ask."""

    def __init__(self, reason: str, *, for_all: bool = False, paid: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.for_all, self.paid = reason, for_all, paid


@dataclass(frozen=True)
class Dialect:
    """Tell how a server is spoken to. `known`: it takes every setting; another one takes the standard's alone."""

    model: str
    api: str
    known: bool
    thinking: tuple[str, str] = ("<think>", "</think>")


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


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Message(_Loose):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(_Loose):
    text: str | None = None
    message: _Message | None = None
    finish_reason: str | None = None


class _Usage(_Loose):
    completion_tokens: int = Field(ge=0, lt=2**31)
    prompt_tokens: int = Field(default=0, ge=0, lt=2**31)


class _Body(_Loose):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


@dataclass(frozen=True)
class Bought:
    """An answer with what it cost in tokens. `completion_tokens` None: the server does not say."""

    text: str
    finish: Finish
    prompt_tokens: int
    completion_tokens: int | None

    def reply(self) -> Reply:
        return Reply(self.text, self.finish, self.completion_tokens or 0)


def read_body(data: bytes, dialect: Dialect, *, thoughts_opened: bool = False) -> Bought:
    """Read the answer in the body of a reply with status 200. Raises Retryable or Rejected.

    Thoughts that the server's reasoning parser moved to another field are put back in front.
    """
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        raise Retryable(f"status 200, but no JSON: {shown(data)}", paid=True) from None
    if isinstance(raw, dict) and raw.get("error"):
        raise Retryable(f"status 200, but an error: {shown(json.dumps(raw['error']).encode())}")
    try:
        body = _Body.model_validate(raw)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise Retryable(f"status 200, but {where or 'the reply'} is not as it should be", paid=True) from None
    choice = body.choices[0]
    if choice.finish_reason not in set(Finish):
        raise Rejected(f"finish_reason is {choice.finish_reason!r}, neither stop nor length", paid=True)
    finish = Finish(choice.finish_reason)
    if dialect.api == COMPLETIONS:
        text = choice.text
    else:
        text = None if choice.message is None else _joined(choice.message, finish, dialect, opened=thoughts_opened)
    if text is None:
        if finish is not Finish.length:
            raise Retryable("status 200, but no text", paid=True)
        text = ""  # all tokens went into thoughts that are not handed out
    usage = body.usage
    return Bought(
        writable(text),
        finish,
        0 if usage is None else usage.prompt_tokens,
        None if usage is None else usage.completion_tokens,
    )


def _joined(message: _Message, finish: Finish, dialect: Dialect, *, opened: bool) -> str | None:
    thoughts = message.reasoning_content if message.reasoning_content is not None else message.reasoning
    if thoughts is None:
        return message.content
    begin, end = dialect.thinking
    head = thoughts if opened else f"{begin}{thoughts}"
    if message.content is None:
        return head if finish is Finish.length else f"{head}{end}"
    return f"{head}{end}{message.content}"


def failure_of(status: int, headers: Mapping[str, str], data: bytes) -> Retryable | Rejected:
    """Tell what a status other than 200 means."""
    reason = f"status {status}: {shown(data)}"
    if status in (408, 409, 425, 429) or status >= 500:
        return Retryable(reason, after=retry_after(headers.get("retry-after")))
    return Rejected(reason, for_all=status in (401, 402, 403, 404, 405) or status < 400)


def retry_after(value: str | None) -> float | None:
    """Seconds that the header asks to wait (RFC 9110, 10.2.3: a number or a date); None if it says nothing sensible."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = ((date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def shown(data: bytes) -> str:
    """Show the beginning of a body, on one line, without control characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in data[:400].decode("utf-8", "replace")).split())
    return repr(text[:160] + (" ..." if len(text) > 160 else ""))
