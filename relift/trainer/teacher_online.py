"""Take in demonstrations that come while training goes on, each at the beginning of a step.

Whatever the source, there is one door (admission.py), and what came to it is on disk with its step before it counts.
So a step that is done again, after a kill, has the demonstrations that it had: they are read from the journal, and
nobody is asked. Numpy only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from relift.errors import StoreError
from relift.schema import Demonstration, demo_id_of
from relift.store import RunWriter
from relift.store.ledger import Ledger
from relift.trainer.answers import Answers
from relift.trainer.demos import Demo, DemoBuffer, Wanted
from relift.trainer.step import Item

Row = dict[str, Any]  # of `demonstrations` but for step, and `tried`: whether it was a try at its question


@dataclass(frozen=True)
class Received:
    """A text that came for a question. `failure`: a reject_reason that was found before the door; None: none.

    `tried`: it counts as one of the tries at its question; not so where nobody answered."""

    question_ix: int
    source: str
    text: str
    cost: float | None = None  # USD
    failure: str | None = None
    tried: bool = True


class Source(Protocol):
    """Describe who gives demonstrations. Nothing here waits."""

    def note(self, wanted: Mapping[int, Wanted], tries: Mapping[int, int], answers: Answers | None) -> None:
        """Look at the questions that are wanted after a step, by question_ix, and at the step's answers (None: at a
        start). `tries`: texts that came for a question and could not be trained on."""
        ...

    def take(self) -> list[Received]:
        """Hand over what has come since the last call. Raises ReliftError where the source cannot go on."""
        ...

    def state(self) -> list[Received]:
        """Give what is noted and was not taken, as far as nobody else keeps it."""
        ...

    def restore(self, received: Sequence[Received]) -> None:
        """Take up a state."""
        ...


Door = Callable[..., tuple[list[Demo], pd.DataFrame]]  # admission.admit with all its settings but `known`


class Arrivals:
    """The demonstrations that come while a run goes on.

    `begin` before a step, `end` after its updates. `admit`: the door; `encode`: tokens of a text behind a prompt, end
    token included. `source`, `journal` and `writer` are used on the first of several processes alone, by `on_first`.
    """

    def __init__(
        self,
        *,
        buffer: DemoBuffer,
        items: Sequence[Item],
        known: Sequence[str],
        admit: Door,
        encode: Callable[[str, Sequence[int]], list[int]],
        writer: RunWriter,
        source: Source | None,
        on_first: Callable[[Callable[[], Any]], Any] = lambda act: act(),
        on_refusal: Callable[[Row], None] = lambda row: None,
    ) -> None:
        self._buffer, self._item_of = buffer, {item.question_ix: item for item in items}
        self._admit, self._encode, self._writer = admit, encode, writer
        self.source, self._on_first, self._on_refusal = source, on_first, on_refusal
        self._known = set(known)
        self._journal: Ledger | None = None
        self._last = 0  # step up to which the journal tells what came
        self._rows: list[Row] = []  # of this step
        self.tries: Counter[int] = Counter()

    def open(self, journal: Ledger | None, *, step: int) -> None:
        """Begin, or take up where the run stands: after this step. Raises StoreError for a journal that lacks what is
        waiting to be trained on."""
        self._journal = journal
        told = self._on_first(lambda: [dict(reply) for reply in journal.replies] if journal is not None else [])
        self._last = max((each["step"] for each in told), default=0)
        for each in sorted(told, key=lambda each: each["step"]):
            if each["step"] <= step:
                for row in each["rows"]:
                    self._known.add(row["demo_id"])
                    if row["accepted"]:
                        self._buffer.know(self._demo(row))
        lost = [e.demo_id for e in self._buffer.entries if e.demo_id not in self._buffer.demo_by_id]
        if lost:
            raise StoreError(
                f"{self._writer.folder}: arrivals.jsonl lacks {len(lost)} demonstrations that wait to be trained on, "
                f"first {lost[0]}: put it back from a copy, or begin another run"
            )
        self._on_first(lambda: forget_after(self._writer, step))
        self._note(step, None)

    def begin(self, step: int) -> None:
        """Let in what has come, or what came before this step when it was made before."""
        came = self._on_first(lambda: self._came(step))
        self._rows = came["rows"]
        if not came["told"]:
            self._rows = self._judged([Received(**each) for each in came["received"]])
            self._on_first(lambda: self._keep(step))
        for row in self._rows:
            self._known.add(row["demo_id"])
            if row["accepted"]:
                self._buffer.admit(step, self._demo(row))
            elif row["tried"]:
                self.tries[row["question_ix"]] += 1

    def end(self, step: int, answers: Answers) -> None:
        """Write down what came before the step, and let the source look at what is wanted now."""
        if self._rows:
            self._on_first(lambda: add_rows(self._writer, self._rows, step=step))
        self._note(step, answers)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides what comes next and stands in no other file, as JSON values."""
        noted = [] if self.source is None else [asdict(each) for each in self.source.state()]
        return {"tries": sorted(self.tries.items()), "noted": noted}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state; `open` comes after it."""
        self.tries = Counter({int(ix): n for ix, n in state["tries"]})
        if self.source is not None:
            self.source.restore([Received(**each) for each in state["noted"]])

    def _note(self, step: int, answers: Answers | None) -> None:
        """While steps are done again nobody is asked: what came then is known, and what did not come did not."""

        def note() -> None:
            assert self.source is not None
            self.source.note(self._buffer.wanted, self.tries, answers)

        if step >= self._last:
            self._on_first(note)

    def _came(self, step: int) -> dict[str, Any]:
        assert self._journal is not None and self.source is not None
        told = self._journal.reply(_key(step), "rows")
        if told is not None or step <= self._last:
            return {"told": True, "rows": [] if told is None else told["rows"]}
        return {"told": False, "rows": [], "received": [asdict(each) for each in self.source.take()]}

    def _keep(self, step: int) -> None:
        assert self._journal is not None
        self._journal.keep([(_key(step), "rows", {"step": step, "rows": self._rows})])
        for row in self._rows:
            if not row["accepted"]:
                self._on_refusal(row)

    def _judged(self, received: Sequence[Received]) -> list[Row]:
        """Bring what came to the door: a row for each, in their order. A person's file is read again at every start, so
        that what is known of it is passed over; a server's text that is known was a try in vain."""
        received = [
            each for each in received if each.source == "teacher" or self._offer(each).demo_id not in self._known
        ]
        offered = [self._offer(each) for each in received]
        passing = [d for d, each in zip(offered, received, strict=True) if each.failure is None]
        _, frame = self._admit(passing, {i.question.question_id: i for i in self._item_of.values()}, known=self._known)
        row_of: dict[str, Row] = {}
        for found_row in frame.to_dict("records"):
            reason = None if found_row["accepted"] else found_row["reject_reason"]  # the frame may have NaN there
            row_of[str(found_row["demo_id"])] = {**found_row, "reject_reason": reason}  # type: ignore[dict-item]
        rows = []
        for each, demonstration in zip(received, offered, strict=True):
            refusal: Row = {"n_tokens": 0, "verified": False, "accepted": False, "reject_reason": each.failure}
            found: Row | None = refusal
            if each.failure is None:
                found = row_of.pop(demonstration.demo_id, None)
            row: Row = {
                "demo_id": demonstration.demo_id,
                "question_ix": each.question_ix,
                "source": each.source,
                "text": each.text,
                "cost": each.cost,
                "tried": each.tried,
            }
            rows.append(row | (found or {**refusal, "reject_reason": "duplicate"}))
        return rows

    def _offer(self, received: Received) -> Demonstration:
        question_id = self._item_of[received.question_ix].question.question_id
        return Demonstration(demo_id_of(question_id, received.text), question_id, received.text, received.source)

    def _demo(self, row: Row) -> Demo:
        prompt_ids = self._item_of[row["question_ix"]].prompt_ids
        ids_T = np.array(self._encode(row["text"], prompt_ids), np.int32)
        return Demo(row["demo_id"], row["question_ix"], prompt_ids, ids_T)


def add_rows(writer: RunWriter, rows: Sequence[Row], *, step: int) -> None:
    """Add rows to `demonstrations`, each demonstration once, and note which questions have one now."""
    table = writer.read_whole("demonstrations")
    there = set(table["demo_id"])
    new = {row["demo_id"]: {**row, "step": step} for row in reversed(rows) if row["demo_id"] not in there}
    new = {demo_id: {k: v for k, v in row.items() if k != "tried"} for demo_id, row in new.items()}
    if new:
        _write(writer, pd.concat([table.astype(object), pd.DataFrame(list(new.values())[::-1]).astype(object)]))


def forget_after(writer: RunWriter, step: int) -> None:
    """Take out of `demonstrations` what arrived after this step: it arrives again when its step is done again."""
    table = writer.read_whole("demonstrations")
    late = (table["step"].astype(float) > step).to_numpy(bool)
    if late.any():
        _write(writer, table[~late].astype(object))


def _write(writer: RunWriter, table: pd.DataFrame) -> None:
    writer.write_whole("demonstrations", table.where(table.notna(), None).reset_index(drop=True))
    questions = writer.read_whole("questions")
    has_demo = questions["question_ix"].isin(table.loc[table["accepted"].astype(bool), "question_ix"].astype(int))
    if (has_demo != questions["has_demo"]).any():
        writer.write_whole("questions", questions.assign(has_demo=has_demo))


def _key(step: int) -> str:
    return f"step-{step:06d}"
