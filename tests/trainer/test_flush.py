"""When the waiting demonstrations are trained on: a gate on reward or entropy, a cooldown, questions asked anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relift.config import BufferConfig
from relift.errors import InputError
from relift.store import RunReader, check_run
from relift.trainer.configuration import load_config
from relift.trainer.flush import Flush
from tests.trainer.scripted import config_of, scripted_run, train
from tests.trainer.test_demos import buffer_of, counts_of, due, offer, waits


def gate(**options: Any) -> Flush:
    return Flush(BufferConfig(flush="gate", **options), batch=4)


def test_the_gate_opens_when_the_mean_over_the_window_is_low_enough() -> None:
    flush = gate(gate_below=0.5, gate_window=2)
    open_at = []
    for step, correct in enumerate((0, 4, 1, 3, 0), start=1):  # of 4: rewards 0, 1, .25, .75, 0
        flush.see(counts_of({0: correct}), None)
        open_at.append(flush.is_due(step, waiting=1, done=0))
    # means over two steps: none yet, .5, .625, .5, .375
    assert open_at == [False, True, False, True, True]


def test_the_gate_may_look_at_entropy_and_not_at_undecided_steps() -> None:
    flush = gate(gate="entropy", gate_below=0.2, gate_window=2)
    for entropy in (0.3, None, 0.1):  # a step without rollouts says nothing
        flush.see(counts_of({0: 4}), entropy)
    assert flush.signal == [0.3, 0.1] and flush.is_due(3, waiting=1, done=0)  # mean .2
    reward = gate(gate_window=1)
    reward.see(counts_of({0: (0, 0)}), None)
    assert reward.signal == [] and not reward.is_due(1, waiting=9, done=0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"flush": "all"}, [1, 2, 3, 4, 5, 6]),
        ({"flush": "all", "cooldown": 1}, [1, 3, 5]),
        ({"flush": "all", "cooldown": 2}, [1, 4]),
        ({"flush": "uniform", "every": 2, "cooldown": 2}, [2, 6]),  # 4 falls into the cooldown
        ({"flush": "gate", "gate_window": 1, "gate_below": 0.0, "cooldown": 3}, [1, 5]),
        ({"flush": "never"}, []),
    ],
)
def test_a_cooldown_keeps_steps_apart_under_every_flush(options: dict[str, Any], expected: list[int]) -> None:
    buffer = buffer_of(*range(20), batch=1, **options)
    trained = []
    for step in range(1, 7):
        offer(buffer, step, {2 * step: 0, 2 * step + 1: 0})
        trained += [step] * len(due(buffer, step))
    assert trained == expected


def test_gate_and_cooldown_are_in_the_checkpoint() -> None:
    options: dict[str, Any] = {"flush": "gate", "gate_window": 2, "gate_below": 0.1, "cooldown": 2}
    buffer, other = (buffer_of(0, 1, 2, 3, batch=1, **options) for _ in range(2))
    for step in (1, 2):
        offer(buffer, step, {step: 0})
        due(buffer, step)
    assert buffer.flush.state_dict() == {"signal": [0.0, 0.0], "last_step": 2}
    other.load_state_dict(buffer.state_dict())
    assert other.state_dict() == buffer.state_dict()
    older = {k: v for k, v in buffer.state_dict().items() if k != "flush"}
    other.load_state_dict(older)  # a checkpoint of a version without it


def test_a_batch_is_made_of_questions_that_qualified_in_its_step() -> None:
    buffer = buffer_of(0, 1, 2, 3, batch=2, recheck="sample")
    offer(buffer, 1, {0: 0, 1: 0, 2: 0})
    assert due(buffer, 1) == [["d0", "d1"]]  # they were asked in this step
    assert buffer.to_check(2) == []  # one waits, two make a batch
    offer(buffer, 2, {3: 0})
    assert due(buffer, 2) == []  # d2 was last asked in step 1
    assert buffer.to_check(3) == [2, 3]
    offer(buffer, 3, {2: 1, 3: 0})  # 2 is solved now
    assert due(buffer, 3) == [] and waits(buffer) == ["d3"]
    assert [(e.step, e.event, e.reason) for e in buffer.take_events() if e.event == "evict"] == [(3, "evict", "solved")]


@pytest.mark.parametrize("right_from_step_3", [0, 1])
def test_the_questions_asked_anew_are_rollouts_that_rl_does_not_see(tmp_path: Path, right_from_step_3: int) -> None:
    # Four questions, two a step, a batch of three. Steps 1 and 2, all wrong: two wait, then four, of which two were
    # asked in that step: no batch. Step 3: the first three that wait are asked, beside the two of the step (one or two
    # of them the same). All wrong still: three are trained on. One of two right: they leave.
    values = {
        "recipe": "relift",
        "steps": 3,
        "seed": 1,
        "rollout": {"questions_per_step": 2, "attempts_per_question": 2, "max_tokens": 50},
        "sft": {"batch": 3},
        "buffer": {"recheck": "sample"},
        "probe": {"every": 100, "attempts": 2},
    }
    run = scripted_run(
        tmp_path / "run", values, n_train=4, with_demo=(0, 1, 2, 3),
        n_right=lambda question_ix, version: right_from_step_3 if version >= 2 else 0,
    )  # fmt: skip
    train(run)
    run.record.writer.close()
    assert check_run(tmp_path / "run").problems == []
    reader = RunReader(tmp_path / "run")
    attempts = reader.read("attempts", columns=["step", "question_ix", "used_in_update"], origin="rollout")
    asked = attempts.groupby("step")["question_ix"].nunique()
    assert asked[1] == asked[2] == 2 and asked[3] in (3, 4)
    used = attempts[attempts["used_in_update"]].groupby("step")["question_ix"].nunique()
    assert used.to_dict() == ({3: 2} if right_from_step_3 else {})  # never those that were asked anew
    events = reader.read("demo_events", columns=["step", "event"])
    assert (events["event"] == "train").sum() == (0 if right_from_step_3 else 3)
    assert run.record.totals.samples == len(attempts)


def test_an_engine_that_tells_no_entropy_cannot_gate_on_it(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    values = {"recipe": "relift", "rollout": {"engine": "vllm"}, "buffer": {"flush": "gate", "gate": "entropy"}}
    with pytest.raises(InputError, match='buffer.gate = "entropy": rollout.engine = vllm tells no entropy'):
        config_of(path, values)
    load_config("relift", overrides=["buffer.flush=gate", "buffer.gate=entropy"])
    with pytest.raises(InputError, match='buffer.recheck = "sample": with rollout.refill'):
        load_config("relift", overrides=["buffer.recheck=sample", "rollout.refill=2", "rl.drop_flat_groups=true"])
