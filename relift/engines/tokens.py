"""Declare what training asks of an engine: tokens and log-probabilities, in order. The torch sampler and vLLM do.

Axes: Q requests, G attempts of each, T tokens of an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from relift.schema import Finish


@dataclass(frozen=True)
class Sampling:
    """Tell how tokens are drawn. Every field is explicit: no engine fills one in."""

    max_tokens: int
    temperature: float = 1.0  # 0 is greedy
    top_p: float = 1.0
    top_k: int = -1  # -1: off
    stop_token_ids: tuple[int, ...] = ()  # an answer ends with one of these, which belongs to it
    stop: tuple[str, ...] = ()  # texts that end an answer and do not belong to it; for Answerers (answering.py) only


@dataclass(frozen=True)
class Request:
    """One question to be answered G times: the rendered prompt as token ids, and one seed for each attempt."""

    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]  # length G, each in 0 .. 2**63 - 1


@dataclass(frozen=True)
class Completion:
    """One answer. `token_ids_T` holds the stop token if finish is stop; `logprobs_T` are natural logarithms of the
    probabilities at the sampling temperature, before top-p and top-k; `mean_entropy` is in nats, of the same
    distributions."""

    token_ids_T: np.ndarray  # int32
    logprobs_T: np.ndarray  # float32
    finish: Finish
    mean_entropy: float | None
    seed: int


class Engine(Protocol):
    """Answers requests in order: result[q][g] belongs to requests[q].seeds[g].

    An answer depends on the weights, the prompt, the sampling and its seed, and on nothing else: not on the order
    of the requests, on the other rows, or on how many processes share the work.
    """

    @property
    def policy_version(self) -> int:
        """Give the version of the weights that answer now."""
        ...

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        *,
        on_progress: Callable[[int, int], None] | None = None,  # (answers finished, tokens generated so far)
    ) -> list[list[Completion]]: ...

    def publish(self, state_dict: object, *, version: int) -> None:
        """Take new weights (name -> tensor, all entries, `lm_head.weight` also when tied) as this version."""
        ...

    def describe(self) -> dict[str, object]:
        """Tell name, version, dtype and what else can change an answer; goes to run.json."""
        ...
