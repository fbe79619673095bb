"""Declare what evaluation asks of an engine: texts for prompts, as they arrive.

A model in this process, vLLM, a server and recorded answers all look like this. (Training needs tokens and
log-probabilities in order: tokens.py.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from relift.engines.tokens import Sampling
from relift.schema import Finish


@dataclass(frozen=True)
class Prompt:
    """One rendered prompt. `token_ids` is what the model reads, start token included once.

    `turns`: the same before the chat template, (role, text) each, for servers that take nothing else; None where the
    prompt is plain text. `thoughts_opened`: the template has already opened the thoughts, so the answer begins inside.
    """

    token_ids: tuple[int, ...]
    turns: tuple[tuple[str, str], ...] | None = None
    thoughts_opened: bool = False


@dataclass(frozen=True)
class AttemptRequest:
    """One attempt: a prompt, the seed of its random numbers, and a name that is the same in every start of a run
    (what a replay looks up and a ledger is keyed by): `<question_id>/<draw>/<attempt>`."""

    key: str
    prompt: Prompt
    seed: int  # 0 .. 2**63 - 1


@dataclass(frozen=True)
class Reply:
    """One answer as text, special tokens left out, thoughts included. `n_tokens` counts the end token. What an engine
    cannot know is None."""

    text: str
    finish: Finish
    n_tokens: int
    sum_logprob: float | None = None  # nats, at the sampling temperature
    mean_entropy: float | None = None  # nats
    prompt_tokens: int | None = None  # that a server charged


class Answerer(Protocol):
    """Answers asks one by one; a context manager, at whose end servers and processes are gone.

    An answer depends on weights, prompt, sampling and seed alone, not on the other asks or their order (of GPUs and
    of servers this cannot be promised; `describe` says so).

    `ledger`: file of the run where an engine that is charged for keeps what it asked and what it got; set before the
    engine is entered.
    """

    ledger: Path | None

    def check(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> None:
        """Raise InputError, one line, for what cannot be answered; before anything is spent."""
        ...

    def stream(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        """Yield (index into asks, reply) as answers are finished, in any order, each ask exactly once.

        Raises ReliftError, one line, when the engine fails for good; what was yielded before stays valid.
        """
        ...

    def describe(self) -> dict[str, object]:
        """Tell name, version, dtype, parallelism: everything of the engine that can change an answer. JSON values."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
