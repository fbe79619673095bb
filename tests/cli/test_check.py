"""`relift check` from a shell: readable lines and 0 for a sound run, PROBLEM lines and 5 for any damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from relift.schema import TABLES
from tests.cli.command import bytes_of, relift

ROLLOUTS = "attempts/step-000003.rollout.d0.parquet"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_a_sound_run(finished: Path) -> None:
    """One line for each table, with counts that hold, and a verdict; nothing is written."""
    before = bytes_of(finished)
    ended = relift("check", finished)
    assert (ended.status, ended.err) == (0, "")
    *tables, verdict = ended.out.splitlines()
    assert verdict == f"{finished}: ok"
    assert [line.split(": ")[1] for line in tables] == [*TABLES, "weights"]
    # 9 steps x 6 questions x 4 attempts, and probes at 0 (twice), 4, 8, 9 of 6 questions x 2 attempts
    n_attempts = 9 * 6 * 4 + 5 * 6 * 2
    assert any(line.startswith(f"{finished}: attempts: 14 files, {n_attempts} rows, ") for line in tables), tables
    assert bytes_of(finished) == before


def test_json(finished: Path, run: Path) -> None:
    ended = relift("check", "--json", finished)
    report = json.loads(ended.out)
    assert ended.status == 0 and report[str(finished)]["problems"] == []
    rows = {row["table"]: row["rows"] for row in report[str(finished)]["summary"]}
    assert rows["questions"] == pq.read_metadata(finished / "questions.parquet").num_rows

    (run / ROLLOUTS).unlink()
    ended = relift("check", "--json", finished, run)
    report = json.loads(ended.out)
    assert ended.status == 5 and list(report) == [str(finished), str(run)] and ended.err == ""
    assert report[str(finished)]["problems"] == []
    assert f"{ROLLOUTS}: missing, though a commit record names it" in report[str(run)]["problems"]


def test_several_runs(finished: Path, run: Path) -> None:
    """The damaged one is named; the sound one is still called so."""
    (run / ROLLOUTS).unlink()
    ended = relift("check", finished, run)
    assert ended.status == 5 and f"{finished}: ok\n" in ended.out and f"{run}: PROBLEM " in ended.out


def test_no_run(tmp_path: Path) -> None:
    ended = relift("check", tmp_path)
    assert ended.status == 2 and ended.out == ""
    assert ended.err == f"relift: {tmp_path}: no run.json there or up to 2 levels below: no run folder\n"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


COMMIT = "commits/step-000003.json"
WEIGHTS = "weights/step-000009"
PARTS = {
    "a table": ROLLOUTS, "a commit record": COMMIT, "weights": f"{WEIGHTS}/model.safetensors",
    "moments": f"{WEIGHTS}/state.tensors", "the buffer": f"{WEIGHTS}/state.json",
    "a manifest": f"{WEIGHTS}/manifest.json", "run.json": "run.json", "questions": "questions.parquet",
    "demonstrations": "demonstrations.parquet", "checkpoints": "checkpoints.parquet", "configuration": "config.toml",
}  # fmt: skip
DAMAGE: dict[str, Callable[[Path], None]] = {"a bit flipped": flip, "cut": cut, "gone": Path.unlink}


@pytest.mark.parametrize("part", PARTS)
def test_every_damage_of_every_part(part: str, run: Path) -> None:
    """Each kind of file, each kind of damage in turn: found, and the line names the file that was spoilt."""
    path = run / PARTS[part]
    good = path.read_bytes()
    kinds = list(DAMAGE) if part in ("a table", "weights") else ["a bit flipped", "cut"]
    for how in kinds:
        DAMAGE[how](path)
        ended = relift("check", run)
        problems = [line for line in ended.out.splitlines() if line.startswith(f"{run}: PROBLEM ")]
        assert ended.status == 5 and problems and ended.err == "", f"{how}: {ended.out} {ended.err}"
        named = PARTS[part] if part not in ("a manifest", "a commit record", "checkpoints") else Path(PARTS[part]).stem
        assert any(named in line for line in problems), f"{how}: {problems}"
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        assert ended.out.endswith(f"{run}: {count}\n")
        path.write_bytes(good)


def test_what_does_not_belong(run: Path) -> None:
    shutil.copy(run / ROLLOUTS, run / "attempts/step-000012.rollout.d0.parquet")
    ended = relift("check", run)
    problem = "attempts/step-000012.rollout.d0.parquet: orphan: no commit record names it"
    assert ended.status == 5 and f"{run}: PROBLEM {problem}\n" in ended.out
