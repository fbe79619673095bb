"""Speak like vLLM's server in its development mode, without vLLM: weights by folder, token ids, log-probabilities.

The log-probability of a token is -(1 + sum of all weights) / (2 + token), divided by the temperature where `processed`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

VOCAB = 67


class Server(ThreadingHTTPServer):
    """Hold what it was told, and how it goes wrong: `failures` replies with status 503 first, `odd` changes a reply."""

    def __init__(self, *, development: bool, processed: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.development, self.processed = development, processed
        self.total, self.names = 0.0, set[str]()
        self.failures, self.odd = 0, dict[str, Any]()
        self.resets = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def logprob(self, token: int, temperature: float) -> float:
        return -(1 + self.total) / (2 + token) / (temperature if self.processed and temperature else 1.0)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path == "/version":
            self.reply(200, {"version": "0.0"})
        else:
            self.reply(200, {"data": [{"id": "tiny", "max_model_len": 128}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "{}")
        if self.server.failures:
            self.server.failures -= 1
            self.reply(503, {"error": "busy"})
        elif self.path == "/v1/completions":
            self.complete(body)
        elif not self.server.development:
            self.reply(404, {"detail": "Not Found"})
        elif self.path == "/collective_rpc":
            tensors = load_file(Path(body["kwargs"]["weights_path"]) / "model.safetensors")
            self.server.total, self.server.names = sum(float(t.sum()) for t in tensors.values()), set(tensors)
            self.reply(200, {"results": [None]})
        else:
            self.server.resets += 1
            self.reply(200, {"success": True})

    def complete(self, body: dict[str, Any]) -> None:
        prompt, seed = body["prompt"], body.get("seed")
        ids: list[int] = []
        while len(ids) < body["max_tokens"] and (not ids or ids[-1] not in body.get("stop_token_ids", ())):
            key = json.dumps([seed, prompt, len(ids)]).encode()
            ids.append(3 + int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big") % (VOCAB - 3))
        values = [self.server.logprob(token, body["temperature"]) for token in ids]
        choice: dict[str, Any] = {"token_ids": ids, "logprobs": {"token_logprobs": values}}
        if "prompt_logprobs" in body:
            told = [{str(token): {"logprob": self.server.logprob(token, 0)}} for token in prompt[1:]]
            choice["prompt_logprobs"] = [None, *told]
        else:
            choice |= self.server.odd
        self.reply(200, {"choices": [choice]})

    def reply(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def training_server(*, development: bool = True, processed: bool = True) -> Iterator[Server]:
    server = Server(development=development, processed=processed)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
