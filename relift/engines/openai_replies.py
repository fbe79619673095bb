"""Read the replies of an OpenAI-compatible server: answers in all their forms, endings, refusals. Pure functions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relift.engines.answer_text import writable
from relift.engines.openai_wire import COMPLETIONS, Dialect
from relift.engines.texts import Reply
from relift.schema import Finish

# Endings by finish_reason in small letters, up to a colon. Beside OpenAI's own: Anthropic's (end_turn, max_tokens,
# refusal; xAI sends end_turn too), Mistral's model_length, Google's (recitation, safety, ...), Zhipu's sensitive.
ENDINGS = {
    **dict.fromkeys(
        ("stop", "end_turn", "stop_sequence", "eos", "eos_token", "tool_calls", "function_call", "tool_use"),
        Finish.stop,
    ),
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"), Finish.length
    ),
    **dict.fromkeys(
        ("content_filter", "content_filtered", "recitation", "safety", "sensitive", "refusal", "blocklist",
         "prohibited_content", "spii", "guardrail_intervened"),
        Finish.refused,
    ),
}  # fmt: skip
# DeepSeek's; an aborted request of vLLM and SGLang; an error behind a gateway: the same request may end well.
PASSING = ("insufficient_system_resource", "abort", "error")
_FILTERED = re.compile(r"content[_ -]?(?:filter|management[_ ]policy|policy[_ ]violation)|ResponsibleAIPolicyViolation")
# How servers tell that a prompt and its answer do not fit: vLLM's, SGLang's and OpenAI's sentences, llama.cpp's fields.
_CONTEXT = re.compile(
    r"(?:context (?:length|window|size)(?: is| of)?(?: only)?(?: \()?|\"n_ctx\":) ?([0-9]{1,9})(?![0-9])", re.IGNORECASE
)
_PROMPT = re.compile(
    r"([0-9]{1,9}) (?:in the (?:messages|prompt)|(?:prompt |input )?tokens (?:from|in) the (?:input|messages|prompt)|"
    r"input tokens)|\"n_prompt_tokens\": ?([0-9]{1,9})"
)
_MOST = re.compile(r"at most ([0-9]{1,9}) completion tokens")
_FIELD = re.compile(r"['\"`](max_tokens|temperature|top_p|seed|stop|n|stream|presence_penalty|frequency_penalty)['\"`]")
_NOT_TAKEN = (
    "extra inputs", "extra_forbidden", "unsupported", "not supported", "unrecognized", "unknown", "unexpected",
    "not permitted", "not allowed", "does not support", "invalid parameter",
)  # fmt: skip


class Retryable(Exception):
    """Another try may help. `after`: seconds the server asked to wait. `paid`: an answer may have been charged.
    `connected`: somebody was there: false where no connection was made, or it was dropped at once."""

    def __init__(self, reason: str, *, after: float | None = None, paid: bool = False, connected: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.after, self.paid, self.connected = reason, after, paid, connected


class Rejected(Exception):
    """Another try would end the same way. `for_all`: so would every other ask. `fits`: tokens that an answer may have
    behind this prompt, by what the server says of its context; None: it was refused for another reason. `filtered`:
    for what the question says, so this is the outcome of that question."""

    def __init__(
        self, reason: str, *, for_all: bool = False, paid: bool = False, fits: int | None = None, filtered: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason, self.for_all, self.paid, self.fits, self.filtered = reason, for_all, paid, fits, filtered


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Part(_Loose):
    """A piece of content: {"type": "text", "text": ...}, {"type": "thinking", "thinking": text or pieces}."""

    type: str = "text"
    text: str | None = None
    thinking: str | list[_Part] | None = None


class _Message(_Loose):
    content: str | list[_Part] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None


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
    """An answer with what it cost in tokens. `completion_tokens` None: the server does not say. `reason`: the server's
    word for an ending that is neither stop nor length."""

    text: str
    finish: Finish
    prompt_tokens: int
    completion_tokens: int | None
    reason: str | None = None

    def reply(self) -> Reply:
        return Reply(self.text, self.finish, self.completion_tokens or 0, prompt_tokens=self.prompt_tokens)


def read_body(data: bytes, dialect: Dialect, *, thoughts_opened: bool = False) -> Bought:
    """Read the answer in the body of a reply with status 200. Raises Retryable.

    Thoughts that the server's reasoning parser moved to another field are put back in front. A message without content
    is an answer without text: the same request gives it again (vLLM issues 41902 and 45736).
    """
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        raise Retryable(f"status 200, but no JSON: {shown(data)}", paid=True) from None
    if isinstance(raw, dict) and raw.get("error"):
        raise Retryable(f"status 200, but an error: {shown(json.dumps(raw).encode())}")
    try:
        body = _Body.model_validate(raw)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise Retryable(f"status 200, but {where or 'the reply'} is not as it should be", paid=True) from None
    choice = body.choices[0]
    finish, reason = _ending(choice)
    if dialect.api == COMPLETIONS:
        text = choice.text
        absent = "text" not in raw["choices"][0]
    else:
        absent = choice.message is None
        text = None if choice.message is None else _joined(choice.message, finish, dialect, opened=thoughts_opened)
    if text is None and absent and finish is Finish.stop:
        raise Retryable("status 200, but no text", paid=True)
    usage = body.usage
    return Bought(
        writable(text or ""),
        finish,
        0 if usage is None else usage.prompt_tokens,
        None if usage is None else usage.completion_tokens,
        reason,
    )


def _ending(choice: _Choice) -> tuple[Finish, str | None]:
    """Tell how an answer ended, and in the server's word where that is neither stop nor length.

    An ending that nobody knows is one of that question, as a refusal is: the text counts as far as it goes. Raises
    Retryable where the server says nothing, or that it lacked something for a while.
    """
    said = choice.finish_reason
    if said is None or said.lower() in PASSING:
        raise Retryable(f"status 200, but finish_reason is {said!r}", paid=True)
    finish = ENDINGS.get(said.lower().partition(":")[0].strip(), Finish.refused)
    refused = choice.message is not None and bool(choice.message.refusal) and not choice.message.content
    if refused and finish is Finish.stop:
        return Finish.refused, "refusal"
    return finish, said if finish is Finish.refused else None


def _joined(message: _Message, finish: Finish, dialect: Dialect, *, opened: bool) -> str | None:
    content, own = _content(message.content)
    thoughts = message.reasoning_content if message.reasoning_content is not None else message.reasoning
    thoughts = own if thoughts is None else thoughts
    if thoughts is None:
        return content
    begin, end = dialect.thinking
    head = thoughts if opened else f"{begin}{thoughts}"
    if content is None:
        return f"{head}{end}" if finish is Finish.stop else head
    return f"{head}{end}{content}"


def _content(content: str | list[_Part] | None) -> tuple[str | None, str | None]:
    """Split content into text and thoughts; None for what it has none of."""
    if not isinstance(content, list):
        return content, None
    texts = [part.text for part in content if part.text is not None and part.thinking is None]
    thoughts = [
        part.thinking if isinstance(part.thinking, str) else "".join(piece.text or "" for piece in part.thinking)
        for part in content
        if part.thinking is not None
    ]
    return "".join(texts) if texts else None, "".join(thoughts) if thoughts else None


def failure_of(status: int, headers: Mapping[str, str], data: bytes) -> Retryable | Rejected:
    """Tell what a status other than 200 means."""
    reason = f"status {status}: {shown(data)}"
    if status in (408, 409, 425, 429) or status >= 500:
        return Retryable(reason, after=retry_after(headers.get("retry-after")))
    if status in (400, 413, 422):
        return _refusal(status, data, reason)
    return Rejected(reason, for_all=status in (401, 402, 403, 404, 405) or status < 400)


def _refusal(status: int, data: bytes, reason: str) -> Rejected:
    """Read why one request was refused: it does not fit the model's context, or has a field that is not taken."""
    text = " ".join(data[:4000].decode("utf-8", "replace").split()).replace('\\"', '"')
    if status == 400 and _FILTERED.search(text):  # as Azure's servers say it
        return Rejected(reason, filtered=True)
    most = _MOST.search(text)
    if most is not None:
        return Rejected(f"status {status}: an answer has at most {int(most[1]):,} tokens there", fits=int(most[1]))
    context, prompt = _CONTEXT.search(text), _PROMPT.search(text)
    if context is not None:
        length = int(context[1])
        taken = int(prompt[1] or prompt[2]) if prompt is not None else None
        said = f"the model reads {length:,} tokens{'' if taken is None else f' and this prompt has {taken:,}'}"
        return Rejected(f"status {status}: {said}", fits=length if taken is None else length - taken)
    field = _FIELD.search(text)
    if field is not None and any(word in text.lower() for word in _NOT_TAKEN):
        mend = f"leave it out with --engine-option omit={field[1]}"
        if "max_completion_tokens" in text and field[1] == "max_tokens":
            mend = "use --engine-option length_field=max_completion_tokens"
        return Rejected(f"{reason}; the server does not take {field[1]}: {mend}", for_all=True)
    return Rejected(reason)


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


def row_of(bought: Bought) -> dict[str, Any]:
    """Make what the ledger keeps of an answer."""
    row: dict[str, Any] = {
        "text": bought.text,
        "finish": str(bought.finish),
        "n_tokens": bought.completion_tokens,
        "prompt_tokens": bought.prompt_tokens,
    }
    return row if bought.reason is None else {**row, "reason": bought.reason}
