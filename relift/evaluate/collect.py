"""The loop: asks for what is missing, grades what arrives meanwhile, and commits it in parts.

The engine works in the calling thread. A second thread, the recorder, grades and writes; nobody else does while it
lives. So an engine that is busy for minutes holds up neither grading nor the commits.
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
from relift.evaluate.parts import PartWriter, attempt_row
from relift.evaluate.plan import AskOf
from relift.evaluate.tally import Tally
from relift.grading import Grader, Submission
from relift.schema import Verdict

WARN_UNDECIDED = 0.02  # share of undecided verdicts that is worth a line
MAX_UNDECIDED = 0.20  # above this the scores would be the grader's failures: the run stops
LEAST_FOR_GUARD = 100  # verdicts before the run may be stopped midway; at its end any number counts
GRADED_AT_ONCE = 256


@dataclass(frozen=True)
class Commits:
    """When a part is committed: after so many answers, or after so many seconds, whichever comes first."""

    answers: int = 1_024
    seconds: float = 30.0


DEFAULT_COMMITS = Commits()


def collect(
    asks: Sequence[AskOf],
    *,
    answerer: Answerer,
    sampling: Sampling,
    grader: Grader,
    parts: PartWriter,
    tally: Tally,
    commits: Commits,
    on_change: Callable[[], None] = lambda: None,
) -> None:
    """Ask, grade, commit; returns when every answer is committed.

    Whatever ends it early (a signal, an engine that fails, a guard), what had arrived is graded and committed first.
    Raises ReliftError of the engine, StoreError, GuardStop when more than MAX_UNDECIDED of the verdicts of this place,
    earlier starts included, are undecided.
    """
    recorder = Recorder(asks, grader=grader, parts=parts, tally=tally, commits=commits, on_change=on_change)
    recorder.start()
    missing = set(range(len(asks)))
    try:
        for index, reply in answerer.stream([of.ask for of in asks], sampling):
            if index not in missing:
                raise ReliftError(f"the engine answered {_name(asks, index)} again, or was not asked it")
            missing.discard(index)
            recorder.put(index, reply)
            recorder.raise_failure()
    finally:
        recorder.finish()
    recorder.raise_failure()
    if missing:
        raise ReliftError(
            f"the engine left {len(missing)} of {len(asks)} answers out, first {_name(asks, min(missing))}; start the "
            "same command again to ask for them"
        )
    guard(recorder.rules, tally, least=1)


def _name(asks: Sequence[AskOf], index: int) -> str:
    return asks[index].ask.key if 0 <= index < len(asks) else f"number {index}"


def guard(rules: Counter[str], tally: Tally, *, least: int) -> None:
    """Raise GuardStop when too many verdicts are undecided."""
    if tally.answers < least or tally.undecided <= MAX_UNDECIDED * tally.answers:
        return
    common = ", ".join(f"{rule} {n}" for rule, n in rules.most_common(3)) or "of an earlier start"
    raise GuardStop(
        f"{tally.undecided} of {tally.answers} verdicts are undecided ({common}), the limit is {MAX_UNDECIDED:.0%}: "
        "mend the grader or the gold answers, then grade the answers that are kept again: relift regrade"
    )


class Recorder(threading.Thread):
    """Grades and commits in the background. `put` never waits; `finish` returns when all is graded and committed."""

    def __init__(
        self,
        asks: Sequence[AskOf],
        *,
        grader: Grader,
        parts: PartWriter,
        tally: Tally,
        commits: Commits,
        on_change: Callable[[], None],
    ) -> None:
        super().__init__(name="recorder", daemon=True)  # daemon: a second signal ends the process at once
        self._asks, self._grader, self._parts, self._tally = asks, grader, parts, tally
        self._commits, self._on_change = commits, on_change
        # A SimpleQueue, because a signal may strike inside `put`: a Queue could be left locked by that.
        self._inbox: SimpleQueue[tuple[int, Reply] | None] = SimpleQueue()
        self._failure: BaseException | None = None
        self._since = 0.0  # when the first answer that is not committed yet arrived
        self.rules: Counter[str] = Counter()  # of undecided verdicts

    def put(self, index: int, reply: Reply) -> None:
        self._inbox.put((index, reply))

    def finish(self) -> None:
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
        """What has arrived; waits for the first until a commit is due. False: there will be no more."""
        batch: list[tuple[int, Reply]] = []
        wait = max(0.0, self._since + self._commits.seconds - time.monotonic()) if self._parts.waiting else None
        room = min(GRADED_AT_ONCE, self._commits.answers)
        try:
            item = self._inbox.get(timeout=wait)
            while item is not None:
                batch.append(item)
                if len(batch) >= room:
                    return batch, True
                item = self._inbox.get_nowait()
        except Empty:
            return batch, True
        return batch, False

    def _grade(self, batch: Sequence[tuple[int, Reply]]) -> None:
        answered = [(self._asks[index], reply) for index, reply in batch]
        submissions = [submission_of(of, reply) for of, reply in answered]
        judgements = self._grader.judge(submissions)
        agreed = self._grader.agrees(submissions, judgements)
        rows = []
        for (of, reply), judgement, agrees in zip(answered, judgements, agreed, strict=True):
            if judgement.verdict is Verdict.undecided:
                self.rules[judgement.rule] += 1
            rows.append(attempt_row(of, reply, judgement, self._parts.place, agrees=agrees))
            self._tally.add(
                of.item.question_ix,
                of.attempt,
                verdict=str(judgement.verdict),
                finish=str(reply.finish),
                n_tokens=reply.n_tokens,
                answered=judgement.answer is not None,
            )
        if not self._parts.waiting:
            self._since = time.monotonic()
        self._parts.add(rows)


def submission_of(of: AskOf, reply: Reply) -> Submission:
    """What the grader is given of an answer."""
    question = of.item.question
    return Submission(
        question.answer,
        reply.text,
        reply.finish,
        kind=question.answer_kind,
        options=question.options,
        opened=of.item.prompt.thoughts_opened,
    )
