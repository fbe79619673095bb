"""`check_run` finds each kind of damage, and says where."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relift.errors import InputError
from relift.store import RunWriter, check_run, split_responses, trajectories_of
from relift.store.files import read_record, record_bytes
from tests.store.rows import (
    N_QUESTIONS,
    RUN,
    attempts,
    checkpoint_row,
    demonstrations,
    questions,
    update,
)  # fmt: skip

Change = Callable[[pd.DataFrame], pd.DataFrame]


def event(number: int, kind: str, question_ix: int, length: int, *, age: int | None = 0) -> dict[str, Any]:
    demo_id = demonstrations()["demo_id"][question_ix]
    row = {"event_ix": number, "demo_id": demo_id, "question_ix": question_ix, "event": kind}
    return {**row, "buffer_len": length, "age_steps": age}


EVENTS = {
    0: [event(0, "enqueue", 0, 1), event(1, "enqueue", 2, 2)],
    1: [event(2, "train", 0, 1), event(3, "train", 1, 1, age=None)],  # the second never waited
    2: [event(4, "evict", 2, 0)],
}
SFT_EXPOSURES = {0: {}, 1: {0: 1, 1: 1}, 2: {0: 1, 1: 1}}
IN_BUFFER: dict[int, dict[int, int]] = {0: {0: 1, 2: 1}, 1: {2: 1}, 2: {}}


def write(folder: Path, **changes: Change) -> Path:
    """Three sound steps with probes, rollouts, updates and buffer events; `changes` by table, applied at step 2."""

    def put(table: str, frame: pd.DataFrame, step: int, **place: Any) -> None:
        change = changes.get(table) if step == 2 and place.get("origin") != "probe" else None
        change = changes.get(f"probe_{table}", change) if step == 2 and place.get("origin") == "probe" else change
        writer.write(table, frame if change is None else change(frame), step=step, **place)

    with RunWriter(folder) as writer:
        writer.start(RUN, config_toml="", questions=questions(), demonstrations=demonstrations())
        seen = np.zeros(N_QUESTIONS, np.int64)
        for step in range(3):
            for origin in ("rollout", "probe"):
                rows, texts = split_responses(attempts(seed=step + 10 * (origin == "probe")))
                if origin == "rollout":
                    seen[rows.loc[rows["used_in_update"], "question_ix"].unique()] += 1
                put("attempts", rows, step, origin=origin)
                put("responses", texts, step, origin=origin)
                derived = trajectories_of(
                    rows, rl_exposures=seen, sft_exposures=SFT_EXPOSURES[step], in_buffer=IN_BUFFER[step]
                )
                put("trajectories", derived, step, origin=origin)
            put("updates", update(step), step)
            put("demo_events", pd.DataFrame(EVENTS[step]), step)
            writer.commit(step)
        path = writer.save_checkpoint(2, lambda path: (path / "model.safetensors").write_bytes(b"w") and None, info={})
        writer.write_whole("checkpoints", checkpoint_row(2, path))
    return folder


def change(column: str, value: object, *, row: int = 0) -> Change:
    def edit(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy()
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
        return frame

    return edit


def test_a_sound_run(tmp_path: Path) -> None:
    report = check_run(write(tmp_path))
    assert report.problems == [] and report.ok and report.notes == []
    rows = {row["table"]: row["rows"] for row in report.summary}
    assert rows["attempts"] == 36 and rows["trajectories"] == 18 and rows["demo_events"] == 5
    assert next(row for row in report.summary if row["table"] == "weights")["files"] == 1


ROWS: dict[str, tuple[dict[str, Change], str]] = {
    "a trajectory miscounts": (
        {"trajectories": change("n_correct", 7)},
        "trajectories of rollouts, draw 0, step 2: n_correct differs from what the attempts give in 1 rows",
    ),
    "a mean is off": ({"trajectories": change("mean_tokens", 1.0)}, "mean_tokens differs"),
    "rl_exposures is off": ({"trajectories": change("rl_exposures", 9)}, "rl_exposures differs"),
    "sft_exposures is off": ({"probe_trajectories": change("sft_exposures", 9)}, "sft_exposures differs"),
    "in_buffer is off": ({"trajectories": change("in_buffer", True)}, "in_buffer differs"),  # noqa: FBT003
    "a trajectory is missing": ({"trajectories": lambda f: f.iloc[1:]}, "not one row for each question"),
    "question_ix out of range": ({"attempts": change("question_ix", 99)}, "question_ix outside 0 .. 2"),
    "a probe is short": ({"probe_attempts": lambda f: f.iloc[1:]}, "5 attempts, not 3 questions x 2"),
    "an answer is lost": ({"responses": lambda f: f.iloc[:-1]}, "1 texts and attempts do not fit each other"),
    "undecided has a reward": ({"attempts": change("verdict", "undecided")}, "1 undecided attempts have a reward"),
    "a verdict is unknown": ({"attempts": change("verdict", "maybe")}, r"unknown verdict \['maybe'\]"),
    "an update twice": ({"updates": change("update", 1)}, "updates: 1 rows repeat an update of another file"),
    "an event twice": ({"demo_events": change("event_ix", 0)}, "demo_events: 1 rows repeat an event_ix"),
    "a buffer length is off": ({"demo_events": change("buffer_len", 5)}, "buffer_len is not the number that waits"),
    "an unknown demonstration": ({"demo_events": change("demo_id", "x")}, "1 events of demonstrations that are not in"),
    "it left but was not in": ({"demo_events": change("question_ix", 1)}, "left the buffer that was not in it"),
}  # fmt: skip


@pytest.mark.parametrize("what", ROWS)
def test_wrong_rows_are_found(tmp_path: Path, what: str) -> None:
    changes, message = ROWS[what]
    problems = check_run(write(tmp_path, **changes)).problems
    assert any(re.search(message, problem) for problem in problems), problems


def test_probes_that_ask_other_questions(tmp_path: Path) -> None:
    """All at first, then always the same part of them: a third set is a mistake."""
    with RunWriter(tmp_path) as writer:
        writer.start(RUN, config_toml="", questions=questions(), demonstrations=None)
        for step, asked in enumerate([[0, 1, 2], [0, 1], [0, 1], [0, 2], [0, 1, 2]]):
            rows = attempts(seed=step).drop(columns="text")
            rows = rows[rows["question_ix"].isin(asked)]
            writer.write("attempts", rows, step=step, origin="probe")
            derived = trajectories_of(rows, rl_exposures={}, sft_exposures={}, in_buffer={})
            writer.write("trajectories", derived, step=step, origin="probe")
            writer.commit(step)
    assert check_run(tmp_path).problems == [
        "attempts of probes, draw 0, step 3: not the questions of the probes before"
    ]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("check") / "run")


ROLLOUTS = "attempts/step-000001.rollout.d0.parquet"


def edit_record(folder: Path, name: str, edit: Callable[[dict[str, Any]], None]) -> None:
    body = read_record(folder / name)
    edit(body)
    (folder / name).write_bytes(record_bytes(body))


def name_twice(folder: Path) -> None:
    record = read_record(folder / "commits" / "step-000001.json")
    (folder / "commits" / "step-000001.again.json").write_bytes(record_bytes(record))


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "orphan": (lambda f: shutil.copy(f / ROLLOUTS, f / "attempts/step-000009.rollout.d0.parquet"), "orphan: no commit"),
    "missing": (lambda f: (f / ROLLOUTS).unlink(), f"{ROLLOUTS}: missing"),
    "swapped": (lambda f: shutil.copy(f / ROLLOUTS.replace("01.", "02."), f / ROLLOUTS), f"{ROLLOUTS}: damaged"),
    "commit lost": (lambda f: (f / "commits/step-000001.json").unlink(), f"{ROLLOUTS}: orphan"),
    "commit damaged": (lambda f: (f / "commits/step-000001.json").write_text("{}"), "step-000001.json: damaged"),
    "named twice": (name_twice, "named by two commit records"),
    "of another run": (
        lambda f: edit_record(f, "commits/step-000001.json", lambda body: body.update(run_id="other")),
        "step-000001.json: is of run other",
    ),
    "stray record": (lambda f: (f / "commits/note.txt").write_text(""), "commits/note.txt: not a commit record"),
    "config edited": (lambda f: (f / "config.toml").write_text("seed = 2"), "config.toml: changed since"),
    "config lost": (lambda f: (f / "config.toml").unlink(), "config.toml: missing"),
    "questions edited": (lambda f: (f / "questions.parquet").write_bytes(b"PAR1"), "questions.parquet: damaged"),
    "questions lost": (lambda f: (f / "questions.parquet").unlink(), "questions.parquet: missing"),
    "weights damaged": (lambda f: (f / "weights/step-000002/model.safetensors").write_bytes(b"v"), "SHA-256 differ"),
    "weights lost": (lambda f: shutil.rmtree(f / "weights/step-000002"), "points at 'weights/step-000002'"),
    "run.json edited": (
        lambda f: (f / "run.json").write_text((f / "run.json").read_text().replace("test", "best")),
        "run.json: damaged",
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_damaged_files_are_found(sound: Path, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "run"
    shutil.copytree(sound, folder)
    spoil, message = FILES[what]
    spoil(folder)
    problems = check_run(folder).problems
    assert any(message in problem for problem in problems), problems
    assert all("\n" not in problem and str(folder) not in problem for problem in problems)


def test_leftovers_are_notes(sound: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(sound, folder)
    (folder / "attempts" / ".tmp-x-1").write_bytes(b"")
    (folder / "orphaned" / "start-0002").mkdir(parents=True)
    report = check_run(folder)
    assert report.ok and len(report.notes) == 2


def test_a_held_folder_that_is_damaged_is_still_damaged(sound: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(sound, folder)
    (folder / ROLLOUTS).unlink()
    with RunWriter(folder):
        report = check_run(folder)
    assert any("missing" in problem for problem in report.problems) and "a writer is at work" in report.notes[-1]


def test_progress_is_told(sound: Path) -> None:
    seen: list[tuple[int, int]] = []
    check_run(sound, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 24) for i in range(1, 25)]  # 3 steps x (2 x 3 + updates + demo_events)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        check_run(tmp_path)
