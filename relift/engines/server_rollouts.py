"""Sample training answers with vLLM's own server: token ids over HTTP, weights by a folder that both see.

An Engine (relift/engines/tokens.py). The server is somebody else's process, on this host or another one; it is started
with VLLM_SERVER_DEV_MODE=1, which gives it the endpoint that loads new weights, and the folder is one that both see.
docs/scale.md has the command.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch

from relift.engines.checks import check_requests
from relift.engines.http_client import HttpClient, base_url_of, shown_url
from relift.engines.openai_replies import Rejected, shown
from relift.engines.probe import Score, compare_probe, probe_tokens, tolerance_of
from relift.engines.tokens import Completion, Request, Sampling
from relift.engines.vllm_server import CONTROL_SECONDS, persist, prompt_logprobs, prompt_logprobs_body
from relift.engines.weights_file import weights_file
from relift.errors import EngineFailed, InputError
from relift.schema import Finish

T = TypeVar("T")


@dataclass(frozen=True)
class ServerOptions:
    """Say which server it is and how to speak to it. `folder`: where weights are put, seen by both under one name."""

    url: str
    folder: Path
    dtype: str = "bfloat16"  # of the weights that are sent; the server converts to its own
    max_context: int | None = None
    concurrency: int = 256  # requests under way at a time
    deadline_seconds: float = 1800.0  # of one answer or publication, its repetitions included


class ServerRollouts:
    """Sample with a server, as an Engine. Use it in a `with`; the server is asked who it is then.

    `score` is asked at each publication for the learner's log-probabilities of a fixed text. `on_first` runs a function
    on one process of several and waits for it everywhere: one of them publishes, each checks.
    """

    def __init__(
        self,
        model_config: Any,
        options: ServerOptions,
        *,
        score: Score,
        on_first: Callable[[Callable[[], None]], None] = lambda act: act(),
        on_event: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._options, self._score, self._on_first, self._on_event = options, score, on_first, on_event
        self._url = base_url_of(options.url, option="server.url = ")
        self._root = self._url.removesuffix("/v1")
        if not options.folder.is_dir():
            raise InputError(f"server.folder = {options.folder}: no such folder; name one that the server sees too")
        text_config = model_config.get_text_config()
        self._vocab, self.max_context = int(text_config.vocab_size), options.max_context
        self._probe = probe_tokens(self._vocab, self.max_context)
        self._expected = np.zeros(0, np.float32)
        self._name, self._server = "", ""
        self._processed: bool | None = None  # its log-probabilities are those of the sampling temperature; not known
        self.policy_version = -1  # nothing was published

    def __enter__(self) -> Self:
        models = self._ask("GET", "/v1/models", None, seconds=CONTROL_SECONDS)["data"]
        self._server = self._ask("GET", "/version", None, seconds=CONTROL_SECONDS)["version"]
        self._name = models[0]["id"]
        length = models[0].get("max_model_len")
        if self.max_context is not None and length is not None and length < self.max_context:
            raise InputError(
                f"server.url = {shown_url(self._url)}: the server reads {length} tokens, the run needs "
                f"{self.max_context}; start it with --max-model-len {self.max_context}"
            )
        return self

    def __exit__(self, *exc: object) -> None:
        """Leave the server running."""

    def describe(self) -> dict[str, object]:
        """Tell name and version of the server; its own settings stand in its command alone."""
        return {"name": "server", "server": "vllm", "vllm": self._server, "max_context": self.max_context}

    def publish(self, state_dict: object, *, version: int) -> None:
        """Have the server load new weights, and check that it answers with them.

        Raises ReliftError for weights that are not finite, a server that cannot load them, or one that does not answer
        with them.
        """
        if not isinstance(state_dict, Mapping):
            raise EngineFailed(f"published weights are a {type(state_dict).__name__}; give a mapping of name to tensor")
        self._expected = np.asarray(self._score(self._probe), np.float32)
        self._on_first(lambda: self._send(state_dict))
        self.policy_version = version
        self._check()

    def _send(self, state_dict: Mapping[str, torch.Tensor]) -> None:
        dtype = getattr(torch, self._options.dtype)
        with weights_file(state_dict, dtype=dtype, folder=self._options.folder, every_name=True) as file:
            body = {"method": "reload_weights", "kwargs": {"weights_path": str(file.path.parent)}}
            try:
                self._ask("POST", "/collective_rpc", body, seconds=self._options.deadline_seconds)
            except Rejected as error:
                raise EngineFailed(
                    f"server.url = {shown_url(self._url)} cannot load new weights ({error.reason}): start vLLM with "
                    "VLLM_SERVER_DEV_MODE=1 in its environment, on a network that nobody else reaches"
                ) from None
        cleared = self._ask("POST", "/reset_prefix_cache", None, seconds=CONTROL_SECONDS)
        if not cleared.get("success", True):
            raise EngineFailed(f"server.url = {shown_url(self._url)} is at work for somebody else: give it to this run")

    def _check(self) -> None:
        """Compare the probe: the server may have been started again, and would then answer with its old weights."""
        got = np.array(self._logprobs_of(self._probe), np.float32)
        compare_probe(got, self._expected, tolerance=tolerance_of(self._options.dtype), version=self.policy_version)

    def _logprobs_of(self, token_ids: Sequence[int]) -> list[float]:
        """Ask for the log-probability at temperature 1 of every token but the first."""
        body = prompt_logprobs_body(self._name, token_ids)
        return prompt_logprobs(self._ask("POST", "/v1/completions", body, seconds=CONTROL_SECONDS), token_ids)

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[list[Completion]]:
        """Answer in the order of requests and seeds. A request that fails is made again until its deadline.

        Log-probabilities as VLLMRollouts gives them. Raises InputError before any work for what cannot be answered,
        ReliftError for a server that fails, or that answers with other weights than were published.
        """
        check_requests(requests, sampling, vocab=self._vocab, max_context=self.max_context)
        if not any(request.seeds for request in requests):
            return [[] for _ in requests]
        if self.policy_version < 0:
            raise ValueError("publish weights first")
        if sampling.temperature not in (0.0, 1.0):
            self._require_processed()
        answers = asyncio.run(self._answer(requests, sampling, on_progress))
        self._check()
        return answers

    def _require_processed(self) -> None:
        """Refuse a server whose log-probabilities are those of temperature 1 whatever the temperature is."""
        if self._processed is None:
            prompt, n = list(self._probe[:-8]), 8
            (answer,) = asyncio.run(self._answer([Request(tuple(prompt), (1,))], Sampling(n, 0.5), None))[0]
            plain = self._logprobs_of([*prompt, *answer.token_ids_T.tolist()])[len(prompt) - 1 :]
            self._processed = not np.allclose(answer.logprobs_T, plain, atol=1e-6)
        if not self._processed:
            raise InputError(
                f"server.url = {shown_url(self._url)} tells log-probabilities of temperature 1 alone: start it with "
                "--logprobs-mode processed_logprobs"
            )

    async def _answer(
        self, requests: Sequence[Request], sampling: Sampling, on_progress: Callable[[int, int], None] | None
    ) -> list[list[Completion]]:
        free = asyncio.Semaphore(self._options.concurrency)
        n_done, n_tokens = 0, 0

        async def one(client: HttpClient, prompt_ids: tuple[int, ...], seed: int) -> Completion:
            nonlocal n_done, n_tokens
            async with free:
                body = request_body(self._name, prompt_ids, seed, sampling)
                reply = await self._persist(client, "POST", "/v1/completions", body, self._options.deadline_seconds)
            answer = self._completion(reply, seed, sampling)
            n_done, n_tokens = n_done + 1, n_tokens + len(answer.token_ids_T)
            if on_progress is not None:
                on_progress(n_done, n_tokens)
            return answer

        async with HttpClient(self._root, None, connections=self._options.concurrency) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    rows = [[group.create_task(one(client, r.prompt_ids, seed)) for seed in r.seeds] for r in requests]
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
        return [[task.result() for task in row] for row in rows]

    def _completion(self, reply: Mapping[str, Any], seed: int, sampling: Sampling) -> Completion:
        """Read the answer in a reply and check it."""
        try:
            choice = reply["choices"][0]
            token_ids_T = np.array(choice["token_ids"], np.int32)
            logprobs_T = np.array(choice["logprobs"]["token_logprobs"], np.float32)
        except (KeyError, IndexError, TypeError, ValueError):
            raise EngineFailed(
                f"server.url = {shown_url(self._url)}: a reply without token_ids and log-probabilities; it must be "
                f"vLLM 0.10.2 or later (it said: {shown(json.dumps(reply).encode())})"
            ) from None
        n, stopped = len(token_ids_T), len(token_ids_T) > 0 and int(token_ids_T[-1]) in sampling.stop_token_ids
        inside = n > 0 and 0 <= token_ids_T.min() and token_ids_T.max() < self._vocab
        if (
            not inside
            or len(logprobs_T) != n
            or not (n == sampling.max_tokens or (stopped and n < sampling.max_tokens))
        ):
            raise EngineFailed(f"server.url = {shown_url(self._url)} answered not as it was asked")
        if not np.isfinite(logprobs_T).all():
            raise EngineFailed(
                f"the server gave a log-probability that is not finite with version {self.policy_version}"
            )
        if sampling.temperature > 0 and (sampling.top_p < 1 or sampling.top_k != -1):
            logprobs_T = np.full_like(logprobs_T, np.nan)
        return Completion(token_ids_T, logprobs_T, Finish.stop if stopped else Finish.length, None, seed)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None, *, seconds: float) -> Any:
        """Ask once and read the JSON of the reply. Raises Rejected, ReliftError."""

        async def once() -> Any:
            async with HttpClient(self._root, None, connections=1) as client:
                return await self._persist(client, method, path, body, seconds)

        return asyncio.run(once())

    async def _persist(
        self, client: HttpClient, method: str, path: str, body: Mapping[str, Any] | None, seconds: float
    ) -> Any:
        """Send until there is an answer or the deadline has passed, with waits that grow."""
        where = f"server.url = {shown_url(self._url)}"
        return await persist(client, method, path, body, seconds=seconds, where=where, on_event=self._on_event)


def request_body(name: str, prompt_ids: Sequence[int], seed: int, sampling: Sampling) -> dict[str, Any]:
    """Make the JSON of one request to /v1/completions, with every setting that concerns an answer."""
    return {
        "model": name,
        "prompt": list(prompt_ids),
        "n": 1,
        "max_tokens": sampling.max_tokens,
        "min_tokens": 0,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": 0.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "repetition_penalty": 1.0,
        "seed": seed if sampling.temperature > 0 else None,
        "stop_token_ids": list(sampling.stop_token_ids),
        "ignore_eos": True,
        "logprobs": 0,
        "return_token_ids": True,
        "stream": False,
    }
