"""Bound what is spent on a server, and put answers on disk before they count."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Self

from relift.engines.openai_replies import Bought, row_of
from relift.engines.options import OpenAIOptions
from relift.engines.texts import AttemptRequest
from relift.engines.tokens import Sampling
from relift.errors import InputError, StoreError
from relift.store.ledger import Ledger


class OutOfBudget(Exception):
    """The next request could cost more than is left."""


@dataclass(frozen=True)
class Reservation:
    """The most that a request under way can cost."""

    prompt_tokens: int
    completion_tokens: int
    usd: float


class Budget:
    """Requests, tokens and money: what was spent by all starts of a run, and what requests under way may still cost.

    A request is made only if its worst case fits, so no budget is ever overrun by what the server says it charged.
    A request that was broken off may have been charged, and counts with its worst case.
    """

    def __init__(self, options: OpenAIOptions) -> None:
        self._max_requests, self._max_tokens = options.max_requests, options.max_completion_tokens
        self._max_usd = options.max_usd
        prices = (options.usd_per_million_prompt_tokens, options.usd_per_million_completion_tokens)
        if options.max_usd is not None and None in prices:
            raise InputError("a budget in dollars needs both prices, of a million prompt and of completion tokens")
        self._prompt_price, self._completion_price = ((price or 0.0) / 1e6 for price in prices)
        self.requests = self.completion_tokens = 0
        self.usd = 0.0
        self.new_loop()

    def new_loop(self) -> None:
        """Call in each event loop that spends from this budget; nothing of an earlier one is under way any more."""
        self._changed = asyncio.Condition()
        self._under_way = self._reserved_tokens = 0
        self._reserved_usd = 0.0

    def take_over(self, ledger: Ledger) -> None:
        """Count what earlier starts have spent; what nobody knows, as after a kill, with its worst case."""
        self.requests += ledger.n_sent
        for reply in ledger.replies:
            self._count(reply["prompt_tokens"], reply["n_tokens"])
        for prompt_tokens, completion_tokens in ledger.unsettled:
            self._count(prompt_tokens, completion_tokens)

    def _count(self, prompt_tokens: int, completion_tokens: int) -> None:
        self.completion_tokens += completion_tokens
        self.usd += prompt_tokens * self._prompt_price + completion_tokens * self._completion_price

    async def reserve(self, ask: AttemptRequest, sampling: Sampling) -> Reservation:
        """Wait until the request's worst case fits, and set it aside. Raises OutOfBudget if it never will."""
        characters = sum(len(content) for _, content in ask.prompt.turns or ())
        prompt = max(len(ask.prompt.token_ids), characters)  # no tokenizer makes more tokens than characters
        usd = prompt * self._prompt_price + sampling.max_tokens * self._completion_price
        wanted = Reservation(prompt, sampling.max_tokens, usd)
        async with self._changed:
            while (why := self._too_much(wanted)) is not None:
                if self._under_way == 0:
                    raise OutOfBudget(why)
                await self._changed.wait()  # what is under way may turn out cheaper than it could have been
            self.requests += 1
            self._move(wanted, +1)
        return wanted

    def _too_much(self, wanted: Reservation) -> str | None:
        if self._max_requests is not None and self.requests >= self._max_requests:
            return f"{self.requests} requests have been made, and max_requests is {self._max_requests}"
        tokens = self.completion_tokens + self._reserved_tokens + wanted.completion_tokens
        if self._max_tokens is not None and tokens > self._max_tokens:
            return (
                f"{self.completion_tokens} tokens have been bought, the next answer may take "
                f"{wanted.completion_tokens}, and max_completion_tokens is {self._max_tokens}"
            )
        if self._max_usd is not None and self.usd + self._reserved_usd + wanted.usd > self._max_usd:
            return (
                f"${self.usd:.4g} are spent, the next answer may cost ${wanted.usd:.4g}, and max_usd is {self._max_usd}"
            )
        return None

    def _move(self, reservation: Reservation, sign: int) -> None:
        self._under_way += sign
        self._reserved_tokens += sign * reservation.completion_tokens
        self._reserved_usd += sign * reservation.usd

    async def settle(self, reservation: Reservation, bought: Bought) -> None:
        """Count what an answered request did cost."""
        async with self._changed:
            self._move(reservation, -1)
            self._count(bought.prompt_tokens, bought.completion_tokens or 0)
            self._changed.notify_all()

    async def release(self, reservation: Reservation, *, paid: bool) -> None:
        """Count a request that failed; `paid`: it may have been charged."""
        async with self._changed:
            self._move(reservation, -1)
            if paid:
                self.completion_tokens += reservation.completion_tokens
                self.usd += reservation.usd
            self._changed.notify_all()


class Keeper:
    """Replies into the ledger from an event loop: those that wait share one fsync, in a thread of its own."""

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger
        self._waiting: list[tuple[tuple[str, str], Bought, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Write what has arrived, also when the others were called off."""
        if self._flushing is not None:
            await self._flushing

    async def keep(self, name: tuple[str, str], bought: Bought) -> None:
        """Put a reply on disk before returning. Raises StoreError."""
        if self._ledger is None:
            return
        kept = asyncio.get_running_loop().create_future()
        self._waiting.append((name, bought, kept))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush(self._ledger))
        await kept

    async def _flush(self, ledger: Ledger) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            replies = [(*name, row_of(bought)) for name, bought, _ in batch]
            try:
                await asyncio.get_running_loop().run_in_executor(None, ledger.keep, replies)
            except StoreError as error:
                for *_, kept in batch:
                    if not kept.done():
                        kept.set_exception(error)
            else:
                for *_, kept in batch:
                    if not kept.done():  # cancelled: nobody waits any more, the ledger has it
                        kept.set_result(None)
        self._flushing = None
