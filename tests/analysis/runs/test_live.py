"""The counts of a live run: new, late, rewritten and damaged steps."""

import os
from pathlib import Path

import numpy as np
import pytest

from relift.analysis import LiveCube, read_counts, read_cube, read_trajectories
from relift.errors import StoreError
from relift.store import RunWriter
from tests.synthetic import write_run

SIZES = {"n_questions": 80, "n_steps": 12, "learn": 0.4, "probe_every": 4}


def test_a_live_cube_reads_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "run", **SIZES, seed=3)
    live = LiveCube(tmp_path / "run")
    first = live.refresh()
    assert first.step_T.tolist() == [0, 4, 8, 12]
    rows = read_trajectories(tmp_path / "run", steps=[12]).drop(columns=["run", "question_id", "accuracy"])
    read: list[object] = []
    iterate = live._reader.iter_tables
    monkeypatch.setattr(live._reader, "iter_tables", lambda *a, **k: read.append(k["steps"]) or iterate(*a, **k))
    assert live.refresh() is first and read == []
    with RunWriter(tmp_path / "run") as writer:
        rows = rows.assign(step=13, n_correct=np.int16(7))
        writer.write("trajectories", rows, step=13, origin="probe", draw=0)
        writer.commit(13)
    second = live.refresh()
    assert read == [[13]] and second.step_T.tolist() == [0, 4, 8, 12, 13]
    assert set(second.n_correct_QT[:, 4]) == {7} and first.n_correct_QT.shape == (80, 4)
    np.testing.assert_array_equal(second.n_correct_QT[:, :4], first.n_correct_QT)
    np.testing.assert_array_equal(read_cube(tmp_path / "run").n_correct_QT, second.n_correct_QT)


def test_a_step_taken_back_leaves_the_live_cube(tmp_path: Path) -> None:
    write_run(tmp_path / "run", **SIZES, seed=3)
    live = LiveCube(tmp_path / "run")
    before = live.refresh()
    os.unlink(tmp_path / "run" / "commits" / "step-000012.json")
    assert live.refresh().step_T.tolist() == [0, 4, 8]
    assert before.step_T.tolist() == [0, 4, 8, 12] and before.n_decided_QT[:, 3].tolist() == [8] * 80


def test_parts_of_a_step_that_come_late_are_added(tmp_path: Path) -> None:
    write_run(tmp_path / "run", **SIZES, seed=3)
    rows = read_trajectories(tmp_path / "run", steps=[12]).drop(columns=["run", "question_id", "accuracy"])
    live = LiveCube(tmp_path / "run")
    for part, half in enumerate((rows[rows["question_ix"] < 40], rows[rows["question_ix"] >= 40])):
        with RunWriter(tmp_path / "run") as writer:
            writer.write("trajectories", half.assign(step=13), step=13, origin="probe", draw=0, part=part)
            writer.commit(13, suffix=f".{part}")
        cube = live.refresh()
        assert cube.step_T.tolist() == [0, 4, 8, 12, 13]
        assert (cube.n_decided_QT[:, 4] > 0).sum() == 40 * (part + 1)
    counts = read_counts(tmp_path / "run", steps=[13])
    assert counts.count_QP["n_attempts"].shape == (80, 1) and set(counts.count_QP["n_attempts"][:, 0]) == {8}


def test_a_damaged_step_is_left_out_and_comes_back_when_mended(tmp_path: Path) -> None:
    write_run(tmp_path / "run", **SIZES, seed=3)
    whole = read_cube(tmp_path / "run")
    file = tmp_path / "run" / "trajectories" / "step-000004.probe.d0.parquet"
    sound = file.read_bytes()
    file.write_bytes(sound[:-30] + bytes(30))
    live = LiveCube(tmp_path / "run")
    cube = live.refresh()
    assert cube.step_T.tolist() == [0, 8, 12] and list(live.damaged) == [4]
    np.testing.assert_array_equal(cube.n_correct_QT, whole.n_correct_QT[:, [0, 2, 3]])
    with pytest.raises(StoreError, match="step-000004"):
        read_cube(tmp_path / "run")
    file.write_bytes(sound)
    mended = live.refresh()
    assert not live.damaged and cube.step_T.tolist() == [0, 8, 12]
    np.testing.assert_array_equal(mended.n_correct_QT, whole.n_correct_QT)
    with pytest.raises(ValueError, match="read-only"):
        mended.n_correct_QT[0, 0] = 1
