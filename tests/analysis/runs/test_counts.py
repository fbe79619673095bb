from pathlib import Path

import pandas as pd
import pytest

from relift.analysis import (
    assign_bands,
    band_accuracy,
    band_transitions,
    read_attempts,
    read_counts,
    read_questions,
    read_responses,
    read_trajectories,
)
from relift.analysis.runs import read as reading
from relift.errors import InputError, StoreError
from relift.run_record import RunRecord
from relift.store import RunWriter, split_responses
from tests.synthetic import write_run

SIZES = {"n_questions": 80, "n_steps": 12, "learn": 0.4, "probe_every": 4}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "a", **SIZES, seed=1, name="a")
    write_run(root / "b", **SIZES, seed=2, name="b")  # the same questions, numbered differently
    return [root / "a", root / "b"]


@pytest.mark.parametrize("source", ["trajectories", "attempts"])
def test_counts_give_what_frames_give(runs: list[Path], source: str) -> None:
    frame, counts = read_trajectories(runs), read_counts(runs, source=source)  # type: ignore[arg-type]
    bands = assign_bands(frame, run="a")
    by_id = ["question_id"]
    pd.testing.assert_frame_equal(
        assign_bands(counts, run="a").sort_values(by_id, ignore_index=True),
        bands.sort_values(by_id, ignore_index=True),
        check_dtype=False,
    )
    pd.testing.assert_frame_equal(band_accuracy(counts, bands), band_accuracy(frame, bands))
    pd.testing.assert_frame_equal(band_transitions(counts, bands), band_transitions(frame, bands))
    with pytest.raises(InputError, match="no trajectories of origin benchmark"):
        read_counts(runs, origin="benchmark")


def test_blocks_of_columns_change_nothing(runs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    frame = read_trajectories(runs)
    bands = assign_bands(frame, run="a")
    whole = band_accuracy(frame, bands)
    monkeypatch.setattr("relift.analysis.questions.by_band._BLOCK_CELLS", 200)  # two of eight columns at a time
    pd.testing.assert_frame_equal(band_accuracy(frame, bands), whole)


def test_kept_readers_see_another_run_in_the_same_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(folder, **SIZES, seed=4, name="first")
    assert set(read_trajectories(folder)["run"]) == {"first"}
    folder.rename(tmp_path / "gone")
    write_run(folder, n_questions=5, n_steps=0, learn=0.0, seed=5, name="second")
    frame = read_trajectories(folder)
    assert set(frame["run"]) == {"second"} and set(frame["question_id"]) == set(read_questions(folder)["question_id"])


def test_the_kept_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_KEPT", 2)
    for seed in range(4):
        write_run(tmp_path / str(seed), n_questions=3, n_steps=0, learn=0.0, seed=seed)
        read_trajectories(tmp_path / str(seed))
    assert len(reading._readers) == len(reading._indexes) == 2


def test_questions_that_are_not_numbered_from_0_are_refused(tmp_path: Path) -> None:
    questions = pd.DataFrame(
        {
            "question_id": ["x"], "question_ix": [3], "source": "s", "split": "probe", "problem": "p", "answer": "0",
            "answer_kind": "exact", "prompt_tokens": 1, "has_demo": False,
        }
    )  # fmt: skip
    with RunWriter(tmp_path / "run") as writer:
        writer.start(RunRecord(run_id="r"), config_toml="", questions=questions, demonstrations=None)
    with pytest.raises(StoreError, match="question_ix does not count from 0 to 0"):
        read_trajectories(tmp_path / "run")


def test_evaluations_are_counted_from_their_attempts(tmp_path: Path) -> None:
    write_run(tmp_path / "run", **SIZES, seed=6)
    expected = read_trajectories(tmp_path / "run", steps=[4])
    rows = read_attempts(tmp_path / "run", origin="probe", steps=[4]).drop(columns=["run", "question_id", "origin"])
    with RunWriter(tmp_path / "run") as writer:
        for part, half in enumerate((rows[rows["attempt"] < 3], rows[rows["attempt"] >= 3])):
            frame = half.assign(origin="benchmark", step=0)
            writer.write("attempts", frame, step=0, origin="benchmark", draw=0, part=part)
        writer.commit(0, suffix=".eval")
    found = read_trajectories(tmp_path / "run", origin="benchmark")
    same = ["question_id", "n_attempts", "n_correct", "n_undecided", "n_truncated", "n_distinct_answers", "mean_tokens"]
    pd.testing.assert_frame_equal(found[same], expected[same])
    assert set(found["step"]) == {0} and set(found["origin"].astype(str)) == {"benchmark"}
    few = read_trajectories(tmp_path / "run", origin="benchmark", columns=["n_correct"], steps=[0])
    assert "n_correct" in few and "n_tokens" not in few
    with pytest.raises(InputError, match="at step 7; there are 0"):
        read_trajectories(tmp_path / "run", origin="benchmark", steps=[7])


def test_answers_of_one_question(tmp_path: Path) -> None:
    write_run(tmp_path / "run", **SIZES, seed=6)
    rows = read_attempts(tmp_path / "run", origin="probe", steps=[4]).drop(columns=["run", "question_id"])
    texts = rows.assign(step=13, text=[f"{q}/{a}" for q, a in rows[["question_ix", "attempt"]].to_numpy()])
    attempts, responses = split_responses(texts)
    with RunWriter(tmp_path / "run") as writer:
        for table, frame in (("attempts", attempts), ("responses", responses)):
            writer.write(table, frame, step=13, origin="probe", draw=0)
        writer.commit(13)
    chosen = read_questions(tmp_path / "run").iloc[7]
    found = read_responses(tmp_path / "run", step=13, questions=[chosen["question_id"], "unknown"])
    assert found["text"].tolist() == [f"{chosen['question_ix']}/{a}" for a in range(8)]
    assert found["question_id"].unique().tolist() == [chosen["question_id"]]
