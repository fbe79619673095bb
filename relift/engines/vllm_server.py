"""Speak to vLLM's own server beyond OpenAI's protocol: requests that persist, and log-probabilities of given tokens."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from relift.engines.http_client import HttpClient, base_url_of, shown_url
from relift.engines.openai_replies import Rejected, Retryable, shown
from relift.errors import EngineFailed, InputError

LONGEST_WAIT_SECONDS = 30.0
CONTROL_SECONDS = 60.0  # of a request that makes no answer
SCORING_SECONDS = 1800.0  # of one text, its repetitions included
UNDER_WAY = 64  # texts that are scored at a time

OnEvent = Callable[[str], None]


async def persist(
    client: HttpClient,
    method: str,
    path: str,
    body: Mapping[str, Any] | None,
    *,
    seconds: float,
    where: str,
    on_event: OnEvent,
) -> Any:
    """Send until there is an answer or the deadline has passed, with waits that grow; give its JSON.

    `where` names the server. Raises Rejected, EngineFailed.
    """
    deadline, wait = time.monotonic() + seconds, 0.5
    while True:
        try:
            data = await client.send(method, path, body, seconds=max(deadline - time.monotonic(), 1.0))
            return json.loads(data) if data.strip() else {}
        except (ValueError, RecursionError):
            raise EngineFailed(f"{where}: {path} answered with no JSON") from None
        except Retryable as error:
            pause = min(error.after or wait, LONGEST_WAIT_SECONDS)
            if time.monotonic() + pause > deadline:
                raise EngineFailed(f"{where}: {path} gave no answer within {seconds:.0f} s: {error.reason}") from None
            on_event(f"{path}: {error.reason}; asked again in {pause:.0f} s")
            await asyncio.sleep(pause)
            wait *= 2


def prompt_logprobs_body(name: str, token_ids: Sequence[int]) -> dict[str, Any]:
    """Ask for the log-probability at temperature 1 of every token but the first; one more token has to be written."""
    return {"model": name, "prompt": list(token_ids), "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}


def prompt_logprobs(reply: Mapping[str, Any], token_ids: Sequence[int]) -> list[float]:
    """Read them in a reply, nats. Raises KeyError, IndexError, TypeError or ValueError where they are not in it."""
    places = zip(reply["choices"][0]["prompt_logprobs"][1:], token_ids[1:], strict=True)
    return [float(entry[str(token)]["logprob"]) for entry, token in places]


class ServerScores:
    """Log-probabilities of given tokens under the model that a vLLM server serves, at temperature 1.

    `option`: how the user named the address. `open` asks the server who it is.
    """

    def __init__(self, url: str, *, option: str, on_event: OnEvent = lambda line: None) -> None:
        self._url = base_url_of(url, option=option)
        self._where, self._on_event = f"{option}{shown_url(self._url)}", on_event
        self._name = ""

    def open(self, *, longest: int) -> str:
        """Ask for the model's name, and that it reads texts of so many tokens. Raises ReliftError."""
        model = asyncio.run(self._models())
        length = model.get("max_model_len")
        if isinstance(length, int) and length < longest + 1:  # a token is written behind
            raise InputError(
                f"{self._where}: it reads {length} tokens, and a prompt with its answer may have {longest}, and one "
                f"more is written: start it with --max-model-len {longest + 1}"
            )
        self._name = str(model["id"])
        return self._name

    async def _models(self) -> dict[str, Any]:
        async with HttpClient(self._url, None, connections=1) as client:
            try:
                reply = json.loads(await client.send("GET", "/models", None, seconds=CONTROL_SECONDS))
                model: dict[str, Any] = reply["data"][0]
                if model.get("owned_by") != "vllm":
                    raise InputError(f"{self._where}: no vLLM server, and no other tells log-probabilities of prompts")
            except (Retryable, Rejected) as error:
                raise InputError(f"{self._where}: no server that answers there: {error.reason}") from None
            except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
                raise InputError(f"{self._where}: what answers there is no vLLM server; is /v1 missing?") from None
            return model

    def score(self, texts: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[np.ndarray]:
        """Give the log-probabilities of the second part of each text behind its first, float32, nats.

        Raises EngineFailed for a server that does not answer in time, or not as it was asked.
        """
        return asyncio.run(self._score(texts))

    async def _score(self, texts: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[np.ndarray]:
        free = asyncio.Semaphore(UNDER_WAY)

        async def one(client: HttpClient, prompt_ids: Sequence[int], token_ids: Sequence[int]) -> np.ndarray:
            if not len(token_ids):
                return np.zeros(0, np.float32)
            whole = [*map(int, prompt_ids), *map(int, token_ids)]
            async with free:
                body = prompt_logprobs_body(self._name, whole)
                reply = await persist(
                    client, "POST", "/completions", body,
                    seconds=SCORING_SECONDS, where=self._where, on_event=self._on_event,
                )  # fmt: skip
            try:
                return np.array(prompt_logprobs(reply, whole)[len(prompt_ids) - 1 :], np.float32)
            except (KeyError, IndexError, TypeError, ValueError):
                raise EngineFailed(
                    f"{self._where}: a reply without the log-probabilities of the prompt (it said: "
                    f"{shown(json.dumps(reply).encode())})"
                ) from None

        async with HttpClient(self._url, None, connections=UNDER_WAY) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(one(client, prompt, tokens)) for prompt, tokens in texts]
            except BaseExceptionGroup as errors:
                first = errors.exceptions[0]
                if isinstance(first, Rejected):
                    raise EngineFailed(f"{self._where}: {first.reason}") from None
                raise first from None
        return [task.result() for task in tasks]
