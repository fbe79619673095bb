"""Answers from any server that speaks OpenAI's protocol: vLLM's and SGLang's own, or a provider.

Here: what the server is, what may be asked of it, and answers that were bought before. How requests are made stands in
openai_session.py, what is said in them in openai_wire.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from relift.engines.checks import check_asks
from relift.engines.http_client import HttpClient, base_url_of, host_of, read_key
from relift.engines.openai_replies import Rejected, Retryable
from relift.engines.openai_session import Job, Session
from relift.engines.openai_wire import (
    CHAT,
    COMPLETIONS,
    KNOWN,
    SEED_BITS,
    Dialect,
    request_body,
    require_omittable,
    sent_body,
)
from relift.engines.options import OpenAIOptions
from relift.engines.spending import Budget
from relift.engines.texts import AttemptRequest, Reply
from relift.engines.tokens import Sampling
from relift.errors import InputError
from relift.fingerprints import digest
from relift.schema import Finish
from relift.store.ledger import Ledger

PROBE_SECONDS = 10.0


class OpenAIAnswers:
    """An Answerer (answering.py) that asks a server for the model of this name.

    The first of `check`, `describe` and `__enter__` asks the server what it is and what it serves; raises InputError
    when nobody answers, or not with this model. `count_tokens`: for servers that do not say how long an answer was.
    """

    def __init__(
        self,
        model: str,
        options: OpenAIOptions,
        *,
        count_tokens: Callable[[str], int] | None = None,
        on_event: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._model, self._options, self._on_event = model, options, on_event
        self._count_tokens = count_tokens
        self._base_url = base_url_of(options.base_url)
        self._key = read_key(options.api_key_env)
        if options.api not in ("auto", COMPLETIONS, CHAT):
            raise InputError(f"--engine-option api={options.api}: use auto, {COMPLETIONS} or {CHAT}")
        if options.concurrency < 1:
            raise InputError(
                f"--engine-option concurrency={options.concurrency}: at least one request must be under way"
            )
        require_omittable(options.omit, options.length_field)
        self.ledger: Path | None = None
        self._server: dict[str, Any] | None = None
        self._ledger: Ledger | None = None
        self._session: Session | None = None
        self._stopped = False
        self._budget = Budget(options)

    def __enter__(self) -> Self:
        self._ask_server()
        if self.ledger is not None:
            self._ledger = Ledger(self.ledger, on_event=self._on_event)
            self._budget.take_over(self._ledger)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def check(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> None:
        server, dialect = self._ask_server(), self._dialect()
        check_asks(
            asks,
            sampling,
            vocab=None,
            max_context=server["max_model_len"],
            ids_needed=dialect.api == COMPLETIONS,
        )
        if dialect.api == CHAT and any(ask.prompt.turns is None for ask in asks):
            raise InputError(
                "this server is asked in turns, and the prompts are plain text; use --engine-option api=completions"
            )
        if sampling.top_k != -1 and not dialect.known:
            raise InputError("top_k is set, and this server is not known to take it; leave it out")

    def describe(self) -> dict[str, object]:
        """Tell what the server says of itself; its weights and kernels are its own, so equal texts are not promised."""
        server, dialect = self._ask_server(), self._dialect()
        omitted = {"omitted": sorted(dialect.omit)} if dialect.omit else {}  # of older runs nothing was
        return {
            "name": "openai",
            "host": host_of(self._base_url),
            "api": dialect.api,
            "server": server["owner"],
            "version": server["version"],
            "model": self._model,
            "seed_bits": 63 if dialect.known else SEED_BITS,
            "thinking": list(dialect.thinking) if dialect.api == CHAT else None,
            **omitted,
        }

    def _dialect(self) -> Dialect:
        known = self._ask_server()["owner"] in KNOWN
        api = self._options.api
        if api == "auto":
            api = COMPLETIONS if known and self._options.tokenizer is not None else CHAT
        options = self._options
        return Dialect(self._model, api, known, options.thinking, options.omit, options.length_field)

    def _ask_server(self) -> dict[str, Any]:
        """Owner and version of the server, and the longest context of the model, where it says so; asked once."""
        if self._server is None:
            with ThreadPoolExecutor(1) as thread:  # a notebook has an event loop in this one already
                self._server = thread.submit(asyncio.run, self._probe()).result()
        return self._server

    async def _probe(self) -> dict[str, Any]:
        where = f"--base-url {self._base_url}"
        async with HttpClient(self._base_url, self._key, connections=1) as client:
            try:
                models = json.loads(await client.send("GET", "/models", None, seconds=PROBE_SECONDS))["data"]
                by_name = {str(model["id"]): model for model in models}
            except Rejected as error:
                if "status 404" not in error.reason and "status 405" not in error.reason:
                    raise InputError(f"{where}: {error.reason}") from None
                return {"owner": None, "version": None, "max_model_len": None}  # a provider without a list
            except Retryable as error:
                raise InputError(f"{where}: no server that answers there: {error.reason}") from None
            except (ValueError, KeyError, TypeError):
                raise InputError(
                    f"{where}: what answers there does not speak OpenAI's protocol; is /v1 missing?"
                ) from None
            if self._model not in by_name:
                raise InputError(f"{where}: no model {self._model!r} there; it serves {', '.join(sorted(by_name)[:8])}")
            model = by_name[self._model]
            owner, length = model.get("owned_by"), model.get("max_model_len")
            return {
                "owner": owner if isinstance(owner, str) else None,
                "version": await self._version(client) if owner == "vllm" else None,
                "max_model_len": length if isinstance(length, int) else None,
            }

    async def _version(self, client: HttpClient) -> str | None:
        root = HttpClient(self._base_url.removesuffix("/v1"), self._key, connections=1)
        async with root:
            with contextlib.suppress(Retryable, Rejected, ValueError, KeyError, TypeError):
                return str(json.loads(await root.send("GET", "/version", None, seconds=PROBE_SECONDS))["version"])
        return None

    def stream(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        """Answers as they come; those of the ledger first. Raises GuardStop when a budget is spent."""
        self.check(asks, sampling)
        dialect = self._dialect()
        bodies = [request_body(ask, sampling, dialect) for ask in asks]
        where = [host_of(self._base_url), dialect.api, *([sorted(dialect.omit)] if dialect.omit else [])]
        names = [(ask.key, digest([*where, body])) for ask, body in zip(asks, bodies, strict=True)]
        todo = []
        for i, name in enumerate(names):
            kept = None if self._ledger is None else self._ledger.reply(*name)
            if kept is None or not isinstance(kept["n_tokens"], int) or kept["n_tokens"] >= 2**31:  # of an older relift
                todo.append(i)
            else:
                yield (
                    i,
                    Reply(kept["text"], Finish(kept["finish"]), kept["n_tokens"], prompt_tokens=kept["prompt_tokens"]),
                )
        if todo:
            self._session = Session(
                [Job(i, asks[i], sent_body(bodies[i], dialect), names[i]) for i in todo],
                HttpClient(self._base_url, self._key, connections=self._options.concurrency),
                dialect,
                sampling,
                options=self._options,
                budget=self._budget,
                ledger=self._ledger,
                count_tokens=self._count_tokens,
                on_event=self._on_event,
                is_vllm=self._ask_server()["owner"] == "vllm",
            )
            if not self._stopped:
                yield from self._session.run()

    def stop(self) -> None:
        """End the stream that another thread reads from, and all later ones: what is under way is broken off."""
        self._stopped = True
        if self._session is not None:
            self._session.stop()
