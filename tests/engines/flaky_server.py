"""A server of OpenAI's protocol on loopback that can misbehave, and counts what it has sold.

Each ask (told apart by its seed) meets one behaviour on its first visit, or on each, and is answered well afterwards.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Self

from relift.schema import Finish

GOOD = "good"


def answer_to(seed: int) -> str:
    return f"answer {seed}"


def good_body(request: dict[str, Any], **changes: Any) -> dict[str, Any]:
    text = answer_to(request["seed"])
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    choice |= {"message": {"role": "assistant", "content": text}} if "messages" in request else {"text": text}
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    return {"id": "x", "object": "x", "choices": [choice], "usage": usage} | changes


# Replies as (status, headers, body); what is no reply at all stands in FlakyServer._misbehave.
MadeReply = Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]]
REPLIES: dict[str, MadeReply] = {
    "rate limited, soon": lambda r: (429, {"retry-after": "0.05"}, b'{"error": "slow down"}'),
    "rate limited, in an hour": lambda r: (429, {"retry-after": "3600"}, b"{}"),
    "server error": lambda r: (500, {}, b"Traceback"),
    "overloaded": lambda r: (503, {}, b""),
    "html": lambda r: (200, {"content-type": "text/html"}, b"<html><b>gateway</b></html>"),
    "empty object": lambda r: (200, {}, b"{}"),
    "choices null": lambda r: (200, {}, json.dumps(good_body(r, choices=None)).encode()),
    "an error with status 200": lambda r: (200, {}, b'{"error": {"message": "overloaded"}}'),
    "truncated json": lambda r: (200, {}, json.dumps(good_body(r)).encode()[:-20]),
    "no text": lambda r: (200, {}, json.dumps(good_body(r, choices=[{"finish_reason": "stop"}])).encode()),
}
SILENT = ("hangs", "drips", "closes", "cuts the body", "resets")


def _ending(request: dict[str, Any], reason: str | None, **changes: Any) -> tuple[int, dict[str, str], bytes]:
    choice = good_body(request)["choices"][0] | {"finish_reason": reason} | changes
    return 200, {}, json.dumps(good_body(request, choices=[choice])).encode()


# Seen of public servers: replies that are the outcome of their question, with the text and ending that they stand for
# (None: the good one's), and replies after which another try helps.
OUTCOMES: dict[str, tuple[Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]], str | None, Finish]] = {
    "content null": (lambda r: _ending(r, "stop", text=None), "", Finish.stop),
    "filtered": (lambda r: _ending(r, "content_filter", text=""), "", Finish.refused),
    "filtered midway": (lambda r: _ending(r, "RECITATION"), None, Finish.refused),
    "filtered with status 400": (
        lambda r: (400, {}, b'{"error": {"code": "content_filter", "message": "filtered"}}'), "", Finish.refused
    ),
    "end of turn": (lambda r: _ending(r, "end_turn"), None, Finish.stop),
    "context full": (lambda r: _ending(r, "model_context_window_exceeded"), None, Finish.length),
    "unheard-of ending": (lambda r: _ending(r, "tired"), None, Finish.refused),
}  # fmt: skip
REPLIES |= {
    "a status of its own": lambda r: (200, {}, b'{"status": "FAILED", "error": "err.supplier_error"}'),
    "no resources": lambda r: _ending(r, "insufficient_system_resource"),
    "no reason": lambda r: _ending(r, None),
}
BEHAVIOURS = (GOOD, *REPLIES, *SILENT, *OUTCOMES)


class FlakyServer:
    """A context manager. `behaviour_of(seed)` names what an ask meets on its first `visits` visits."""

    def __init__(
        self,
        behaviour_of: Callable[[int], str] = lambda seed: GOOD,
        *,
        visits: float = 1,
        models: dict[str, Any] | bytes | int | None = None,
        body: Callable[[dict[str, Any]], dict[str, Any]] = good_body,
        delay_seconds: float = 0.0,
        replies: Mapping[str, MadeReply] = REPLIES,
    ) -> None:
        self.replies = replies
        self.behaviour_of, self.visits, self.body, self.delay_seconds = behaviour_of, visits, body, delay_seconds
        self.models = {"data": [{"id": "tiny", "owned_by": "vllm", "max_model_len": 100}]} if models is None else models
        self.asked: Counter[int] = Counter()  # visits, by seed
        self.sold: Counter[int] = Counter()  # good answers delivered whole, by seed
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.under_way = self.most_under_way = 0

    def __enter__(self) -> Self:
        started = threading.Event()
        self._loop = asyncio.new_event_loop()

        async def serve() -> None:
            self._tasks: set[asyncio.Task[None]] = set()
            self._stop = asyncio.Event()
            server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            await self._stop.wait()
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        def run() -> None:
            self._loop.run_until_complete(serve())
            self._loop.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close every connection and listen no more."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *lines = head.split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (each.partition(":") for each in lines if each)}
        data = await reader.readexactly(int(headers.get("content-length", 0)))
        path = line.split()[1]
        request = json.loads(data) if data else {}
        self.requests.append((path, headers, request))
        if "seed" not in request:
            await self._send(writer, *self._about_itself(path))
            return True
        seed = request["seed"]
        self.asked[seed] += 1
        behaviour = self.behaviour_of(seed) if self.asked[seed] <= self.visits else GOOD
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.delay_seconds)
            if behaviour in SILENT:
                await self._misbehave(behaviour, writer, json.dumps(self.body(request)).encode())
                return False
            if behaviour in OUTCOMES:
                await self._send(writer, *OUTCOMES[behaviour][0](request))
                self.sold[seed] += 1
                return True
            if behaviour != GOOD:
                await self._send(writer, *self.replies[behaviour](request))
                return True
            await self._send(writer, 200, {}, json.dumps(self.body(request)).encode())
            self.sold[seed] += 1
            return True
        finally:
            self.under_way -= 1

    def _about_itself(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if path == "/version":
            return 200, {}, b'{"version": "0.1"}'
        if isinstance(self.models, int):
            return self.models, {}, b"not here"
        return 200, {}, self.models if isinstance(self.models, bytes) else json.dumps(self.models).encode()

    async def _send(
        self, writer: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes, *, length: int = 0
    ) -> None:
        headers = {"content-type": "application/json", "content-length": str(length or len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body)
        await writer.drain()

    async def _misbehave(self, behaviour: str, writer: asyncio.StreamWriter, body: bytes) -> None:
        if behaviour == "hangs":
            await asyncio.sleep(3600)
        elif behaviour == "drips":
            await self._send(writer, 200, {}, b"", length=len(body))
            for byte in body:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.1)
        elif behaviour == "cuts the body":
            await self._send(writer, 200, {}, body[:-10], length=len(body))
        elif behaviour == "resets":
            writer.transport.abort()
