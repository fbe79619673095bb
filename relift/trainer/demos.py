"""Keep the demonstrations that wait: of questions beyond reach now, in the order of their training. Numpy only.

An entry is (demonstration, question, step, counts), never tensors. Every change is an event for `demo_events`.
Its whole state, order included, is `state_dict()`: the same questions come next after a resume.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np

from relift.config import BufferConfig
from relift.schema import DemoEvent, seed_of
from relift.trainer.answers import GroupCounts
from relift.trainer.flush import Flush


@dataclass(frozen=True)
class Demo:
    """An accepted demonstration, rendered: the rollout's prompt token for token, the text's tokens with end token."""

    demo_id: str
    question_ix: int
    prompt_ids: tuple[int, ...]
    completion_ids_T: np.ndarray  # int32


@dataclass(frozen=True)
class Entry:
    """A demonstration that waits: when it came in, when its question last qualified, and the counts of that group."""

    demo_id: str
    question_ix: int
    step: int
    n_correct: int
    n_attempts: int
    seen: int  # step in which the question last qualified


@dataclass(frozen=True)
class Wanted:
    """A question that would wait in the buffer if it had a demonstration; `step`: since when."""

    question_ix: int
    step: int
    n_correct: int
    n_attempts: int
    seen: int  # step in which it last qualified


@dataclass(frozen=True)
class Event:
    """A row of `demo_events` but for run_id and event_ix."""

    step: int
    demo_id: str
    question_ix: int
    event: str
    reason: str | None
    buffer_len: int
    age_steps: int | None
    n_correct: int | None
    n_attempts: int | None


class DemoBuffer:
    """The buffer of one run.

    `offer` after each step's rollouts, `due` for the batches to train on, `take_events` for the record. With `online`
    a question without a demonstration is wanted, until `admit` brings one that came while training went on.
    The gate (docs/method.md): a question enters when its accuracy over *decided* attempts is at or below the
    threshold, every attempt was decided (undecided is not wrong), and it has an accepted demonstration.
    """

    def __init__(
        self,
        config: BufferConfig,
        demos: Sequence[Demo],
        *,
        batch: int,
        seed: int,
        online: Literal["none", "server", "human", "self"] = "none",
    ) -> None:
        self.config = config
        self.batch = batch
        self.flush = Flush(config, batch=batch)
        self.seed = seed
        self.online = online
        self.demo_by_id: dict[str, Demo] = {}
        self.demos_of: dict[int, list[Demo]] = {}
        for demo in demos:
            self.know(demo)
        self.entries: list[Entry] = []  # oldest first
        self.wanted: dict[int, Wanted] = {}  # by question_ix, oldest first
        self.uses: Counter[str] = Counter()  # times each demonstration was trained on
        self._events: list[Event] = []

    def __len__(self) -> int:
        return len(self.entries)

    def know(self, demo: Demo) -> None:
        """Take in a demonstration that may be used from now on."""
        self.demo_by_id[demo.demo_id] = demo
        self.demos_of.setdefault(demo.question_ix, []).append(demo)

    def admit(self, step: int, demo: Demo) -> None:
        """Take in a demonstration that arrived before this step; its question waits from now on, if it is wanted."""
        self.know(demo)
        wanted = self.wanted.pop(demo.question_ix, None)
        if wanted is not None:
            self._append(step, demo, wanted.n_correct, wanted.n_attempts, seen=wanted.seen)

    def qualifies(self, n_correct: int, n_decided: int, n_attempts: int) -> bool:
        """Whether a group with these counts sends its question into the buffer."""
        if n_decided < n_attempts or n_attempts == 0:
            return False
        below = n_correct / n_decided <= self.config.threshold  # a quotient: 0.29 * 100 is less than 29
        return {"at_or_below": below, "above": not below, "any": True}[self.config.select]

    def offer(self, step: int, counts: GroupCounts, *, entropy: float | None = None) -> None:
        """Take in a step's counts: re-check what waits, let questions in, drop what is too old or too many.

        `entropy`: mean of the unassisted attempts (nats a token), for the gate; None where no engine tells.
        """
        self.flush.see(counts, entropy)
        for question_ix, n_correct, n_decided, n_attempts in counts.rows():
            qualifies = self.qualifies(n_correct, n_decided, n_attempts)
            waiting = [e for e in self.entries if e.question_ix == question_ix]
            if self._is_solved(qualifies=qualifies, decided=n_decided == n_attempts):
                for entry in waiting:
                    self._remove(entry, step, DemoEvent.evict, reason="solved")
                if self.online != "self":  # there the right answer is what was waited for
                    self.wanted.pop(question_ix, None)
            if qualifies and (not waiting or self.config.dedup == "allow"):
                self._enqueue(step, question_ix, n_correct, n_attempts)
            elif qualifies:
                self._refresh(waiting, step, n_correct, n_attempts)
        self._drop_old(step)

    def due(self, step: int) -> list[list[Demo]]:
        """The fine-tuning batches of this step, removed from the buffer, in the order they are trained on."""
        batches: list[list[Demo]] = []
        while self.flush.is_due(step, waiting=len(self._ready(step)), done=len(batches)):
            ready = self._ready(step)
            chosen = [e for e in self._ordered(step, len(batches)) if e in ready][: self.batch]
            batches.append([self.demo_by_id[e.demo_id] for e in chosen])
            self.flush.last_step = step
            for entry in chosen:
                self.uses[entry.demo_id] += 1
                self._remove(entry, step, DemoEvent.train)
        return batches

    def to_check(self, step: int) -> list[int]:
        """question_ix of the questions to be asked anew in this step, with `recheck = "sample"`: those of the batch
        that would be due. They are trained on in this step if they still qualify (`offer` sees to that)."""
        if self.config.recheck != "sample" or not self.flush.is_due(step, waiting=len(self.entries), done=0):
            return []
        return list(dict.fromkeys(e.question_ix for e in self._ordered(step, 0)[: self.batch]))

    def _ready(self, step: int) -> list[Entry]:
        """The entries that may be trained on: all, or those that qualified in this very step."""
        return [e for e in self.entries if self.config.recheck != "sample" or e.seen == step]

    @property
    def waiting(self) -> set[int]:
        """question_ix of the questions in the buffer."""
        return {e.question_ix for e in self.entries}

    def train_now(self, step: int, counts: GroupCounts) -> dict[int, Demo]:
        """Take the demonstrations of the questions that qualify, by question_ix: trained on at once, never queued."""
        taken: dict[int, Demo] = {}
        for question_ix, n_correct, n_decided, n_attempts in counts.rows():
            demo = self.next_demo(question_ix)
            if demo is not None and self.qualifies(n_correct, n_decided, n_attempts):
                self._record_use(step, demo, n_correct, n_attempts)
                taken[question_ix] = demo
        return taken

    def record_uses(self, step: int, demos: Iterable[Demo]) -> None:
        """Note that demonstrations of a stream are trained on, which no rollouts called for."""
        for demo in demos:
            self._record_use(step, demo, None, None)

    def refuse(self, demo_ids: Iterable[str]) -> None:
        """The update with these demonstrations was not made: their events say so, and they were not used."""
        for demo_id in demo_ids:
            ix = max(i for i, e in enumerate(self._events) if e.demo_id == demo_id and e.event == DemoEvent.train)
            self._events[ix] = replace(self._events[ix], reason="refused")
            self.uses[demo_id] -= 1
            self.uses += Counter()  # drops counts of zero

    def take_events(self) -> list[Event]:
        """The events since the last call."""
        events, self._events = self._events, []
        return events

    def state_dict(self) -> dict[str, object]:
        """Everything that decides what comes next, as JSON values."""
        entries = [asdict(e) for e in self.entries]
        state: dict[str, object] = {"entries": entries, "uses": dict(sorted(self.uses.items()))}
        wanted = {} if self.online == "none" else {"wanted": [asdict(w) for w in self.wanted.values()]}
        return {**state, "flush": self.flush.state_dict(), **wanted}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        entries, uses = state["entries"], state["uses"]
        assert isinstance(entries, list) and isinstance(uses, dict)
        self.entries = [Entry(**{"seen": e["step"], **e}) for e in entries]  # older versions refreshed nothing
        self.uses = Counter(uses)
        if "flush" in state:  # older versions had neither gate nor cooldown
            self.flush.load_state_dict(state["flush"])  # type: ignore[arg-type]
        self.wanted = {w["question_ix"]: Wanted(**w) for w in state.get("wanted", [])}  # type: ignore[attr-defined]
        self._events = []

    def _is_solved(self, *, qualifies: bool, decided: bool) -> bool:
        """Whether what waits of a question with this newest group is to leave. Only who came in for low accuracy can
        be solved: `select = "above"` takes solved questions on purpose."""
        config = self.config
        return config.recheck in ("latest", "sample") and config.select == "at_or_below" and decided and not qualifies

    def _ordered(self, step: int, done: int) -> list[Entry]:
        if self.config.order == "lifo":
            return self.entries[::-1]
        if self.config.order == "random":
            rng = np.random.default_rng(seed_of(self.seed, "buffer", done, step, "", 0))
            return [self.entries[i] for i in rng.permutation(len(self.entries))]
        return list(self.entries)

    def next_demo(self, question_ix: int) -> Demo | None:
        """Find the least used demonstration of a question, the earliest of those; None when none may be used. One that
        waits already (dedup = "allow") counts as used once more."""
        demos = self.demos_of.get(question_ix, [])
        waiting = Counter(e.demo_id for e in self.entries if e.question_ix == question_ix)
        uses = {d.demo_id: self.uses[d.demo_id] + waiting[d.demo_id] for d in demos}
        usable = [d for d in demos if self.config.max_uses is None or uses[d.demo_id] < self.config.max_uses]
        return min(usable, key=lambda d: uses[d.demo_id], default=None)

    def _enqueue(self, step: int, question_ix: int, n_correct: int, n_attempts: int) -> None:
        demo = self.next_demo(question_ix)
        if demo is not None:
            self.wanted.pop(question_ix, None)
            self._append(step, demo, n_correct, n_attempts, seen=step)
        elif self.online != "none":
            since = self.wanted[question_ix].step if question_ix in self.wanted else step
            self.wanted[question_ix] = Wanted(question_ix, since, n_correct, n_attempts, seen=step)

    def _append(self, step: int, demo: Demo, n_correct: int, n_attempts: int, *, seen: int) -> None:
        self.entries.append(Entry(demo.demo_id, demo.question_ix, step, n_correct, n_attempts, seen=seen))
        self._events.append(
            Event(step, demo.demo_id, demo.question_ix, "enqueue", None, len(self.entries), 0, n_correct, n_attempts)
        )

    def _record_use(self, step: int, demo: Demo, n_correct: int | None, n_attempts: int | None) -> None:
        self.uses[demo.demo_id] += 1
        self._events.append(
            Event(step, demo.demo_id, demo.question_ix, "train", None, len(self.entries), None, n_correct, n_attempts)
        )

    def _refresh(self, waiting: Sequence[Entry], step: int, n_correct: int, n_attempts: int) -> None:
        """Note that a waiting question qualified again: it keeps its place, and its age counts anew."""
        for entry in waiting:
            place = self.entries.index(entry)
            self.entries[place] = replace(entry, seen=step, n_correct=n_correct, n_attempts=n_attempts)

    def _drop_old(self, step: int) -> None:
        if self.config.max_age_steps is not None:
            for entry in [e for e in self.entries if step - e.seen > self.config.max_age_steps]:
                self._remove(entry, step, DemoEvent.evict, reason="age")
            self.wanted = {ix: w for ix, w in self.wanted.items() if step - w.seen <= self.config.max_age_steps}
        while self.config.capacity is not None and len(self.entries) > self.config.capacity:
            self._remove(self.entries[0], step, DemoEvent.evict, reason="capacity")

    def _remove(self, entry: Entry, step: int, event: DemoEvent, *, reason: str | None = None) -> None:
        self.entries.remove(entry)
        self._events.append(
            Event(
                step,
                entry.demo_id,
                entry.question_ix,
                str(event),
                reason,
                len(self.entries),
                step - entry.step,
                entry.n_correct,
                entry.n_attempts,
            )
        )
