"""Make the requests of one stream, so many at a time, by an event loop in a thread of its own.

A request that fails is made again, after a wait that grows, within one deadline for the ask; what cannot be answered
is set aside, the others go on, and the end says so. Every answer is in the ledger (relift.store.ledger) before it is
handed out, so that a second start buys none twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from relift.engines.http_client import HttpClient
from relift.engines.openai_wire import PATHS, Bought, Dialect, Rejected, Retryable, read_body
from relift.engines.options import OpenAIOptions
from relift.engines.spending import Budget, Keeper, OutOfBudget, Reservation
from relift.engines.texts import AttemptRequest, Reply
from relift.engines.tokens import Sampling
from relift.errors import EngineFailed, GuardStop, ReliftError
from relift.schema import Finish
from relift.store.ledger import Ledger

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 60.0
TOKENS_OVER = 8  # that a server may count above max_tokens (an end token, special tokens)
MALFORMED_TRIES = 4  # replies with status 200 that are of no use may have been charged
_Event = tuple[int, Reply] | BaseException | None  # None: done


@dataclass(frozen=True)
class Job:
    """One ask on its way: its place among the asks, its request, its name in the ledger."""

    index: int
    ask: AttemptRequest
    body: dict[str, Any]
    name: tuple[str, str]  # key, hash of all that is asked


class Session:
    """The requests of one stream: an event loop in a thread, and a queue from it to whoever takes the answers."""

    def __init__(
        self,
        jobs: Sequence[Job],
        client: HttpClient,
        dialect: Dialect,
        sampling: Sampling,
        *,
        options: OpenAIOptions,
        budget: Budget,
        ledger: Ledger | None,
        count_tokens: Callable[[str], int] | None,
        on_event: Callable[[str], None],
    ) -> None:
        self.n_asks, self.jobs = len(jobs), iter(jobs)
        self.client, self.dialect, self.sampling = client, dialect, sampling
        self.options, self.budget, self.ledger = options, budget, ledger
        self.count_tokens, self.on_event = count_tokens, on_event
        self.events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self.failed: list[tuple[str, str]] = []  # key, reason
        self.rejected_in_a_row = self.answered = self.repeated = 0
        self.waits = random.Random(0)

    def run(self) -> Iterator[tuple[int, Reply]]:
        loop = asyncio.new_event_loop()
        task = loop.create_task(self._ask_all())

        def work() -> None:
            try:
                with contextlib.suppress(asyncio.CancelledError):
                    loop.run_until_complete(task)
            finally:
                loop.run_until_complete(loop.shutdown_default_executor())
                loop.close()

        thread = threading.Thread(target=work, name="relift-requests", daemon=True)
        thread.start()
        try:
            while (event := self.events.get()) is not None:
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended by itself
                loop.call_soon_threadsafe(task.cancel)
            thread.join()
        if self.failed:
            key, reason = self.failed[0]
            raise EngineFailed(
                f"{len(self.failed)} of {self.n_asks} asks got no answer; the first, {key}: {reason}; "
                "start again to ask for those alone"
            )

    async def _ask_all(self) -> None:
        """Ask for everything; ends with None in the queue, or with what went wrong."""
        try:
            self.budget.new_loop()
            async with Keeper(self.ledger) as self.keeper, self.client, asyncio.TaskGroup() as group:
                for _ in range(min(self.options.concurrency, self.n_asks)):
                    group.create_task(self._work())
        except* OutOfBudget as errors:
            what = str(errors.exceptions[0])
            self.events.put(
                GuardStop(f"{what}; {self.answered} of {self.n_asks} asks were answered; start again with more")
            )
        except* ReliftError as errors:
            self.events.put(errors.exceptions[0])
        except* Exception as errors:  # a mistake of ours: it must not leave the other thread waiting
            self.events.put(errors.exceptions[0])
        else:
            self.events.put(None)

    async def _work(self) -> None:
        for job in self.jobs:
            try:
                bought = await self._buy(job)
            except Rejected as error:
                self.failed.append((job.ask.key, error.reason))
                self.rejected_in_a_row += 1
                if error.for_all or self.rejected_in_a_row >= max(3, self.options.concurrency):
                    raise EngineFailed(f"the server refuses: {error.reason}") from None
                continue
            self.rejected_in_a_row = 0
            self.answered += 1
            self.events.put((job.index, bought.reply()))

    async def _buy(self, job: Job) -> Bought:
        """Buy one answer, in the ledger when this returns. Raises Rejected when there will be none."""
        begin = asyncio.get_running_loop().time()
        deadline = begin + self.options.deadline_seconds
        malformed = tries = 0
        while True:
            left = deadline - asyncio.get_running_loop().time()
            reservation = await self.budget.reserve(job.ask, self.sampling)
            try:
                if self.ledger is not None:
                    most = (reservation.prompt_tokens, reservation.completion_tokens)
                    self.ledger.note_sent(*job.name, most=most)
                path, seconds = PATHS[self.dialect.api], min(self.options.timeout_seconds, left)
                data = await self.client.send("POST", path, job.body, seconds=seconds)
                bought = self._counted(read_body(data, self.dialect, thoughts_opened=job.ask.prompt.thoughts_opened))
                await self.keeper.keep(job.name, bought)
                await self.budget.settle(reservation, bought)
                return bought
            except Retryable as error:
                await self._release(job, reservation, paid=error.paid)
                malformed += error.reason.startswith("status 200")
                wait = self._wait(tries, error)
                tries += 1
                out_of_time = asyncio.get_running_loop().time() + wait >= deadline
                if out_of_time or malformed >= MALFORMED_TRIES:
                    raise Rejected(f"given up after {tries} tries: {error.reason}") from None
                self.repeated += 1
                if self.repeated in (1, 10, 100, 1_000, 10_000):
                    self.on_event(f"{self.repeated} requests made again so far; {job.ask.key}: {error.reason}")
            except Rejected as error:
                await self._release(job, reservation, paid=error.paid)
                raise
            await asyncio.sleep(wait)

    async def _release(self, job: Job, reservation: Reservation, *, paid: bool) -> None:
        await self.budget.release(reservation, paid=paid)
        if self.ledger is not None and not paid:
            self.ledger.note_free(*job.name)

    def _wait(self, tries: int, error: Retryable) -> float:
        """Seconds before the next try: what the server asks for, else twice as long each time, with jitter."""
        grown = min(FIRST_WAIT_SECONDS * 2**tries, LONGEST_WAIT_SECONDS) * self.waits.uniform(0.5, 1.0)
        return grown if error.after is None else min(max(error.after, 0.05), LONGEST_WAIT_SECONDS)

    def _counted(self, bought: Bought) -> Bought:
        said = bought.completion_tokens
        if said is not None and said <= self.sampling.max_tokens + TOKENS_OVER:
            return bought
        if said is not None and self.count_tokens is None:
            raise Rejected(
                f"the server says an answer has {said} tokens, and {self.sampling.max_tokens} were asked for at most; "
                "name with --tokenizer the checkpoint whose tokenizer shall count",
                for_all=True,
                paid=True,
            )
        if self.count_tokens is None:
            raise Rejected(
                "the server does not say how many tokens an answer has (usage.completion_tokens); name with "
                "--tokenizer the checkpoint whose tokenizer shall count",
                for_all=True,
                paid=True,
            )
        n_tokens = self.count_tokens(bought.text) + (bought.finish is Finish.stop)
        return Bought(bought.text, bought.finish, bought.prompt_tokens, n_tokens)
