"""The demonstration buffer: who enters, who leaves, in which order, and what is written down of it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from relift.config import BufferConfig
from relift.trainer.answers import GroupCounts
from relift.trainer.demos import Demo, DemoBuffer, Event

N = 4  # attempts of every group


def demos_of(*question_ixs: int) -> list[Demo]:
    """One demonstration each; a question that is named twice has two: d3, d3b."""
    made, seen = [], Counter[int]()
    for ix in question_ixs:
        name = f"d{ix}" + "abcdef"[seen[ix]] * (seen[ix] > 0)
        made.append(Demo(name, ix, (ix,), np.array([ix], np.int32)))
        seen[ix] += 1
    return made


def buffer_of(*question_ixs: int, batch: int = 2, seed: int = 0, **options: Any) -> DemoBuffer:
    return DemoBuffer(BufferConfig(**options), demos_of(*question_ixs), batch=batch, seed=seed)


def offer(buffer: DemoBuffer, step: int, counts: dict[int, int | tuple[int, int]]) -> None:
    """counts: question -> correct of 4, or (correct, decided)."""
    buffer.offer(step, counts_of(counts))


def counts_of(counts: dict[int, int | tuple[int, int]], *, n_attempts: int = N) -> GroupCounts:
    pairs = {ix: c if isinstance(c, tuple) else (c, N) for ix, c in counts.items()}
    return GroupCounts(
        np.array(list(pairs), np.int32),
        np.array([c for c, _ in pairs.values()], np.int64),
        np.array([d for _, d in pairs.values()], np.int64),
        np.full(len(pairs), n_attempts),
    )


def due(buffer: DemoBuffer, step: int) -> list[list[str]]:
    return [[d.demo_id for d in batch] for batch in buffer.due(step)]


def waits(buffer: DemoBuffer) -> list[str]:
    return [e.demo_id for e in buffer.entries]


def short(events: list[Event]) -> list[tuple[Any, ...]]:
    """(step, what, who, reason, length, age)"""
    return [(e.step, e.event, e.demo_id, e.reason, e.buffer_len, e.age_steps) for e in events]


# ---- the gate --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("select", "threshold", "entering"),
    [
        ("at_or_below", 0.0, [0]),
        ("at_or_below", 0.25, [0, 1]),  # 1 of 4 is at the threshold
        ("at_or_below", 1.0, [0, 1, 2, 3, 4]),
        ("above", 0.0, [1, 2, 3, 4]),
        ("above", 0.25, [2, 3, 4]),
        ("any", 0.0, [0, 1, 2, 3, 4]),
    ],
)
def test_who_enters(select: str, threshold: float, entering: list[int]) -> None:
    """Question i has i correct attempts of 4."""
    buffer = buffer_of(0, 1, 2, 3, 4, select=select, threshold=threshold)
    offer(buffer, 1, {i: i for i in range(5)})
    assert [e.question_ix for e in buffer.entries] == entering
    assert [(e.n_correct, e.n_attempts) for e in buffer.entries] == [(i, N) for i in entering]


def test_thresholds_are_quotients() -> None:
    """29 of 100 is at the threshold .29, though .29 * 100 = 28.999999999999996."""
    assert buffer_of(0, threshold=0.29).qualifies(29, 100, 100)
    assert not buffer_of(0, threshold=0.29).qualifies(30, 100, 100)


@pytest.mark.parametrize("select", ["at_or_below", "above", "any"])
@pytest.mark.parametrize("counts", [(0, 3), (0, 0), (3, 3)])
def test_an_undecided_attempt_keeps_a_question_out(select: str, counts: tuple[int, int]) -> None:
    buffer = buffer_of(0, select=select, threshold=0.5)
    offer(buffer, 1, {0: counts})
    assert not buffer.entries and not buffer.take_events()
    assert buffer.train_now(1, counts_of({0: counts})) == {}


def test_no_group_at_all_qualifies_nobody() -> None:
    assert not buffer_of(0, select="any").qualifies(0, 0, 0)


def test_a_question_without_demonstration_does_not_enter() -> None:
    buffer = buffer_of(1)
    offer(buffer, 1, {0: 0, 1: 0})
    assert waits(buffer) == ["d1"] and buffer.waiting == {1}


# ---- events ----------------------------------------------------------------------------------------------------


def test_events_of_a_whole_life() -> None:
    """Two enter and are trained on a step later; the third waits, is solved at step 3 and leaves."""
    buffer = buffer_of(0, 1, 2, 3)
    offer(buffer, 1, {0: 0, 3: 2})
    assert due(buffer, 1) == []  # one of two
    offer(buffer, 2, {1: 0, 2: 0})
    assert due(buffer, 2) == [["d0", "d1"]]
    offer(buffer, 3, {2: 1})
    assert due(buffer, 3) == []
    assert buffer.take_events() == [
        Event(1, "d0", 0, "enqueue", None, 1, 0, 0, 4),
        Event(2, "d1", 1, "enqueue", None, 2, 0, 0, 4),
        Event(2, "d2", 2, "enqueue", None, 3, 0, 0, 4),
        Event(2, "d0", 0, "train", None, 2, 1, 0, 4),
        Event(2, "d1", 1, "train", None, 1, 0, 0, 4),
        Event(3, "d2", 2, "evict", "solved", 0, 1, 0, 4),  # counts of the group that let it in
    ]
    assert buffer.take_events() == []
    assert dict(buffer.uses) == {"d0": 1, "d1": 1}


@pytest.mark.parametrize("flush", ["adaptive", "all", "uniform", "never"])
@pytest.mark.parametrize("drain", ["one", "all"])
@pytest.mark.parametrize("order", ["fifo", "lifo", "random"])
def test_empty_is_legal_at_every_step(flush: str, drain: str, order: str) -> None:
    """All correct from the first batch on: nothing waits, nothing is due, nothing is written down."""
    buffer = buffer_of(0, 1, flush=flush, drain=drain, order=order, every=1, max_age_steps=1, capacity=2)
    for step in (1, 2, 3):
        assert due(buffer, step) == []  # before anything was offered, too
        offer(buffer, step, {0: 4, 1: 4})
        assert due(buffer, step) == []
    assert buffer.take_events() == []


# ---- order -----------------------------------------------------------------------------------------------------


def filled(n: int, **options: Any) -> DemoBuffer:
    buffer = buffer_of(*range(n), **options)
    for ix in range(n):
        offer(buffer, ix + 1, {ix: 0})
    return buffer


@pytest.mark.parametrize(
    ("order", "first", "second"), [("fifo", ["d0", "d1"], ["d2", "d3"]), ("lifo", ["d4", "d3"], ["d2", "d1"])]
)
def test_order(order: str, first: list[str], second: list[str]) -> None:
    buffer = filled(5, order=order)
    assert due(buffer, 5) == [first]
    assert due(buffer, 6) == [second]
    assert due(buffer, 7) == []


def test_random_order_is_a_function_of_seed_and_step() -> None:
    """20 entries in batches of 10: the same draw twice by chance once in 20!/10! times."""

    def draw(seed: int, step: int) -> list[str]:
        return due(filled(20, order="random", batch=10, seed=seed), step)[0]

    assert draw(0, 20) == draw(0, 20)
    draws = {tuple(draw(seed, step)) for seed in (0, 1) for step in (20, 21)}
    assert len(draws) == 4
    assert all(len(set(d)) == 10 for d in draws)


def test_random_batches_of_one_step_take_everyone_once() -> None:
    batches = due(filled(30, order="random", batch=10, drain="all"), 30)
    assert [len(b) for b in batches] == [10, 10, 10]
    assert sorted(d for b in batches for d in b) == sorted(f"d{i}" for i in range(30))


# ---- repeats ---------------------------------------------------------------------------------------------------


def test_refresh_keeps_the_place_and_one_entry() -> None:
    buffer = buffer_of(0, 1, batch=9)
    offer(buffer, 1, {0: 0})
    offer(buffer, 2, {1: 0})
    offer(buffer, 3, {0: 0})
    assert waits(buffer) == ["d0", "d1"]
    assert (buffer.entries[0].step, buffer.entries[0].seen) == (1, 3)
    assert [e[1] for e in short(buffer.take_events())] == ["enqueue", "enqueue"]


def test_refresh_counts_the_age_anew_and_takes_the_new_counts() -> None:
    """Qualified last in step 3, two steps at most: still there in 4 and 5, gone in 6."""
    buffer = buffer_of(0, 1, batch=9, threshold=0.25, max_age_steps=2)
    offer(buffer, 1, {0: 0})
    for step in (2, 3):
        offer(buffer, step, {0: 1})
    assert (buffer.entries[0].n_correct, buffer.entries[0].n_attempts) == (1, N)
    for step, there in ((4, ["d0"]), (5, ["d0"]), (6, [])):
        offer(buffer, step, {})
        assert waits(buffer) == there
    assert short(buffer.take_events())[-1] == (6, "evict", "d0", "age", 0, 5)  # five steps since it was enqueued


def test_a_checkpoint_of_a_version_that_refreshed_nothing_loads() -> None:
    buffer = buffer_of(0)
    buffer.load_state_dict(
        {"entries": [{"demo_id": "d0", "question_ix": 0, "step": 4, "n_correct": 0, "n_attempts": 4}], "uses": {}}
    )
    assert buffer.entries[0].seen == 4


def test_allow_takes_an_entry_per_visit() -> None:
    buffer = buffer_of(0, 1, batch=3, dedup="allow")
    for step in (1, 2):
        offer(buffer, step, {0: 0, 1: 0})
    assert waits(buffer) == ["d0", "d1", "d0", "d1"]
    assert due(buffer, 2) == [["d0", "d1", "d0"]]
    assert buffer.uses == {"d0": 2, "d1": 1}
    assert [(e.step, e.demo_id, e.age_steps) for e in buffer.take_events() if e.event == "train"] == [
        (2, "d0", 1), (2, "d1", 1), (2, "d0", 0)
    ]  # fmt: skip


def test_demonstrations_of_one_question_take_turns() -> None:
    buffer = buffer_of(0, 0, batch=1)
    trained = []
    for step in (1, 2, 3):
        offer(buffer, step, {0: 0})
        trained += due(buffer, step)
    assert trained == [["d0"], ["d0b"], ["d0"]]


def test_one_that_waits_counts_as_used() -> None:
    buffer = buffer_of(0, 0, batch=9, dedup="allow")
    for step in (1, 2, 3):
        offer(buffer, step, {0: 0})
    assert waits(buffer) == ["d0", "d0b", "d0"]


# ---- leaving ---------------------------------------------------------------------------------------------------


def test_recheck_drops_every_entry_of_a_solved_question() -> None:
    buffer = buffer_of(0, 1, batch=9, dedup="allow")
    offer(buffer, 1, {0: 0, 1: 0})
    offer(buffer, 2, {0: 0})
    buffer.take_events()
    offer(buffer, 4, {0: 1})
    assert short(buffer.take_events()) == [
        (4, "evict", "d0", "solved", 2, 3),
        (4, "evict", "d0", "solved", 1, 2),
    ]
    assert waits(buffer) == ["d1"]


@pytest.mark.parametrize("counts", [(0, 4), (3, 3), (0, 0)])
def test_recheck_needs_a_decided_group_above_the_threshold(counts: tuple[int, int]) -> None:
    buffer = buffer_of(0)
    offer(buffer, 1, {0: 0})
    offer(buffer, 2, {0: counts})
    assert waits(buffer) == ["d0"]


def test_without_recheck_the_solved_stay() -> None:
    buffer = buffer_of(0, recheck="none")
    offer(buffer, 1, {0: 0})
    offer(buffer, 2, {0: 4})
    assert waits(buffer) == ["d0"]


@pytest.mark.parametrize("select", ["above", "any"])
def test_recheck_is_for_the_unsolved(select: str) -> None:
    """Taken in for being solved: a later group, all wrong or all right, is no reason to call it solved and drop it."""
    buffer = buffer_of(0, select=select)
    offer(buffer, 1, {0: 4})
    offer(buffer, 2, {0: 0})
    offer(buffer, 3, {0: 4})
    assert waits(buffer) == ["d0"]


def test_age() -> None:
    """Dropped in the step in which it is older than 2 steps, before that step's batch is made."""
    buffer = buffer_of(0, 1, max_age_steps=2)
    offer(buffer, 1, {0: 0})
    offer(buffer, 3, {})
    assert waits(buffer) == ["d0"]
    offer(buffer, 4, {1: 0})
    assert due(buffer, 4) == []
    assert short(buffer.take_events())[1:] == [(4, "enqueue", "d1", None, 2, 0), (4, "evict", "d0", "age", 1, 3)]


def test_capacity_drops_the_oldest() -> None:
    buffer = buffer_of(0, 1, 2, 3, capacity=2, order="lifo", flush="never")
    offer(buffer, 1, {0: 0, 1: 0})
    offer(buffer, 2, {2: 0, 3: 0})
    assert waits(buffer) == ["d2", "d3"]
    assert short(buffer.take_events())[2:] == [
        (2, "enqueue", "d2", None, 3, 0),
        (2, "enqueue", "d3", None, 4, 0),
        (2, "evict", "d0", "capacity", 3, 1),
        (2, "evict", "d1", "capacity", 2, 1),
    ]


@pytest.mark.parametrize("dedup", ["refresh", "allow"])
def test_max_uses(dedup: str) -> None:
    """Twice at most, whether the visits wait together or one after the other."""
    buffer = buffer_of(0, batch=1, max_uses=2, dedup=dedup)
    for step in range(1, 6):
        offer(buffer, step, {0: 0})
        if step > 2:
            due(buffer, step)
    for step in range(6, 9):
        due(buffer, step)
        offer(buffer, step, {0: 0})
    assert buffer.uses == {"d0": 2} and not buffer.entries


# ---- when ------------------------------------------------------------------------------------------------------


def test_adaptive_makes_full_batches_only() -> None:
    buffer = filled(5, batch=2)
    assert [due(buffer, step) for step in (5, 6, 7)] == [[["d0", "d1"]], [["d2", "d3"]], []]


def test_drain_all_empties_while_batches_are_full() -> None:
    buffer = filled(5, batch=2, drain="all")
    assert due(buffer, 5) == [["d0", "d1"], ["d2", "d3"]]
    assert waits(buffer) == ["d4"]


@pytest.mark.parametrize(
    ("drain", "n", "batches"),
    [
        ("one", 1, [["d0"]]),  # takes what is there
        ("one", 5, [["d0", "d1"]]),
        ("all", 5, [["d0", "d1"], ["d2", "d3"]]),
        ("all", 1, [["d0"]]),
    ],
)
def test_flush_all_after_every_step(drain: str, n: int, batches: list[list[str]]) -> None:
    assert due(filled(n, flush="all", drain=drain), 10) == batches


def test_flush_uniform() -> None:
    """Every third step up to M of what is there."""
    buffer = filled(3, flush="uniform", every=3)
    assert {step: due(buffer, step) for step in range(4, 13)} == {
        4: [], 5: [], 6: [["d0", "d1"]], 7: [], 8: [], 9: [["d2"]], 10: [], 11: [], 12: []
    }  # fmt: skip


def test_flush_never() -> None:
    assert due(filled(5, flush="never"), 8) == []


# ---- without waiting -------------------------------------------------------------------------------------------


def test_train_now() -> None:
    buffer = buffer_of(0, 1, max_uses=1)
    now = buffer.train_now(1, counts_of({0: 0, 1: 2, 2: 0}))
    assert {ix: d.demo_id for ix, d in now.items()} == {0: "d0"}
    assert buffer.train_now(2, counts_of({0: 0})) == {}  # used up
    assert buffer.take_events() == [Event(1, "d0", 0, "train", None, 0, None, 0, 4)]


def test_use_in_a_phase_of_fine_tuning() -> None:
    buffer = buffer_of(0)
    buffer.record_uses(3, buffer.demos_of[0])
    assert buffer.take_events() == [Event(3, "d0", 0, "train", None, 0, None, None, None)]
    assert buffer.uses == {"d0": 1}


# ---- resume ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5])  # batch 4: empty, one, full - 1, full, full + 1
@pytest.mark.parametrize("order", ["fifo", "lifo", "random"])
def test_the_next_batch_is_the_same_after_a_resume(length: int, order: str) -> None:
    options: dict[str, Any] = {"batch": 4, "order": order}
    buffer = filled(8, flush="never", **options)
    buffer.entries = buffer.entries[:length][::-1]  # an order that no sorting would restore
    again = DemoBuffer(BufferConfig(order=order), demos_of(*range(8)), batch=4, seed=0)
    again.load_state_dict(json.loads(json.dumps(buffer.state_dict())))
    buffer.config = buffer.flush.config = again.config
    assert again.entries == buffer.entries
    assert due(again, 9) == due(buffer, 9)


OPTIONS = st.fixed_dictionaries(
    {
        "flush": st.sampled_from(["adaptive", "all", "uniform", "never"]),
        "every": st.integers(1, 3),
        "select": st.sampled_from(["at_or_below", "above", "any"]),
        "threshold": st.sampled_from([0.0, 0.25, 0.5]),
        "order": st.sampled_from(["fifo", "lifo", "random"]),
        "dedup": st.sampled_from(["refresh", "allow"]),
        "recheck": st.sampled_from(["latest", "none"]),
        "max_age_steps": st.none() | st.integers(1, 4),
        "capacity": st.none() | st.integers(1, 6),
        "max_uses": st.none() | st.integers(1, 3),
        "drain": st.sampled_from(["one", "all"]),
    }
)
QUESTIONS = 6


class InterruptedBuffer(RuleBasedStateMachine):
    """Two buffers live the same life, one is put away as JSON and taken up again now and then."""

    @initialize(options=OPTIONS, batch=st.integers(1, 4), seed=st.integers(0, 3))
    def begin(self, options: dict[str, Any], batch: int, seed: int) -> None:
        self.config, self.batch, self.seed = BufferConfig(**options), batch, seed
        self.step = 0
        self.whole, self.broken = self.new(), self.new()
        self.waiting: Counter[tuple[str, int]] = Counter()  # rebuilt from events alone

    def new(self) -> DemoBuffer:
        return DemoBuffer(self.config, demos_of(0, 1, 1, 2, 3, 4), batch=self.batch, seed=self.seed)

    @rule(
        counts=st.dictionaries(
            st.integers(0, QUESTIONS - 1), st.tuples(st.integers(0, N), st.integers(0, N)).map(sorted).map(tuple)
        )
    )
    def step_of_training(self, counts: dict[int, tuple[int, int]]) -> None:
        self.step += 1
        offered: dict[int, int | tuple[int, int]] = {**counts}
        batches = []
        for buffer in (self.whole, self.broken):
            offer(buffer, self.step, offered)
            batches.append(due(buffer, self.step))
        assert batches[0] == batches[1]
        assert all(len(b) <= self.batch for b in batches[0])
        events = self.whole.take_events()
        assert events == self.broken.take_events()
        self.follow(events)

    @rule()
    def resume(self) -> None:
        state = json.dumps(self.broken.state_dict(), allow_nan=False)
        self.broken = self.new()
        self.broken.load_state_dict(json.loads(state))

    def follow(self, events: list[Event]) -> None:
        for event in events:
            self.waiting[event.demo_id, event.question_ix] += 1 if event.event == "enqueue" else -1
            assert event.buffer_len == sum(self.waiting.values()) and min(self.waiting.values()) >= 0

    @invariant()
    def bounds(self) -> None:
        if not hasattr(self, "whole"):
            return
        entries, config = self.whole.entries, self.config
        assert Counter((e.demo_id, e.question_ix) for e in entries) == +self.waiting  # events tell the whole story
        assert [e.step for e in entries] == sorted(e.step for e in entries)  # oldest first
        assert self.broken.uses == self.whole.uses
        if config.dedup == "refresh":
            assert len({e.question_ix for e in entries}) == len(entries)
        if config.capacity is not None:
            assert len(entries) <= config.capacity
        if config.max_age_steps is not None:
            assert all(self.step - e.seen <= config.max_age_steps for e in entries)
        if config.max_uses is not None:
            assert max(self.whole.uses.values(), default=0) <= config.max_uses


TestInterruptedBuffer = InterruptedBuffer.TestCase
TestInterruptedBuffer.settings = settings(deadline=None, max_examples=60, stateful_step_count=25)
