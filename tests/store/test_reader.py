from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relift.errors import InputError, StoreError
from relift.schema import TABLES, RunStatus
from relift.store import RunReader, RunWriter
from relift.store.files import read_record, record_bytes
from tests.store.rows import N_QUESTIONS, RUN, attempts, checkpoint_row, questions, train, write_step


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rollouts at steps 0 and 1, probes at step 0 (draws 0 and 1) and 1."""
    folder = tmp_path_factory.mktemp("reader") / "run"
    with RunWriter(folder) as writer:
        writer.start(RUN, config_toml="seed = 1\n", questions=questions(), demonstrations=None)
        seen = np.zeros(N_QUESTIONS, np.int64)
        for step in (0, 1):
            write_step(writer, step, seed=step, exposures=seen, origin="probe")
            write_step(writer, step, seed=10 + step, exposures=seen)
            writer.commit(step)
        rows = attempts(seed=5).drop(columns="text")
        writer.write("attempts", rows, step=0, origin="probe", draw=1)
        writer.commit(0, suffix=".probe-d1")
        writer.write_whole("checkpoints", pd.concat([checkpoint_row(step, None) for step in (0, 1, 2)]))
    return folder


def test_what_a_run_says_of_itself(run: Path) -> None:
    reader = RunReader(run)
    assert (reader.run_id, reader.run.name, reader.config_toml) == ("run-1", "test", "seed = 1\n")
    assert reader.committed_step == 1


def test_rows_are_selected(run: Path) -> None:
    reader = RunReader(run)
    assert reader.steps("attempts") == [0, 1] and reader.steps("attempts", draw=1) == [0]
    assert len(reader.read("attempts")) == 5 * 6
    rows = reader.read("attempts", origin="probe", draws=[0], steps=[1], question_ixs=[0, 2])
    assert (
        rows["question_ix"].tolist() == [0, 0, 2, 2] and set(rows["step"]) == {1} and set(rows["origin"]) == {"probe"}
    )
    assert reader.read("attempts", columns=["verdict", "step"]).columns.tolist() == ["verdict", "step"]
    texts = reader.read("responses", origin="rollout", steps=[1], question_ixs=[1])["text"]
    assert texts.tolist() == ["answer 2 of seed 11", "answer 3 of seed 11"]


def test_rows_come_back_as_they_were_written(run: Path) -> None:
    written = attempts(seed=10).drop(columns="text")
    rows = RunReader(run).read("attempts", origin="rollout", steps=[0])
    for name in written.columns:
        assert rows[name].tolist() == written[name].tolist(), name


def test_tables_come_one_by_one(run: Path) -> None:
    parts = list(RunReader(run).iter_tables("attempts", columns=["attempt"], origin="probe"))
    assert [(file.step, file.draw, len(rows)) for file, rows in parts] == [(0, 0, 6), (0, 1, 6), (1, 0, 6)]
    assert parts[0][0].path.name == "step-000000.probe.d0.parquet"


def test_absent_tables_are_empty_with_their_columns(run: Path) -> None:
    reader = RunReader(run)
    for table in ("demo_events", "scores", "demonstrations"):
        rows = reader.read(table)
        assert len(rows) == 0 and rows.columns.tolist() == [column.name for column in TABLES[table].columns]
    assert reader.read("attempts", steps=[9], columns=["reward"]).columns.tolist() == ["reward"]
    assert reader.steps("demo_events") == []


def test_whole_tables(run: Path) -> None:
    reader = RunReader(run)
    assert reader.read("checkpoints")["step"].tolist() == [0, 1]  # step 2 is not committed
    assert reader.read("checkpoints", steps=[1])["step"].tolist() == [1]
    assert reader.read("questions", question_ixs=[2])["answer"].tolist() == ["4"]
    with pytest.raises(ValueError, match="no origin"):
        reader.read("questions", origin="probe")


def test_unknown_names(run: Path) -> None:
    reader = RunReader(run)
    with pytest.raises(ValueError, match=r"no columns \['colour'\]"):
        reader.read("attempts", columns=["colour"])
    with pytest.raises(ValueError, match="is no table"):
        reader.read("attempt")
    with pytest.raises(ValueError, match="not a per-step table"):
        reader.steps("questions")


def test_no_run(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="no run.json there: not a run folder"):
            RunReader(folder)


def test_rows_without_a_commit_do_not_exist(tmp_path: Path) -> None:
    train(tmp_path, n_steps=2)
    (tmp_path / "commits" / "step-000001.json").unlink()
    assert RunReader(tmp_path).read("attempts", columns=["step"])["step"].unique().tolist() == [0]


def test_an_edited_configuration_is_not_handed_out(tmp_path: Path) -> None:
    train(tmp_path, n_steps=1)
    (tmp_path / "config.toml").write_text("seed = 2\n")
    with pytest.raises(StoreError, match="config.toml: changed since"):
        _ = RunReader(tmp_path).config_toml


def test_an_open_reader_follows_the_run(tmp_path: Path) -> None:
    with RunWriter(tmp_path) as writer:
        writer.start(RUN, config_toml="", questions=questions(), demonstrations=None)
        reader = RunReader(tmp_path)
        assert reader.steps("updates") == []
        write_step(writer, 0, seed=0, exposures=np.zeros(N_QUESTIONS, np.int64))
        assert reader.steps("updates") == []
        writer.commit(0)
        writer.update_run(status=RunStatus.done)
        assert reader.steps("updates") == [0] and reader.run.status is RunStatus.done


def test_a_step_taken_back_while_it_is_read_is_left_out(tmp_path: Path) -> None:
    train(tmp_path, n_steps=4)
    reader = RunReader(tmp_path)
    parts = reader.iter_tables("attempts", columns=["step"])
    assert next(parts)[0].step == 0
    with RunWriter(tmp_path) as writer:
        writer.roll_back(1)
    assert [file.step for file, _ in parts] == [1]


def test_a_step_written_again_while_it_is_read_is_read_anew(tmp_path: Path) -> None:
    train(tmp_path, n_steps=4)
    reader = RunReader(tmp_path)
    parts = reader.iter_tables("updates", columns=["loss"])
    next(parts)
    with RunWriter(tmp_path) as writer:
        writer.roll_back(1)
        row = {"update": 2, "kind": "rl", "optimizer": "rl", "loss": 7.0, "grad_norm": 1.0, "lr": 0.1}
        row |= {"n_sequences": 1, "n_tokens": 1, "skipped": False, "seconds": 0.0}
        writer.write("updates", pd.DataFrame([row]), step=2)
        writer.commit(2)
    assert [(file.step, rows["loss"][0].as_py()) for file, rows in parts][1:] == [(2, 7.0)]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    train(tmp_path, n_steps=2)
    (tmp_path / "attempts" / "step-000001.rollout.d0.parquet").unlink()
    with pytest.raises(StoreError, match=r"step-000001.rollout.d0.parquet: missing"):
        RunReader(tmp_path).read("attempts")


def test_a_hostile_record_reads_nothing_outside(tmp_path: Path) -> None:
    train(tmp_path, n_steps=1)
    path = tmp_path / "commits" / "step-000000.json"
    record = read_record(path)
    for name in ("../../etc/passwd", "/etc/passwd", "attempts/../config.toml"):
        path.write_bytes(record_bytes({**record, "files": {name: {"bytes": 1, "sha256": "", "rows": 0}}}))
        with pytest.raises(StoreError, match="not the commit record of a step"):
            RunReader(tmp_path).steps("attempts")
