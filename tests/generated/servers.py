"""Ask a server whose first replies are changed, in their contents and in how they are sent."""

from __future__ import annotations

import asyncio
import gzip
import math
import random
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from relift.engines import openai_session
from relift.engines.openai import OpenAIAnswers
from relift.engines.options import OpenAIOptions
from relift.engines.texts import AttemptRequest, Prompt
from relift.engines.tokens import Sampling
from relift.errors import ReliftError
from relift.store.ledger import read_ledger
from tests.engines.flaky_server import FlakyServer, good_body
from tests.generated.makers import json_text, odd_bytes, odd_json


class OddServer(FlakyServer):
    """Serve one reply that the test makes, then good ones; and what is asked of its models. `wire`: that reply as it is
    sent, byte for byte; the connection is closed after it. None: as a sound server sends it."""

    def __init__(self) -> None:
        self.reply: tuple[int, dict[str, str], bytes] = (200, {}, b"")
        self.wire: list[bytes] | None = None
        super().__init__(lambda seed: "made", replies={"made": lambda request: self.reply})

    async def _send(
        self, writer: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes, *, length: int = 0
    ) -> None:
        if self.wire is None or body is not self.reply[2]:
            await super()._send(writer, status, headers, body, length=length)
            return
        for piece in self.wire:
            writer.write(piece)
            await writer.drain()
        raise ConnectionResetError


def wire_of(rng: random.Random, status: int, headers: dict[str, str], body: bytes) -> list[bytes]:
    """Write a reply in pieces, as chunks of odd sizes, with lengths and encodings that do not hold."""
    act = rng.randrange(10)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    first = rng.choice(
        (f"HTTP/1.1 {status} X", f"HTTP/1.1 {status} X", f"HTTP/1.0 {status}", "HTTP/9 x", "", "ICY 200")
    )
    first = first if act == 0 else f"HTTP/1.1 {status} X"
    if act <= 4:
        lines.append("transfer-encoding: chunked")
        sizes = [rng.choice((1, 2, 7, 4_096)) for _ in range(rng.randint(1, 60))]
        pieces = [body[sum(sizes[:i]) : sum(sizes[: i + 1])] for i in range(len(sizes))] + [body[sum(sizes) :]]
        forms = (
            ("{:x}", "{:X}", "{:x};a=b", "000{:x}", "{:x} ") if act < 3 else ("{:x}", "0x{:x}", "-{:x}", "f{:x}", "x")
        )
        chunks = [rng.choice(forms).format(len(each)).encode() + b"\r\n" + each + b"\r\n" for each in pieces if each]
        ends = (b"0\r\n\r\n", b"0\r\nx: y\r\n\r\n", b"", b"0\r\n", b"ffffffffffffffffff\r\n")
        sent = [*chunks, ends[0] if act < 3 and rng.random() < 0.7 else rng.choice(ends)]
    else:
        n = rng.choice((len(body), 0, len(body) - 1, len(body) + 9, 10**18, -1))
        lines.append(f"content-length: {n}")
        if act == 5:
            lines.append(f"content-length: {len(body)}")
        elif act == 6:
            lines.append(f"content-encoding: {rng.choice(('gzip', 'deflate', 'br', 'zstd', 'x'))}")
            body = rng.choice((gzip.compress(body), gzip.compress(b" " * 2**27 + body), body))
            lines[-2] = f"content-length: {len(body)}"
        elif act == 7:
            lines.append(rng.choice(("x: " + "a" * 200_000, "no colon", "\x00: x", ": x", "x:\x01", "set-cookie: a")))
        elif act == 8:
            first = "HTTP/1.1 100 Continue\r\n\r\n" * rng.choice((1, 3, 500)) + first
        cut = sorted(rng.randrange(len(body) + 1) for _ in range(rng.choice((0, 1, 9))))
        sent = [body[a:b] for a, b in zip([0, *cut], [*cut, len(body)], strict=True)]
    head = "\r\n".join([first, *lines]).encode("utf-8", "surrogatepass") + b"\r\n\r\n"
    return [head, *sent] if rng.random() < 0.7 else [bytes([byte]) for byte in head] + sent


@cache
def odd_server() -> OddServer:
    """Start the server in the process that asks first; it ends with it."""
    openai_session.FIRST_WAIT_SECONDS, openai_session.LONGEST_WAIT_SECONDS = 0.01, 0.05
    return OddServer().__enter__()


def ask_server(rng: random.Random, folder: Path) -> None:
    """Ask for two answers, the first replies to which are made here; then with a healed server again."""
    server = odd_server()
    first = rng.randrange(2**40)
    chat = rng.random() < 0.5
    request = {"seed": first} | ({"messages": []} if chat else {})
    body = odd_json(rng, good_body(request))
    data = json_text(body).encode("utf-8", "surrogatepass")
    if rng.random() < 0.3:
        data = odd_bytes(rng, data)
    status = rng.choice((200, 200, 200, 200, 201, 204, 301, 400, 401, 404, 413, 418, 429, 500, 503, 599))
    headers = rng.choice(({}, {}, {"retry-after": "0"}, {"retry-after": "x"}, {"retry-after": "-1"}, {"location": "/"}))
    if rng.random() < 0.3:
        content = rng.choice(("application/json", "text/html", "\x1b[31m", "application/json; charset=x"))
        headers = {**headers, "content-type": content}
    server.reply = status, headers, data
    server.wire = wire_of(rng, status, headers, data) if rng.random() < 0.4 else None
    if rng.random() < 0.3:
        server.models = odd_bytes(rng, json_text(odd_json(rng, _models())).encode("utf-8", "surrogatepass"))
    else:
        server.models = _models()
    asks = [AttemptRequest(f"q{i}/0/0", Prompt((3, 4, 5), (("user", "1+1?"),)), first + i) for i in range(2)]
    ledger = folder / "requests.jsonl"
    try:
        _answers(server, asks, ledger, chat=chat, seconds=2.0)
    except ReliftError as error:
        assert len(str(error).splitlines()) == 1, str(error)
    server.models = _models()
    server.visits, visits = 0, server.visits
    try:
        replies = _answers(server, asks, ledger, chat=chat, seconds=120.0)
    except ReliftError as error:
        raise AssertionError(f"nothing goes on after the server is well: {error}") from None
    finally:
        server.visits = visits
    assert len(replies) == 2
    contents = read_ledger(ledger)
    assert contents.damaged_lines == [] and not contents.torn
    pd.DataFrame({"text": [reply.text for reply in replies]}).to_json()  # no lone surrogate
    for reply in replies:
        assert 0 <= reply.n_tokens <= 64 and (reply.sum_logprob is None or math.isfinite(reply.sum_logprob))


def _models() -> dict[str, Any]:
    return {"data": [{"id": "tiny", "owned_by": "vllm", "max_model_len": 100}]}


def _answers(server: FlakyServer, asks: list[AttemptRequest], ledger: Path, *, chat: bool, seconds: float) -> list[Any]:
    """Ask, with so many seconds for an answer, and a quarter of them for one try."""
    options = OpenAIOptions(
        base_url=server.base_url, api="chat" if chat else "completions", concurrency=2, timeout_seconds=seconds / 4,
        deadline_seconds=seconds,
    )  # fmt: skip
    engine = OpenAIAnswers("tiny", options)
    engine.ledger = ledger
    with engine:
        return [reply for _, reply in sorted(engine.stream(asks, Sampling(max_tokens=64)), key=lambda pair: pair[0])]
