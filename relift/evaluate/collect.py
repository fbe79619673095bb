"""Ask for missing attempts, grade answers as they arrive, and commit them in parts.

The engine works in the calling thread. A second thread grades and writes; nobody else does while it lives. So an
engine that is busy for minutes holds up neither grading nor the commits.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from relift.engines.texts import Answerer, Reply
from relift.engines.tokens import Sampling
from relift.errors import GuardStop, ReliftError
from relift.evaluate.opened_thoughts import OpenedThoughts
from relift.evaluate.parts import PartWriter, answer_row
from relift.evaluate.plan import PlannedAttempt
from relift.evaluate.tally import Tally
from relift.grading import Grader, Submission
from relift.schema import MAX_UNDECIDED, Verdict

LEAST_FOR_GUARD = 100  # verdicts before the run may be stopped midway; at its end any number counts
GRADED_AT_ONCE = 256


@dataclass(frozen=True)
class Commits:
    """The number of answers and of seconds after which a part is committed, whichever comes first."""

    answers: int = 1_024
    seconds: float = 30.0


DEFAULT_COMMITS = Commits()


def collect(
    attempts: Sequence[PlannedAttempt],
    *,
    answerer: Answerer,
    sampling: Sampling,
    grader: Grader,
    parts: PartWriter,
    tally: Tally,
    commits: Commits,
    thoughts: OpenedThoughts | None = None,
    on_change: Callable[[], None] = lambda: None,
) -> None:
    """Ask, grade, commit; returns when every answer is committed. `thoughts`: for prompts that a server writes.

    Whatever ends it early (a signal, an engine that fails, a guard), what had arrived is graded and committed first.
    Raises ReliftError of the engine, StoreError, GuardStop when more than MAX_UNDECIDED of the verdicts of this
    destination, earlier starts included, are undecided.
    """
    thread = GradingThread(
        attempts, grader=grader, parts=parts, tally=tally, commits=commits, thoughts=thoughts, on_change=on_change
    )
    thread.start()
    missing = set(range(len(attempts)))
    try:
        for index, reply in answerer.stream([planned.request for planned in attempts], sampling):
            if index not in missing:
                raise ReliftError(f"the engine answered {_name(attempts, index)} again, or was not asked it")
            missing.discard(index)
            thread.put(index, reply)
            thread.raise_failure()
    except BaseException:
        thread.finish(complete=False)
        raise
    thread.finish(complete=True)
    thread.raise_failure()
    if missing:
        raise ReliftError(
            f"the engine left {len(missing)} of {len(attempts)} answers out, first {_name(attempts, min(missing))}; "
            "start the same command again to ask for them"
        )
    guard(thread.rules, tally, least=1)


def _name(attempts: Sequence[PlannedAttempt], index: int) -> str:
    return attempts[index].request.key if 0 <= index < len(attempts) else f"number {index}"


def guard(rules: Counter[str], tally: Tally, *, least: int) -> None:
    """Raise GuardStop when too many verdicts are undecided."""
    if tally.answers < least or tally.undecided <= MAX_UNDECIDED * tally.answers:
        return
    common = ", ".join(f"{rule} {n}" for rule, n in rules.most_common(3)) or "of an earlier start"
    raise GuardStop(
        f"{tally.undecided} of {tally.answers} verdicts are undecided ({common}), the limit is {MAX_UNDECIDED:.0%}: "
        "mend the grader or the gold answers, then grade the answers that are kept again: relift regrade"
    )


class GradingThread(threading.Thread):
    """Grade and commit in the background. `put` never waits; `finish` returns when all is graded and committed.

    `finish(complete=False)` leaves out answers of which nobody knows yet whether they are thoughts: they are asked for
    again, which costs nothing where a ledger keeps them.
    """

    def __init__(
        self,
        attempts: Sequence[PlannedAttempt],
        *,
        grader: Grader,
        parts: PartWriter,
        tally: Tally,
        commits: Commits,
        thoughts: OpenedThoughts | None,
        on_change: Callable[[], None],
    ) -> None:
        super().__init__(name="grading", daemon=True)  # daemon: a second signal ends the process at once
        self._attempts, self._grader, self._parts, self._tally = attempts, grader, parts, tally
        self._commits, self._on_change = commits, on_change
        self._thoughts, self._complete = thoughts, False
        # A SimpleQueue, because a signal may strike inside `put`: a Queue could be left locked by that.
        self._inbox: SimpleQueue[tuple[int, Reply] | None] = SimpleQueue()
        self._failure: BaseException | None = None
        self._since = 0.0  # when the first answer that is not committed yet arrived
        self.rules: Counter[str] = Counter()  # of undecided verdicts

    def put(self, index: int, reply: Reply) -> None:
        self._inbox.put((index, reply))

    def finish(self, *, complete: bool) -> None:
        self._complete = complete
        self._inbox.put(None)
        self.join()

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def run(self) -> None:
        try:
            more = True
            while more:
                batch, more = self._take()
                if self._thoughts is not None:
                    batch = self._thoughts.sort(batch)
                    batch += [] if more else self._thoughts.settle(complete=self._complete)
                if batch:
                    self._grade(batch)
                if not more or self._due():
                    self._parts.commit()
                    self._since = time.monotonic()
                    guard(self.rules, self._tally, least=LEAST_FOR_GUARD)
                self._on_change()
        except BaseException as error:  # noqa: B036 - handed to the main thread, which raises it
            self._failure = error

    def _due(self) -> bool:
        if self._parts.waiting >= self._commits.answers:
            return True
        return bool(self._parts.waiting) and time.monotonic() - self._since >= self._commits.seconds

    def _take(self) -> tuple[list[tuple[int, Reply]], bool]:
        """Take the answers that have arrived, waiting for the first until a commit is due; False: no more will come."""
        batch: list[tuple[int, Reply]] = []
        wait = max(0.0, self._since + self._commits.seconds - time.monotonic()) if self._parts.waiting else None
        room = min(GRADED_AT_ONCE, self._commits.answers)
        try:
            arrived = self._inbox.get(timeout=wait)
            while arrived is not None:
                batch.append(arrived)
                if len(batch) >= room:
                    return batch, True
                arrived = self._inbox.get_nowait()
        except Empty:
            return batch, True
        return batch, False

    def _grade(self, batch: Sequence[tuple[int, Reply]]) -> None:
        answered = [(self._attempts[index], reply) for index, reply in batch]
        opened = self._thoughts is not None and bool(self._thoughts.opened)
        submissions = [submission_of(planned, reply, opened=opened) for planned, reply in answered]
        judgements = self._grader.judge(submissions)
        agreed = self._grader.agrees(submissions, judgements)
        rows = []
        for (planned, reply), judgement, agrees in zip(answered, judgements, agreed, strict=True):
            if judgement.verdict is Verdict.undecided:
                self.rules[judgement.rule] += 1
            rows.append(answer_row(planned, reply, judgement, self._parts.destination, agrees=agrees))
            self._tally.add(
                planned.question.question_ix,
                planned.attempt,
                verdict=str(judgement.verdict),
                finish=str(reply.finish),
                n_tokens=reply.n_tokens,
                answered=judgement.answer is not None,
            )
        if not self._parts.waiting:
            self._since = time.monotonic()
        self._parts.add(rows)


def submission_of(planned: PlannedAttempt, reply: Reply, *, opened: bool = False) -> Submission:
    """Make what the grader is given of an answer. `opened`: the prompt opened thoughts, though nobody saw it here."""
    question = planned.question.question
    return Submission(
        question.answer,
        reply.text,
        reply.finish,
        kind=question.answer_kind,
        options=question.options,
        opened=opened or planned.question.prompt.thoughts_opened,
    )
