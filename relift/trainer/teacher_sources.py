"""Give demonstrations while training goes on: a server in a thread of its own, a person's file, the model itself."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from relift.engines.answer_text import writable
from relift.engines.texts import AttemptRequest, Reply
from relift.engines.tokens import Sampling
from relift.errors import EngineFailed, GuardStop, InputError, ReliftError, ServerGone
from relift.schema import Finish, question_id_of
from relift.store.files import DISK, write_atomic
from relift.trainer.answers import Answers
from relift.trainer.demos import Wanted
from relift.trainer.step import Item
from relift.trainer.teacher_online import Received

if TYPE_CHECKING:
    from relift.engines.openai import OpenAIAnswers

REST_SECONDS = 60.0  # after a server that failed, before it is asked again
Ask = tuple[int, int]  # question_ix, and which text of it: 0, 1, ...
# The evaluator's client names its options; here they are settings.
_SETTINGS = (
    ("--engine-option ", "teacher.online."),
    ("--base-url ", "teacher.online.url = "),
    ("--max-tokens ", "teacher.online.max_tokens = "),
)


def in_settings(error: ReliftError) -> str:
    """Say what the client says with the names of a configuration."""
    text = str(error)
    for option, setting in _SETTINGS:
        text = text.replace(option, setting)
    return text


class ServerSource:
    """Ask a server in the background; a context manager, to be entered when the run has its folder.

    Nothing is asked twice at a time, and what a run has paid for is in its ledger. A question that got no answer is
    told of and asked again after a rest, `tries` times in a launch; then it is received as a failure.
    """

    def __init__(
        self,
        answerer: OpenAIAnswers,
        sampling: Sampling,
        *,
        request: Callable[[int, int], AttemptRequest],
        tries: int,
        prices: tuple[float | None, float | None],
        warn: Callable[[str], None],
    ) -> None:
        self._answerer, self._sampling, self._request = answerer, sampling, request
        self._tries, self._prices, self._warn = tries, prices, warn
        self._todo: queue.SimpleQueue[list[Ask] | None] = queue.SimpleQueue()
        self._got: queue.SimpleQueue[Received | ReliftError] = queue.SimpleQueue()
        self._asked: set[Ask] = set()  # under way, answered, or failed for good
        self._failed: Counter[Ask] = Counter()
        self._told: set[str] = set()
        self._rest_until = 0.0
        self._spent = False
        self._thread = threading.Thread(target=self._work, name="relift-teacher", daemon=True)

    def __enter__(self) -> Self:
        self._answerer.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._todo.put(None)
        self._answerer.stop()
        self._thread.join()
        self._answerer.__exit__(*exc)

    def note(self, wanted: Mapping[int, Wanted], tries: Mapping[int, int], answers: Answers | None) -> None:
        """Ask for a text of each wanted question that has tries left."""
        if self._spent or time.monotonic() < self._rest_until:
            return
        asks = [(ix, tries.get(ix, 0)) for ix in wanted]
        new = [ask for ask in asks if ask[1] < self._tries and ask not in self._asked]
        self._asked.update(new)
        if new:
            self._todo.put(new)

    def take(self) -> list[Received]:
        """Hand over what has come. Raises ReliftError where the ledger cannot be written."""
        received = []
        while not self._got.empty():
            one = self._got.get()
            if isinstance(one, ReliftError):
                raise one
            received.append(one)
        return received

    def state(self) -> list[Received]:
        """Keep nothing: the ledger has what was bought, and what is wanted is asked for again."""
        return []

    def restore(self, received: Sequence[Received]) -> None:
        """Take up nothing."""

    def _work(self) -> None:
        """Stream one batch of asks after the other; what is noted meanwhile makes the next one."""
        try:
            while (batch := self._next_batch()) is not None:
                self._stream(batch)
        except ReliftError as error:
            self._got.put(error)
        except Exception as error:  # a mistake of ours: training must not go on without its teacher unknowingly
            self._got.put(EngineFailed(f"the teacher's thread ended: {type(error).__name__}: {error}"))

    def _next_batch(self) -> list[Ask] | None:
        batch = self._todo.get()
        while batch is not None and not self._todo.empty():
            more = self._todo.get()
            batch = None if more is None else batch + more
        return batch

    def _stream(self, batch: list[Ask]) -> None:
        missing = set(batch)
        try:
            for index, reply in self._answerer.stream([self._request(*ask) for ask in batch], self._sampling):
                missing.discard(batch[index])
                self._got.put(self._received(batch[index][0], reply))
        except GuardStop as error:
            self._spent = True  # what is missing is not asked in this launch
            self._tell(f"the teacher is asked no more: {in_settings(error)}")
        except ServerGone as error:
            self._again(missing, f"the teacher is gone, training goes on: {in_settings(error)}")
        except (EngineFailed, InputError) as error:
            for ask in missing:
                self._failed[ask] += 1
            self._again(missing, f"the teacher failed, {len(missing)} questions still wait: {in_settings(error)}")

    def _again(self, missing: set[Ask], line: str) -> None:
        self._tell(line)
        self._rest_until = time.monotonic() + REST_SECONDS
        for ask in sorted(missing):
            if self._failed[ask] < self._tries:
                self._asked.discard(ask)
            else:
                self._got.put(Received(ask[0], "teacher", "", failure="teacher_error", tried=False))

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._warn(line)

    def _received(self, question_ix: int, reply: Reply) -> Received:
        prompt, completion = self._prices
        cost = None
        if prompt is not None and completion is not None and reply.prompt_tokens is not None:
            cost = (reply.prompt_tokens * prompt + reply.n_tokens * completion) / 1e6
        # An answer that was cut off, or withheld, is none, whatever its text says so far.
        failure = {Finish.length: "too_long", Finish.refused: "teacher_error"}.get(reply.finish)
        return Received(question_ix, "teacher", reply.text, cost, failure)


class HumanSource:
    """Read the demonstrations that a person appends to a file, and list the questions that are wanted beside it."""

    def __init__(self, path: Path, items: Sequence[Item], *, warn: Callable[[str], None]) -> None:
        self._path, self._warn = path, warn
        self._item_of = {item.question.question_id: item for item in items}
        self._question = {item.question_ix: item.question for item in items}
        self._seen: set[str] = set()  # hashes of lines
        self._listed: list[int] | None = None
        self._unreadable = False

    def note(self, wanted: Mapping[int, Wanted], tries: Mapping[int, int], answers: Answers | None) -> None:
        """Write the list of wanted questions, where it has changed."""
        if sorted(wanted) == self._listed:
            return
        self._listed = sorted(wanted)
        rows = [
            {
                "question_id": self._question[ix].question_id,
                "problem": self._question[ix].problem,
                "answer": self._question[ix].answer,
                "n_correct": w.n_correct,
                "n_attempts": w.n_attempts,
            }
            for ix, w in wanted.items()
        ]
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "replace")
        write_atomic(DISK, wanted_path(self._path), data)

    def take(self) -> list[Received]:
        """Read the whole lines that are new. A line that cannot be used is told of and passed over."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            if not self._unreadable:
                self._warn(f"{self._path}: cannot be read, training goes on without it: {error.strerror or error}")
            self._unreadable = True
            return []
        received = []
        for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
            mark = hashlib.blake2b(line, digest_size=16).hexdigest()
            if not line.strip() or mark in self._seen:
                continue
            self._seen.add(mark)
            try:
                received.append(self._read(line))
            except ValueError as error:
                self._warn(f"{self._path}, line {number}: {error}; mend the line, it is read again")
        return received

    def _read(self, line: bytes) -> Received:
        """Read one line. Raises ValueError that says what is wrong."""
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            raise ValueError("no JSON object") from None
        if not isinstance(row, dict) or not isinstance(row.get("demonstration"), str):
            raise ValueError('it needs {"question_id" or "problem": text, "demonstration": text}')
        question_id = row.get("question_id")
        if question_id is None and isinstance(row.get("problem"), str):
            options = row.get("options") or ()
            question_id = question_id_of(row["problem"], [str(option) for option in options])
        item = self._item_of.get(question_id) if isinstance(question_id, str) else None
        if item is None:
            raise ValueError("no training question has this question_id or problem")
        return Received(item.question_ix, "human", writable(row["demonstration"]))

    def state(self) -> list[Received]:
        """Keep nothing: the file is read again, and what was taken from it is known."""
        return []

    def restore(self, received: Sequence[Received]) -> None:
        """Take up nothing."""


def wanted_path(path: Path) -> Path:
    """Name the list of wanted questions beside the file of demonstrations."""
    return path.with_name(f"{path.stem}.wanted{path.suffix}")


class SelfSource:
    """Take the first correct answer of the model's own at a question that was beyond its reach before.

    Assisted answers count too: the demonstration is the whole answer, behind the question's own prompt.
    """

    def __init__(self) -> None:
        self._noted: list[Received] = []

    def note(self, wanted: Mapping[int, Wanted], tries: Mapping[int, int], answers: Answers | None) -> None:
        """Look for correct answers that ended by themselves."""
        for q, ix in enumerate([] if answers is None else answers.question_ix_Q.tolist()):
            assert answers is not None
            good = [
                g
                for g in range(len(answers.texts_QG[q]))
                if answers.correct_QG[q, g] and answers.completions_QG[q][g].finish is Finish.stop
            ]
            if ix in wanted and good:
                self._noted.append(Received(ix, "self", answers.texts_QG[q][good[0]]))

    def take(self) -> list[Received]:
        """Hand over what was found."""
        noted, self._noted = self._noted, []
        return noted

    def state(self) -> list[Received]:
        """Keep what was found and not taken: the answers are in no other file of a checkpoint."""
        return list(self._noted)

    def restore(self, received: Sequence[Received]) -> None:
        """Take it up."""
        self._noted = list(received)
