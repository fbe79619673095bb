"""The plain recorder: what is given to it is in the run folder, whole steps or nothing, and no error gets out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from relift.errors import InputError
from relift.integrations.recorder import Recorder
from relift.schema import RunStatus
from relift.store import RunReader, RunWriter, check_run

PROBLEMS = ["1+1?", "2+2?", "1+1?", "2+2?"]
TEXTS = ["\\boxed{2}", "\\boxed{5}", "three", "\\boxed{4}"]


def given(**changes: Any) -> dict[str, Any]:
    values = {
        "problems": PROBLEMS, "texts": TEXTS, "rewards": [1.0, 0.5, None, 1.0], "n_tokens": [3, 3, 1, 3],
        "truncated": [False, False, True, False], "golds": ["2", "4", "2", "4"],
    }  # fmt: skip
    return values | changes


def recorder(folder: Path, **options: Any) -> Recorder:
    return Recorder(folder, **({"recipe": "mine", "seed": 1, "config": {"lr": 0.1}, "strict": True} | options))


def train(made: Recorder, *, first: int = 1, last: int = 3) -> None:
    if first == 1:
        for draw in (0, 1):
            made.probe(0, **given(), draw=draw)
    for step in range(first, last + 1):
        made.rollouts(step, **given(problems=["1+1?", f"{step}+9?"] * 2), used=True)
    made.probe(last, **given())


def test_what_is_given_is_in_the_folder(tmp_path: Path) -> None:
    made = recorder(tmp_path / "run", name="Mine")
    train(made)
    made.finish()
    report = check_run(tmp_path / "run")
    assert report.problems == [] and report.notes == []
    reader = RunReader(tmp_path / "run")
    assert (reader.run.recipe, reader.run.name, reader.run.status) == ("mine", "Mine", RunStatus.done)
    assert reader.run.method.startswith("mine-") and reader.run.seed == 1
    rows = reader.read("attempts", origin="rollout", steps=[1])
    # 1+1? is question 0 (probed first) and was asked twice; 1+9? is the third question that came
    assert rows["question_ix"].tolist() == [0, 0, 2, 2] and rows["attempt"].tolist() == [0, 1, 0, 1]
    assert rows["verdict"].astype(str).tolist() == ["correct", "undecided", "wrong", "correct"]
    assert rows["reward"].tolist()[:1] + rows["reward"].tolist()[2:] == [1.0, 0.5, 1.0] and pd.isna(rows["reward"][1])
    assert rows["finish"].astype(str).tolist() == ["stop", "length", "stop", "stop"]
    assert rows["answer"].tolist()[0] == "2" and rows["used_in_update"].all() and rows["rewards"].isna().all()
    probe = reader.read("trajectories", origin="probe", steps=[3])
    # two of two decided wrong or right: 1+1? 1 of 1 decided, 2+2? 1 of 2; used at all three steps, never
    assert probe["n_correct"].tolist() == [1, 1] and probe["n_undecided"].tolist() == [1, 0]
    assert probe["rl_exposures"].tolist() == [3, 0]
    assert reader.steps("trajectories", origin="probe", draw=1) == [0]


def test_a_step_of_several_calls_is_one_batch(tmp_path: Path) -> None:
    made = recorder(tmp_path / "run")
    made.rollouts(1, **given())
    made.rollouts(1, **given())
    assert not (tmp_path / "run" / "commits").exists()  # the step is not over
    made.commit()
    rows = RunReader(tmp_path / "run").read("attempts", origin="rollout")
    assert sorted(zip(rows["question_ix"], rows["attempt"], strict=True)) == [(q, a) for q in (0, 1) for a in range(4)]
    made.finish(done=False)
    assert RunReader(tmp_path / "run").run.status is RunStatus.interrupted


def test_a_later_launch_goes_on_and_sets_aside_what_is_past(tmp_path: Path) -> None:
    made = recorder(tmp_path / "run")
    train(made, last=4)
    made.finish(done=False)
    again = recorder(tmp_path / "run")
    train(again, first=3, last=5)  # from the checkpoint of step 2
    again.finish()
    reader = RunReader(tmp_path / "run")
    assert check_run(tmp_path / "run").problems == []
    assert reader.steps("attempts", origin="rollout") == [1, 2, 3, 4, 5]
    assert reader.steps("attempts", origin="probe") == [0, 5]  # that of step 4 was of the launch before
    assert [start.from_step for start in reader.run.starts] == [None, 2]
    assert reader.read("trajectories", origin="probe", steps=[5])["rl_exposures"].tolist() == [5, 0]
    assert (tmp_path / "run" / "orphaned" / "start-0002").is_dir()


def test_a_probe_that_is_there_is_not_asked_again(tmp_path: Path) -> None:
    made = recorder(tmp_path / "run")
    train(made)
    made.finish(done=False)
    again = recorder(tmp_path / "run")
    again.probe(0, **given(rewards=[0.0] * 4))
    again.finish(done=False)
    rows = RunReader(tmp_path / "run").read("trajectories", origin="probe", steps=[0], draws=[0])
    assert rows["n_correct"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("options", "ended", "said"),
    [
        ({"config": {"lr": 0.2}}, "killed", "lr is 0.1 there, 0.2 here"),
        ({"seed": 2}, "killed", "seed is 1 there, 2 here"),
        ({}, "done", "holds a finished run of 3 steps"),
    ],
)
def test_another_run_is_left_alone(tmp_path: Path, options: dict[str, Any], ended: str, said: str) -> None:
    made = recorder(tmp_path / "run")
    train(made)
    made.finish(done=ended == "done")
    before = sorted(path.name for path in (tmp_path / "run" / "commits").iterdir())
    other = recorder(tmp_path / "run", **options)
    with pytest.raises(InputError, match=said):
        other.rollouts(1, **given())
    other.rollouts(2, **given())  # it gave up
    other.finish()
    assert sorted(path.name for path in (tmp_path / "run" / "commits").iterdir()) == before
    assert check_run(tmp_path / "run").problems == []


def test_a_folder_of_something_else_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="notes.txt"):
        Recorder(tmp_path)


def test_a_run_that_is_being_written_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with RunWriter(tmp_path / "run"):
        made = Recorder(tmp_path / "run")
        made.rollouts(1, **given())
        made.rollouts(2, **given())
        made.finish()
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 1
    assert "is writing there" in caplog.text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rewards": [1.0]}, "differ in length"),
        ({"rewards": ["good"] * 4}, "could not convert"),
        ({"texts": [1, 2, 3, 4]}, "neither a text nor a list of messages"),
        ({"n_tokens": [None] * 4}, "NoneType"),
        ({"step": 0}, "the first step is 1"),
    ],
)
def test_odd_batches_are_lost_and_counted(
    tmp_path: Path, changes: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = Recorder(tmp_path / "run")
    values = given(**changes)
    made.rollouts(values.pop("step", 1), **values)
    made.rollouts(2, **given())
    made.finish()
    assert said in caplog.text and [r.levelno for r in caplog.records].count(logging.WARNING) == 1
    reader = RunReader(tmp_path / "run")
    assert reader.steps("attempts") == [2] and reader.run.lost_batches == 1
    assert check_run(tmp_path / "run").problems == []


def test_messages_are_read_as_texts(tmp_path: Path) -> None:
    made = recorder(tmp_path / "run")
    prompt = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "1+1?"}]},
    ]
    turns = [*prompt, {"role": "assistant", "content": "2"}, {"role": "user", "content": "and 2+2?"}]
    said = [{"role": "assistant", "content": "\\boxed{2}"}]
    made.rollouts(1, [prompt, turns], [said, said], rewards=[1, 1], n_tokens=[1, 1], truncated=[False, False])
    made.finish()
    reader = RunReader(tmp_path / "run")
    assert reader.read("questions")["problem"].tolist() == ["1+1?", "user: 1+1?\n\nassistant: 2\n\nuser: and 2+2?"]
    assert reader.read("responses")["text"].tolist() == ["\\boxed{2}"] * 2


def test_two_processes_make_the_rows_of_one(tmp_path: Path) -> None:
    one = recorder(tmp_path / "one" / "run")
    train(one)
    one.finish()
    two = [recorder(tmp_path / "two" / "run", rank=rank, world_size=2) for rank in (0, 1)]
    half = [slice(0, 2), slice(2, 4)]

    def share(rank: int, **changes: Any) -> dict[str, Any]:
        return {name: column[half[rank]] for name, column in given(**changes).items()}

    for draw in (0, 1):
        for rank in (1, 0):
            two[rank].probe(0, **share(rank), draw=draw)
    for step in (1, 2, 3):
        for rank in (0, 1):  # the first one may be first: it writes a batch later
            two[rank].rollouts(step, **share(rank, problems=["1+1?", f"{step}+9?"] * 2), used=True)
    for rank in (0, 1):
        two[rank].probe(3, **share(rank))
    for rank in (1, 0):
        two[rank].finish()
    assert check_run(tmp_path / "two" / "run").problems == []
    a, b = (RunReader(tmp_path / name / "run") for name in ("one", "two"))
    for table in ("questions", "attempts", "responses", "trajectories"):
        pd.testing.assert_frame_equal(a.read(table), b.read(table))
    assert not (tmp_path / "two" / ".run.ranks").exists()


def test_a_process_that_does_not_write_ends_the_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Recorder(tmp_path / "run", rank=0, world_size=2)
    for step in range(1, 20):
        first.rollouts(step, **given())
    assert "a process's answers did not come" in caplog.text
    assert [r.levelno for r in caplog.records].count(logging.WARNING) == 1


def test_files_of_a_killed_launch_are_not_taken(tmp_path: Path) -> None:
    for rank in (0, 1):
        killed = recorder(tmp_path / "run", rank=rank, world_size=2)
        killed.rollouts(1, **given(rewards=[0.0] * 4))
        killed.commit()
        if rank == 0:
            killed.finish = lambda **_: None  # type: ignore[method-assign]
            assert killed._file is not None
            killed._file.close()
    two = [recorder(tmp_path / "run", rank=rank, world_size=2) for rank in (0, 1)]
    for made in reversed(two):
        made.rollouts(1, **given(rewards=[1.0] * 4))
    for made in reversed(two):
        made.finish()
    rows = RunReader(tmp_path / "run").read("trajectories", origin="rollout")
    assert rows["n_attempts"].tolist() == [4, 4] and rows["n_correct"].tolist() == [4, 4]
