"""The loop, with answers from a table: what each recipe trains on, and every row that is left of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relift.errors import GuardStop
from relift.grading import Judgement, Submission
from relift.grading.exact import ExactScorer
from relift.schema import TABLES, Verdict
from relift.store import RunReader, RunWriter, check_run
from relift.trainer.record import Totals
from relift.trainer.run import Run, StepReport
from tests.trainer.scripted import Interrupted, ScriptedEngine, ScriptedLearner, demo_of, items, scripted_run, train

Q, G = 4, 2
# A right answer has 10 tokens, a wrong one 14, a demonstration 14 (tests.trainer.scripted).


def config(recipe: str, steps: int, **more: Any) -> dict[str, Any]:
    """All four questions in every step, two attempts at each, two demonstrations a fine-tuning step."""
    values: dict[str, Any] = {
        "recipe": recipe,
        "steps": steps,
        "rollout": {"questions_per_step": Q, "attempts_per_question": G, "max_tokens": 50},
        "sft": {"batch": 2, "phase_steps": 2 if recipe == "sft_rl" else 0},
        "probe": {"every": 2, "attempts": 2},
    }
    return {**values, **{k: {**values.get(k, {}), **v} if isinstance(v, dict) else v for k, v in more.items()}}


def script(*right_of_step: Sequence[int]) -> Callable[[int, int], int]:
    """right_of_step[s][q]: right answers at question q in step s + 1, whose policy has version s."""
    return lambda ix, version: right_of_step[min(version, len(right_of_step) - 1)][ix] if ix < Q else 1


def finish(run: Run) -> RunReader:
    """Train to the end; the folder must be sound."""
    try:
        train(run)
    finally:
        run.record.writer.close()
    assert check_run(run.record.writer.folder).problems == []
    return RunReader(run.record.writer.folder)


def rows(reader: RunReader, table: str, *columns: str, **where: Any) -> list[list[Any]]:
    """The columns as lists, null as None."""
    frame = reader.read(table, columns=list(columns), **where)
    return frame.astype(object).where(frame.notna(), None).to_numpy().tolist()


UPDATE = ("update", "step", "kind", "optimizer", "n_sequences", "n_tokens")
EVENT = ("event_ix", "step", "question_ix", "event", "reason", "buffer_len", "age_steps", "n_correct", "n_attempts")
EXPOSURE = ("step", "question_ix", "n_correct", "rl_exposures", "sft_exposures", "in_buffer")

RELIFT = script((0, 1, 2, 2), (0, 0, 2, 1), (2, 2, 0, 2), (2, 2, 1, 2))


def test_relift_step_by_step(tmp_path: Path) -> None:
    """Question 0 waits from step 1; question 1 joins it in step 2, where both are trained on after the RL update;
    question 2 waits in step 3 and is solved in step 4."""
    learner = ScriptedLearner()
    run = scripted_run(tmp_path / "run", config("relift", 4), with_demo=range(4), n_right=RELIFT, learner=learner)
    reader = finish(run)
    assert rows(reader, "updates", *UPDATE) == [
        [0, 1, "rl", "rl", 2, 24],  # question 1: 10 + 14
        [1, 2, "rl", "rl", 2, 24],  # question 3
        [2, 2, "sft", "sft", 2, 28],
        [3, 3, "rl", "rl", 0, 0],  # every group flat: the step is counted
        [4, 4, "rl", "rl", 2, 24],
    ]
    assert rows(reader, "demo_events", *EVENT) == [
        [0, 1, 0, "enqueue", None, 1, 0, 0, 2],
        [1, 2, 1, "enqueue", None, 2, 0, 0, 2],
        [2, 2, 0, "train", None, 1, 1, 0, 2],
        [3, 2, 1, "train", None, 0, 0, 0, 2],
        [4, 3, 2, "enqueue", None, 1, 0, 0, 2],
        [5, 4, 2, "evict", "solved", 0, 1, 0, 2],
    ]
    assert rows(reader, "trajectories", *EXPOSURE) == [
        [1, 0, 0, 0, 0, True], [1, 1, 1, 1, 0, False], [1, 2, 2, 0, 0, False], [1, 3, 2, 0, 0, False],
        [2, 0, 0, 0, 1, False], [2, 1, 0, 1, 1, False], [2, 2, 2, 0, 0, False], [2, 3, 1, 1, 0, False],
        [3, 0, 2, 0, 1, False], [3, 1, 2, 1, 1, False], [3, 2, 0, 0, 0, True], [3, 3, 2, 1, 0, False],
        [4, 0, 2, 0, 1, False], [4, 1, 2, 1, 1, False], [4, 2, 1, 1, 0, False], [4, 3, 2, 1, 0, False],
    ]  # fmt: skip
    assert rows(reader, "attempts", "question_ix", "attempt", "verdict", "advantage", "used_in_update", steps=[2]) == [
        [0, 0, "wrong", 0.0, False], [0, 1, "wrong", 0.0, False],
        [1, 0, "wrong", 0.0, False], [1, 1, "wrong", 0.0, False],
        [2, 0, "correct", 0.0, False], [2, 1, "correct", 0.0, False],
        [3, 0, "correct", 0.5, True], [3, 1, "wrong", -0.5, True],
    ]  # fmt: skip
    assert rows(reader, "attempts", "step", "policy_version", question_ixs=[0]) == [
        [s, s - 1] for s in (1, 1, 2, 2, 3, 3, 4, 4)
    ]
    totals = run.record.totals
    assert (totals.rl_updates, totals.sft_updates, totals.samples) == (4, 1, 32)
    assert totals.generated_tokens == 4 * 8 * 14 - 4 * 21  # 21 of 32 answers are right, each 4 tokens shorter
    assert (totals.trained_tokens, totals.demonstration_tokens) == (24 * 3 + 28, 28)
    assert (totals.demonstrations, totals.distinct_demonstrations) == (2, 2)


def test_relift_trains_on_the_rollouts_prompt_and_the_whole_demonstration(tmp_path: Path) -> None:
    learner = ScriptedLearner()
    finish(scripted_run(tmp_path / "run", config("relift", 2), with_demo=range(4), n_right=RELIFT, learner=learner))
    sft = learner.updates[2].components[0]
    (term,) = sft.terms
    asked = items(2)
    assert [s.prompt_ids for s in sft.sequences] == [item.prompt_ids for item in asked]
    assert [s.completion_ids_T.tolist() for s in sft.sequences] == [demo_of(i).completion_ids_T.tolist() for i in asked]
    assert (term.denominator, term.entropy_weight, term.loss.name) == (28.0, 1e-4, "sft")
    rl = learner.updates[0].components[0]
    assert rl.terms[0].denominator == 3 * 14 + 5 * 10  # all eight answers of step 1, though two were trained on


def test_old_log_probabilities_are_asked_for_when_a_batch_is_used_twice(tmp_path: Path) -> None:
    """One update: the ratio is 1 and nothing is scored. Two: the four answers that are trained on, before the first."""
    for n, scored in ((1, []), (2, [4, 4])):
        learner = ScriptedLearner()
        values = config("grpo", 2, rl={"updates_per_batch": n})
        finish(scripted_run(tmp_path / str(n), values, n_right=script((0, 1, 2, 1)), learner=learner))
        assert learner.scored == scored
        assert len(learner.updates) == 2 * n
        sequences = [s for u in learner.updates for c in u.components for s in c.sequences]
        assert len(sequences) == 2 * 4 and all(("old" not in s.columns) == (n == 1) for s in sequences)


@pytest.mark.parametrize("recipe", ["grpo", "drgrpo", "dapo"])
def test_pure_rl(tmp_path: Path, recipe: str) -> None:
    """The all-wrong question is never fine-tuned on, though a demonstration is there."""
    run = scripted_run(tmp_path / "run", config(recipe, 2), with_demo=[0], n_right=script((0, 1, 2, 1)))
    reader = finish(run)
    assert run.engine.published == [0, 1]  # type: ignore[attr-defined]  # nobody asks after the last step
    assert rows(reader, "updates", *UPDATE) == [[0, 1, "rl", "rl", 4, 48], [1, 2, "rl", "rl", 4, 48]]
    assert reader.files("demo_events") == []
    assert rows(reader, "trajectories", *EXPOSURE, steps=[2]) == [
        [2, 0, 0, 0, 0, False], [2, 1, 1, 2, 0, False], [2, 2, 2, 0, 0, False], [2, 3, 1, 2, 0, False]
    ]  # fmt: skip
    advantage = 0.5 if recipe == "drgrpo" else 0.5 / (0.5**0.5 + 1e-6)  # std of (1, 0) with ddof 1 is sqrt(.5)
    (row,) = [r for r in rows(reader, "attempts", "question_ix", "attempt", "advantage", steps=[1]) if r[:2] == [1, 0]]
    assert row[2] == pytest.approx(advantage, rel=1e-7)


def test_hpt(tmp_path: Path) -> None:
    """Question 0 is all wrong and has a demonstration: trained on at once, in the same update, its answers unused.
    Question 1 is all wrong and has none."""
    run = scripted_run(
        tmp_path / "run", config("hpt", 1, rl={"entropy_weight": 0.0}), with_demo=[0, 2], n_right=script((0, 0, 1, 2))
    )
    reader = finish(run)
    assert rows(reader, "updates", *UPDATE) == [[0, 1, "mixed", "rl", 3, 24 + 14]]
    assert rows(reader, "demo_events", *EVENT) == [[0, 1, 0, "train", None, 0, None, 0, 2]]
    assert rows(reader, "trajectories", *EXPOSURE) == [
        [1, 0, 0, 0, 1, False], [1, 1, 0, 0, 0, False], [1, 2, 1, 1, 0, False], [1, 3, 2, 0, 0, False]
    ]  # fmt: skip
    (rl, demo) = run.learner.updates[0].components  # type: ignore[attr-defined]
    # Four questions, whichever part trains them: 1/(4 * 50) for a question's two answers, 1/4 for one demonstration.
    assert rl.terms[0].denominator == 4 * 50.0 and set(rl.terms[0].per_token_S) == {1 / 2}
    assert demo.terms[0].denominator == 4.0 and demo.terms[0].per_token_S.tolist() == [1 / 14]
    assert (run.record.totals.rl_updates, run.record.totals.sft_updates) == (1, 1)


def test_sft(tmp_path: Path) -> None:
    """Two epochs of 5 // 2 = 2 steps; nothing is sampled but probes."""
    run = scripted_run(tmp_path / "run", config("sft", 4), n_train=5, n_probe=2, with_demo=range(5))
    reader = finish(run)
    assert rows(reader, "updates", *UPDATE) == [[i, i + 1, "sft", "sft", 2, 28] for i in range(4)]
    events = rows(reader, "demo_events", "step", "question_ix", "event", "age_steps", "n_attempts")
    assert [e[0] for e in events] == [1, 1, 2, 2, 3, 3, 4, 4] and {tuple(e[2:]) for e in events} == {
        ("train", None, None)
    }
    assert all(len({e[1] for e in events[i : i + 4]}) == 4 for i in (0, 4))  # no repeats within an epoch
    assert set(reader.read("attempts")["origin"]) == {"probe"}
    assert len(run.engine.calls) == 4  # type: ignore[attr-defined]  # two draws at step 0, one at 2 and at 4
    assert run.engine.published == [0, 2, 4]  # type: ignore[attr-defined]  # weights are handed over when asked for
    totals = run.record.totals
    assert (totals.samples, totals.sft_updates, totals.demonstrations) == (0, 4, 8)
    assert totals.distinct_demonstrations == len({e[1] for e in events})


def test_sft_then_rl(tmp_path: Path) -> None:
    """Two steps of fine-tuning, then RL from the beginning of the questions' order."""
    run = scripted_run(tmp_path / "run", config("sft_rl", 4), with_demo=range(4), n_right=script((1, 1, 0, 2)))
    reader = finish(run)
    assert run.learner.stepped == ["sft", "sft", "forgot sft", "rl", "rl"]  # type: ignore[attr-defined]
    assert rows(reader, "updates", *UPDATE) == [
        [0, 1, "sft", "sft", 2, 28], [1, 2, "sft", "sft", 2, 28], [2, 3, "rl", "rl", 4, 48], [3, 4, "rl", "rl", 4, 48]
    ]  # fmt: skip
    assert reader.steps("attempts", origin="rollout") == [3, 4]
    assert rows(reader, "trajectories", *EXPOSURE, steps=[4]) == [
        [4, 0, 1, 2, 1, False], [4, 1, 1, 2, 1, False], [4, 2, 0, 0, 1, False], [4, 3, 2, 0, 1, False]
    ]  # fmt: skip  # an all-wrong question does not enter the buffer in this recipe


def test_all_correct_from_the_first_batch_on(tmp_path: Path) -> None:
    """The buffer is empty all along."""
    reader = finish(
        scripted_run(tmp_path / "run", config("relift", 3), with_demo=range(4), n_right=lambda ix, version: 2)
    )
    assert reader.files("demo_events") == []
    assert [r[2:] for r in rows(reader, "updates", *UPDATE)] == [["rl", "rl", 0, 0]] * 3


@pytest.mark.parametrize(("recipe", "before"), [("grpo", 0), ("sft_rl", 2)])
def test_questions_come_in_the_order_of_the_stream(tmp_path: Path, recipe: str, before: int) -> None:
    """From its beginning, also after `before` steps of fine-tuning."""
    values = config(recipe, before + 5, rollout={"questions_per_step": 2})
    run = scripted_run(tmp_path / "run", values, n_train=5, with_demo=range(5))
    assert run.question_stream is not None
    expected = [run.question_stream.batch(k).tolist() for k in range(5)]
    reader = finish(run)
    by_prompt = {item.prompt_ids: item.question_ix for item in run.train_items}
    calls = run.engine.calls  # type: ignore[attr-defined]
    assert [[by_prompt[r.prompt_ids] for r in call] for call in calls] == expected
    for k, batch in enumerate(expected):
        assert {ix for (ix,) in rows(reader, "attempts", "question_ix", steps=[before + k + 1])} == set(batch)


# ---- probes, checkpoints, reports ------------------------------------------------------------------------------


def test_probes(tmp_path: Path) -> None:
    """Twice at step 0, every second step, and at the end; questions 6 and 7 at both ends alone."""
    run = scripted_run(tmp_path / "run", config("relift", 5), n_probe=2, n_ends=2, with_demo=[0], n_right=RELIFT)
    reader = finish(run)
    probes = reader.read("attempts", columns=["step", "draw", "question_ix", "seed", "policy_version"], origin="probe")
    asked = {place: sorted(set(group["question_ix"])) for place, group in probes.groupby(["step", "draw"])}
    assert asked == {(0, 0): [4, 5, 6, 7], (0, 1): [4, 5, 6, 7], (2, 0): [4, 5], (4, 0): [4, 5], (5, 0): [4, 5, 6, 7]}
    assert probes["seed"].is_unique  # the two draws are independent
    assert (probes["policy_version"] == probes["step"]).all()  # after the step's updates
    assert reader.committed_step == 5 and len(list((reader.folder / "commits").iterdir())) == 6


def test_the_last_step_is_probed_once(tmp_path: Path) -> None:
    reader = finish(scripted_run(tmp_path / "run", config("grpo", 4), n_probe=1))
    assert reader.steps("attempts", origin="probe") == [0, 2, 4]


def test_a_run_of_no_steps_probes_the_base(tmp_path: Path) -> None:
    saved: list[tuple[int | None, str | None]] = []
    reader = finish(scripted_run(tmp_path / "run", config("grpo", 0), n_probe=1, saved=saved))
    assert saved == [(0, "final")] and len(reader.files("attempts", origin="probe")) == 2


def test_step_0_may_be_taken_over(tmp_path: Path) -> None:
    run = scripted_run(tmp_path / "run", config("grpo", 1), n_probe=1, take_over_base=lambda run: True)
    reader = finish(run)
    assert reader.steps("attempts", origin="probe") == [1] and reader.committed_step == 1


def test_probe_answers_are_scored_under_the_base(tmp_path: Path) -> None:
    """-.75 a token there, -.5 under the policy: 14 tokens wrong, 10 right, and a KL of .25 a token."""
    for on in (True, False):
        seen: list[float | None] = []
        run = scripted_run(
            tmp_path / str(on),
            config("grpo", 3, probe={"score_base": on}),
            n_probe=1,
            n_right=script((0, 1, 2, 2)),
            save=lambda run, kind, seen=seen: seen.append(run.record.kl_to_base),
        )
        reader = finish(run)
        base = rows(reader, "attempts", "attempt", "sum_logprob_base", origin="probe", draws=[0], steps=[2])
        assert base == ([[0, -7.5], [1, -10.5]] if on else [[0, None], [1, None]])
        assert seen == ([0.25, 0.25] if on else [None, None])  # step 0 and the end
        assert reader.read("attempts", columns=["sum_logprob_base"], origin="rollout").isna().all(axis=None)


def test_checkpoints(tmp_path: Path) -> None:
    saved: list[tuple[int | None, str | None]] = []
    finish(scripted_run(tmp_path / "run", config("grpo", 5, checkpoint={"every": 2}), saved=saved))
    assert saved == [(0, "base"), (2, "train"), (4, "train"), (5, "final")]


def test_a_checkpoint_is_made_after_its_step_is_committed(tmp_path: Path) -> None:
    committed: list[tuple[int | None, int | None]] = []
    run = scripted_run(
        tmp_path / "run",
        config("grpo", 2, checkpoint={"every": 1}),
        save=lambda run, kind: committed.append((run.step, run.record.writer.committed_step)),
    )
    finish(run)
    assert committed == [(0, 0), (1, 1), (2, 2)]


def test_reports(tmp_path: Path) -> None:
    """RELIFT: 5, 3, 6 of 8 right; the one probe question has 1 of 2 right, always."""
    reports: list[StepReport] = []
    values = config("relift", 3)
    finish(
        scripted_run(tmp_path / "run", values, n_probe=1, with_demo=range(4), n_right=RELIFT, on_step=reports.append)
    )
    assert [(r.step, r.reward, r.probe_accuracy, r.buffer_len, r.updates) for r in reports] == [
        (0, None, 0.5, 0, 0), (1, 5 / 8, None, 1, 1), (2, 3 / 8, 0.5, 0, 3), (3, 6 / 8, 0.5, 1, 4)
    ]  # fmt: skip
    assert reports[-1].generated_tokens == 24 * 14 - 14 * 4


# ---- guards ----------------------------------------------------------------------------------------------------


class Failing(ExactScorer):
    """Dies from the n-th call on (from 1), for good."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.calls_left = n - 1

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        self.calls_left -= 1
        if self.calls_left < 0:
            raise OSError("broken pipe")
        return super().judge(submissions)


@pytest.mark.parametrize(("call", "committed"), [(1, 0), (3, 2)])
def test_a_broken_grader_stops_the_run_before_anything_is_learnt(tmp_path: Path, call: int, committed: int) -> None:
    """The step that could not be graded leaves no update, no event, no row: nothing is called wrong."""
    learner = ScriptedLearner()
    values = config("relift", 9)
    run = scripted_run(
        tmp_path / "run", values, with_demo=range(4), n_right=RELIFT, grader=Failing(call), learner=learner
    )
    with pytest.raises(GuardStop, match="100.0% of the verdicts are undecided"):
        finish(run)
    reader = RunReader(run.record.writer.folder)
    assert reader.committed_step == committed and check_run(reader.folder).problems == []
    assert max([u[1] for u in rows(reader, "updates", *UPDATE)], default=0) == committed
    assert len(learner.updates) == len(rows(reader, "updates", *UPDATE))
    assert reader.steps("attempts") == list(range(1, committed + 1))
    assert "undecided" not in set(reader.read("attempts")["verdict"])


def test_a_broken_grader_stops_the_first_probe(tmp_path: Path) -> None:
    run = scripted_run(tmp_path / "run", config("relift", 9), n_probe=1, with_demo=[0], grader=Failing(1))
    with pytest.raises(GuardStop, match="step 0, probe: 100.0%"):
        finish(run)
    reader = RunReader(run.record.writer.folder)
    assert reader.committed_step is None and reader.read("attempts").empty


class Hesitant(ExactScorer):
    """Cannot decide the very first answer it sees in a call."""

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        return [Judgement(Verdict.undecided, "test.timeout"), *super().judge(submissions)[1:]]


def test_an_undecided_answer_is_as_if_never_sampled(tmp_path: Path) -> None:
    """Everything is wrong; of the first question asked one verdict of two is missing, so it is not beyond reach."""
    warnings: list[str] = []
    values = config("relift", 1, sft={"batch": 4})
    run = scripted_run(tmp_path / "run", values, with_demo=range(4), grader=Hesitant(), warn=warnings.append)
    assert run.question_stream is not None
    first = int(run.question_stream.batch(0)[0])
    reader = finish(run)
    assert len(warnings) == 1 and "12.5% of the verdicts are undecided (test.timeout 1)" in warnings[0]
    others = sorted({0, 1, 2, 3} - {first})
    assert sorted(e[2] for e in rows(reader, "demo_events", *EVENT)) == others
    columns = ("verdict", "reward", "advantage", "used_in_update")
    assert rows(reader, "attempts", *columns, question_ixs=[first]) == [
        ["undecided", None, None, False], ["wrong", 0.0, 0.0, False]
    ]  # fmt: skip
    counts = rows(reader, "trajectories", "n_attempts", "n_correct", "n_undecided", "in_buffer", question_ixs=[first])
    assert counts == [[2, 0, 1, False]]
    (rl,) = run.learner.updates[0].components  # type: ignore[attr-defined]
    assert rl.terms[0].denominator == 7 * 14.0


def test_three_refused_updates_in_a_row_stop_the_run(tmp_path: Path) -> None:
    """One update a step: refused in steps 2, 4, 5 and 6."""
    saved: list[tuple[int | None, str | None]] = []
    learner = ScriptedLearner(refuses={1, 3, 4, 5})
    values = config("grpo", 9)
    run = scripted_run(tmp_path / "run", values, n_right=lambda ix, version: 1, learner=learner, saved=saved)
    with pytest.raises(GuardStop, match="step 6: 3 updates in a row were refused") as caught:
        finish(run)
    assert "\n" not in str(caught.value)
    reader = RunReader(run.record.writer.folder)
    assert check_run(reader.folder).problems == []
    assert [r[1] for r in rows(reader, "updates", "step", "skipped") if r[1]] == [True] * 4
    used = {s: {r[0] for r in rows(reader, "attempts", "used_in_update", steps=[s])} for s in range(1, 7)}
    assert used == {1: {True}, 2: {False}, 3: {True}, 4: {False}, 5: {False}, 6: {False}}
    exposures = rows(reader, "trajectories", "rl_exposures", question_ixs=[0])
    assert exposures == [[1], [1], [2], [2], [2], [2]]
    totals = run.record.totals
    assert (totals.updates, totals.rl_updates, totals.trained_tokens) == (6, 2, 2 * 8 * 12)
    assert np.isnan(reader.read("updates")["loss"].to_numpy()[1])


def test_refused_updates_of_one_step_count_in_a_row(tmp_path: Path) -> None:
    values = config("grpo", 9, rl={"updates_per_batch": 2}, guard={"max_skipped": 2})
    run = scripted_run(tmp_path / "run", values, n_right=lambda ix, version: 1, learner=ScriptedLearner({2, 3}))
    with pytest.raises(GuardStop, match="step 2: 2 updates in a row"):
        finish(run)


# ---- interruption ----------------------------------------------------------------------------------------------


def stopping_at(step: int, run: Run) -> Run:
    run.stop_requested = lambda: run.step == step
    return run


def test_a_stop_saves_the_step_it_falls_into(tmp_path: Path) -> None:
    saved: list[tuple[int | None, str | None]] = []
    run = stopping_at(3, scripted_run(tmp_path / "run", config("grpo", 5, checkpoint={"every": 2}), saved=saved))
    with pytest.raises(Interrupted):
        finish(run)
    assert saved == [(0, "base"), (2, "train"), (3, None)]
    assert RunReader(run.record.writer.folder).committed_step == 3


def test_a_stop_at_a_scheduled_checkpoint_saves_once(tmp_path: Path) -> None:
    saved: list[tuple[int | None, str | None]] = []
    run = stopping_at(2, scripted_run(tmp_path / "run", config("grpo", 5, checkpoint={"every": 2}), saved=saved))
    with pytest.raises(Interrupted):
        finish(run)
    assert saved == [(0, "base"), (2, "train")]


def test_a_stop_at_the_last_step_is_the_end(tmp_path: Path) -> None:
    finish(stopping_at(5, scripted_run(tmp_path / "run", config("grpo", 5))))


def contents(folder: Path) -> dict[str, pd.DataFrame]:
    """Every per-step table without its clocks."""
    reader = RunReader(folder)
    return {
        name: reader.read(name, columns=[c.name for c in table.columns if not c.clock])
        for name, table in TABLES.items()
        if table.per_step
    }


def taken_up(run: Run) -> Run:
    """Carry what a checkpoint keeps of the loop's state, through JSON, into a run that starts again in the folder."""
    kept = json.dumps({"totals": vars(run.record.totals), "buffer": run.buffer.state_dict()}, allow_nan=False)
    state = json.loads(kept)
    fresh = scripted_run(
        run.record.writer.folder.parent / f"spare-{run.step}", run.config, n_probe=1, with_demo=range(4)
    )
    fresh.record.writer.close()
    fresh.engine, fresh.step = run.engine, run.step
    fresh.record.writer = RunWriter(run.record.writer.folder)
    fresh.record.totals = Totals.load(state["totals"])
    fresh.record.rl_exposures, fresh.record.sft_exposures = run.record.rl_exposures, run.record.sft_exposures
    fresh.buffer.load_state_dict(state["buffer"])
    return fresh


@pytest.mark.parametrize("recipe", ["relift", "hpt", "sft_rl"])
def test_interrupted_at_every_step_it_writes_the_same_tables(tmp_path: Path, recipe: str) -> None:
    """Five steps in one go, and five starts of one step each. Batches of 3 of the buffer in random order."""

    def right(ix: int, version: int) -> int:
        return (ix * 7 + version * 3) % 3 if ix < Q else 1

    values = config(recipe, 5, buffer={"order": "random", "dedup": "allow"}, sft={"batch": 3})
    whole = scripted_run(tmp_path / "whole", values, n_probe=1, with_demo=range(4), n_right=right)
    finish(whole)
    run = scripted_run(tmp_path / "broken", values, n_probe=1, with_demo=range(4), n_right=right)
    for step in range(1, 5):
        with pytest.raises(Interrupted):
            train(stopping_at(step, run))
        run.record.writer.close()
        run = taken_up(run)
    finish(run)
    expected, got = contents(tmp_path / "whole"), contents(tmp_path / "broken")
    assert not expected["demo_events"].empty
    for name in expected:
        pd.testing.assert_frame_equal(got[name], expected[name])
    assert isinstance(whole.engine, ScriptedEngine) and run.record.totals.updates == whole.record.totals.updates


def test_a_finished_run_has_nothing_to_do(tmp_path: Path) -> None:
    run = scripted_run(tmp_path / "run", config("grpo", 2))
    train(run)
    n_calls = len(run.engine.calls)  # type: ignore[attr-defined]
    finish(run)
    assert len(run.engine.calls) == n_calls  # type: ignore[attr-defined]


# ---- without torch ---------------------------------------------------------------------------------------------


def test_the_loop_needs_no_torch(tmp_path: Path) -> None:
    """A whole run in a fresh interpreter."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.trainer.scripted import scripted_run, train\n"
        "run = scripted_run(Path(sys.argv[1]), {'recipe': 'relift', 'steps': 2,\n"
        "    'rollout': {'questions_per_step': 4}, 'sft': {'batch': 2}}, n_probe=1, with_demo=[0, 1])\n"
        "train(run)\n"
        "assert run.record.totals.sft_updates, 'no fine-tuning step was made'\n"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'transformers')))\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "run")], check=True, cwd=root)
