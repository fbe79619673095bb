"""Write down what the loop does: frames from answers, exposures, running numbers and totals."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relift.config import BufferConfig
from relift.engines.tokens import Completion
from relift.grading import Judgement
from relift.learner.losses import sft
from relift.learner.update import Component, Term, TrainSequence, Update, UpdateStats
from relift.schema import Assistance, Finish, Origin, UpdateKind, Verdict
from relift.store import RunReader, RunWriter, check_run
from relift.trainer.answers import Answers, GroupCounts
from relift.trainer.demos import DemoBuffer
from relift.trainer.record import Record, Totals, attempts_frame
from tests.trainer.scripted import demo_of, items, scripted_run, tokens

CORRECT, WRONG, UNDECIDED = Verdict.correct, Verdict.wrong, Verdict.undecided


def completion(n: int, *, entropy: float | None = 0.5, finish: Finish = Finish.stop, seed: int = 0) -> Completion:
    return Completion(np.arange(n, dtype=np.int32), np.full(n, -0.25, np.float32), finish, entropy, seed)


# Question 2 comes before question 0 in the batch; its first attempt is undecided, its second was cut off.
ANSWERS = Answers(
    question_ix_Q=np.array([2, 0], np.int32),
    prompt_ids_QG=[[(1,)] * 2, [(2,)] * 2],
    completions_QG=[
        [completion(4, seed=1), completion(8, finish=Finish.length, seed=2)],
        [completion(2, entropy=None, seed=3), completion(6, seed=4)],
    ],
    judgements_QG=[
        [Judgement(UNDECIDED, "none.crash"), Judgement(WRONG, "none.truncated")],
        [Judgement(CORRECT, "box.text", "1"), Judgement(WRONG, "box.number", "3")],
    ],
    texts_QG=[["two a", "two b"], ["nought a", "nought b"]],
    version=5,
    assistance_QG=[[Assistance.none] * 2] * 2,
)


def stats(n_tokens: int = 10, *, skipped: bool = False) -> UpdateStats:
    loss = math.nan if skipped else 1.0
    return UpdateStats(
        loss=loss, grad_norm=0.5, lr=1e-3, n_sequences=2, n_tokens=n_tokens, entropy=None, sampler_kl=None,
        n_sampled_tokens=None, sampler_gap=None, sampler_gap_p99=None, effective_tokens=None, clip_fraction=None,
        skipped=skipped, seconds=0.125,
    )  # fmt: skip


def update(kind: UpdateKind, *components: tuple[str, int]) -> Update:
    """components: (name, sequences of 3 tokens)."""
    made = [
        Component(name, tuple(TrainSequence((1,), tokens("ab")) for _ in range(n)), (Term(sft(), 1.0),))
        for name, n in components
    ]
    return Update(kind, "rl", tuple(made))


@pytest.fixture
def record(tmp_path: Path) -> Any:
    run = scripted_run(tmp_path / "run", {"recipe": "relift", "rollout": {"questions_per_step": 4}}, with_demo=[0, 2])
    yield run.record
    run.record.writer.close()


def written(record: Record, step: int = 1) -> RunReader:
    record.writer.commit(step)
    return RunReader(record.writer.folder)


# ---- attempts --------------------------------------------------------------------------------------------------


def test_a_row_per_attempt() -> None:
    frame = attempts_frame(ANSWERS, decoding="rollout")
    rows = frame.astype(object).where(frame.notna(), None)
    elsewhere = ["policy_version", "decoding_id", "grader_agrees", "rewards", "used_in_update"]
    assert rows.drop(columns=elsewhere).to_numpy().tolist() == [
        # question, attempt, help, verdict, rule, reward, finish, tokens, answer, log-probability, entropy, seed, text
        [2, 0, "none", "undecided", "none.crash", None, "stop", 4, None, -1.0, 0.5, 1, "two a"],
        [2, 1, "none", "wrong", "none.truncated", 0.0, "length", 8, None, -2.0, 0.5, 2, "two b"],
        [0, 0, "none", "correct", "box.text", 1.0, "stop", 2, "1", -0.5, None, 3, "nought a"],
        [0, 1, "none", "wrong", "box.number", 0.0, "stop", 6, "3", -1.5, 0.5, 4, "nought b"],
    ]
    assert set(frame["policy_version"]) == {5} and set(frame["decoding_id"]) == {"rollout"}


def write_rollouts(record: Record, *, step: int = 1, texts: bool = True, used: list[list[bool]] | None = None) -> None:
    """An update with the attempts of question 0 at advantages .5 and -.5; those not in `used` were refused."""
    used = used or [[False, False], [True, True]]
    done = []
    for g, advantage in ((0, 0.5), (1, -0.5)):
        n = len(ANSWERS.completions_QG[1][g].token_ids_T)
        ids_T, columns = np.zeros(n, np.int32), {"advantage": np.full(n, advantage, np.float32)}
        sequence = TrainSequence((2,), ids_T, columns, attempt=(1, g))
        component = Component("rl", (sequence,), (Term(sft(), 1.0),))
        done.append((Update(UpdateKind.rl, "rl", (component,)), stats(skipped=not used[1][g])))
    if used[0][1]:
        sequence = TrainSequence((1,), np.zeros(8, np.int32), {"advantage": np.zeros(8, np.float32)}, attempt=(0, 1))
        done.append((Update(UpdateKind.rl, "rl", (Component("rl", (sequence,), (Term(sft(), 1.0),)),)), stats()))
    record.write_rollouts(step, ANSWERS, done, texts=texts, waiting={2})


def test_rollouts_land_in_order_of_question(record: Record) -> None:
    write_rollouts(record)
    reader = written(record)
    attempts = reader.read("attempts")
    assert attempts[["question_ix", "attempt", "response_id"]].to_numpy().tolist() == [
        [0, 0, 0], [0, 1, 1], [2, 0, 2], [2, 1, 3]
    ]  # fmt: skip
    assert attempts["used_in_update"].tolist() == [True, True, False, False]
    np.testing.assert_array_equal(attempts["advantage"], [0.5, -0.5, np.nan, 0.0])  # null where undecided
    np.testing.assert_array_equal(attempts["reward"], [1.0, 0.0, np.nan, 0.0])
    texts = reader.read("responses").set_index("response_id")["text"]
    assert texts.loc[attempts["response_id"]].tolist() == ["nought a", "nought b", "two a", "two b"]
    assert reader.read("trajectories").set_index("question_ix")[
        ["n_attempts", "n_correct", "n_undecided", "n_truncated", "rl_exposures", "sft_exposures", "in_buffer"]
    ].T.to_dict("list") == {0: [2, 1, 0, 0, 1, 0, False], 2: [2, 0, 1, 1, 0, 0, True]}
    totals = record.totals
    assert (totals.samples, totals.generated_tokens) == (4, 20)  # 4 + 8 + 2 + 6


def test_texts_may_be_left_out(record: Record) -> None:
    write_rollouts(record, texts=False)
    reader = written(record)
    assert reader.files("responses") == [] and reader.read("attempts")["response_id"].isna().all()


def test_an_exposure_is_a_step_not_an_attempt(record: Record) -> None:
    write_rollouts(record, step=1)
    record.writer.commit(1)
    write_rollouts(record, step=2, used=[[False, True], [False, False]])
    record.writer.commit(2)
    assert record.rl_exposures.tolist() == [1, 0, 1, 0]


def test_probes_leave_training_columns_null(record: Record) -> None:
    frame = attempts_frame(ANSWERS, decoding="probe")
    record.write_attempts(1, Origin.probe, 1, frame, texts=True)
    reader = written(record)
    attempts = reader.read("attempts")
    assert attempts["advantage"].isna().all() and attempts["used_in_update"].isna().all()
    assert set(attempts["origin"]) == {"probe"} and set(attempts["draw"]) == {1}
    assert (record.totals.samples, record.totals.generated_tokens) == (0, 0)  # training alone counts


def test_answers_without_entropy_or_final_answer(record: Record) -> None:
    """Columns of nothing but null have no type of their own."""
    bare = Answers(
        ANSWERS.question_ix_Q,
        ANSWERS.prompt_ids_QG,
        [[completion(1, entropy=None)] * 2] * 2,
        [[Judgement(UNDECIDED, "none.crash")] * 2] * 2,
        [[""] * 2] * 2,
        version=0,
        assistance_QG=ANSWERS.assistance_QG,
    )
    record.write_attempts(1, Origin.probe, 0, attempts_frame(bare, decoding="probe"), texts=True)
    reader = written(record)
    assert reader.read("attempts")[["reward", "answer", "mean_entropy"]].isna().all(axis=None)
    assert reader.read("trajectories")["n_undecided"].tolist() == [2, 2]
    assert check_run(record.writer.folder).problems == []


# ---- updates ---------------------------------------------------------------------------------------------------


def test_totals_count_updates_by_kind() -> None:
    """Sequences of 3 tokens; `stats` says 10 tokens an update. A refused update trains on nothing."""
    writer: Any = None
    record = Record(writer, 1)
    for made, skipped in (
        (update(UpdateKind.rl, ("rl", 2)), False),
        (update(UpdateKind.sft, ("demo", 2)), False),
        (update(UpdateKind.mixed, ("rl", 1), ("demo", 1)), False),
        (update(UpdateKind.sft, ("demo", 5)), True),
    ):
        record.count_update(made, stats(skipped=skipped))
    totals = record.totals
    assert (totals.updates, totals.rl_updates, totals.sft_updates) == (4, 2, 2)
    assert (totals.trained_tokens, totals.demonstration_tokens) == (30, 9)


def test_updates_are_numbered_through_and_keep_what_is_not_finite(record: Record) -> None:
    for step, skips in ((1, [False, True]), (2, [False])):
        done = [(update(UpdateKind.rl, ("rl", 1)), stats(skipped=skipped)) for skipped in skips]
        for pair in done:
            record.count_update(*pair)
        record.write_updates(step, done)
        record.writer.commit(step)
    table = RunReader(record.writer.folder).read("updates")
    assert table[["update", "step", "skipped"]].to_numpy().tolist() == [[0, 1, False], [1, 1, True], [2, 2, False]]
    np.testing.assert_array_equal(table["loss"], [1.0, np.nan, 1.0])
    assert table["entropy"].isna().all()  # not measured


def test_no_updates_no_file(record: Record) -> None:
    record.write_updates(1, [])
    assert written(record).files("updates") == []


# ---- events ----------------------------------------------------------------------------------------------------


def test_events_are_numbered_through(record: Record) -> None:
    run_buffer = buffer_with(record)
    run_buffer.offer(1, GroupCounts(*(np.array([n]) for n in (0, 0, 2, 2))))
    record.write_demo_events(1, run_buffer)
    record.writer.commit(1)
    (second,) = (d for d in run_buffer.demo_by_id.values() if d.question_ix == 2)
    run_buffer.record_uses(2, [second])
    run_buffer.due(2)
    record.write_demo_events(2, run_buffer)
    record.writer.commit(2)
    record.write_demo_events(3, run_buffer)  # nothing happened
    record.writer.commit(3)
    reader = RunReader(record.writer.folder)
    table = reader.read("demo_events")
    rows = table.astype(object).where(table.notna(), None)
    names = ["event_ix", "step", "question_ix", "event", "buffer_len", "age_steps", "n_correct", "n_attempts"]
    assert rows[names].to_numpy().tolist() == [
        [0, 1, 0, "enqueue", 1, 0, 0, 2],
        [1, 2, 2, "train", 1, None, None, None],  # it never waited
        [2, 2, 0, "train", 0, 1, 0, 2],
    ]
    assert record.sft_exposures.tolist() == [1, 0, 1, 0]
    assert (record.totals.events, record.totals.demonstrations, record.totals.distinct_demonstrations) == (3, 2, 2)
    assert reader.files("demo_events", steps=[3]) == []


def buffer_with(record: Record) -> DemoBuffer:
    """A buffer of batch 1 over the run's own demonstrations."""
    demos = [demo_of(item) for item in items(4) if item.question_ix in (0, 2)]
    return DemoBuffer(BufferConfig(), demos, batch=1, seed=0)


def test_repeats_count_as_uses_and_not_as_demonstrations(record: Record) -> None:
    buffer = buffer_with(record)
    demo = next(iter(buffer.demo_by_id.values()))
    for _ in range(3):
        buffer.record_uses(3, [demo])
    record.write_demo_events(3, buffer)
    assert (record.totals.demonstrations, record.totals.distinct_demonstrations) == (3, 1)
    assert record.sft_exposures[demo.question_ix] == 3


# ---- totals ----------------------------------------------------------------------------------------------------


def test_totals_survive_the_checkpoint() -> None:
    totals = Totals(**{f: i for i, f in enumerate(vars(Totals()))})
    assert Totals.load(json.loads(json.dumps(vars(totals)))) == totals


def test_totals_are_a_row_of_checkpoints(tmp_path: Path, record: Record) -> None:
    row = {"step": 0, "kind": "base", **Totals().row()}
    record.writer.write_whole("checkpoints", pd.DataFrame([row]))
    assert len(record.writer.read_whole("checkpoints")) == 1
    assert isinstance(record.writer, RunWriter)
