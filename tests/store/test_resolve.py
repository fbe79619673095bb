"""Check which run folders a command line means."""

from __future__ import annotations

from pathlib import Path

import pytest

from relift.errors import InputError, StoreError
from relift.store import resolve_runs
from tests.synthetic import write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("resolve")
    for name in ("rl", "sft"):
        write_run(root / "seed-1" / name, n_questions=4, n_steps=0, learn=0.5, seed=1, name=name)
    (root / "seed-1" / "logs").mkdir()
    return root


def test_a_folder_of_runs_stands_for_the_runs_in_it(runs: Path) -> None:
    wanted = (runs / "seed-1" / "rl", runs / "seed-1" / "sft")
    assert resolve_runs([runs / "seed-1"]).runs == wanted
    assert resolve_runs([runs]).runs == wanted
    assert resolve_runs([wanted[1], runs]).runs == (wanted[1], wanted[0])  # named twice, there once


def test_what_a_star_gives_beside_the_runs_is_passed_over_and_named(runs: Path) -> None:
    found = resolve_runs(sorted((runs / "seed-1").iterdir()))
    assert [run.name for run in found.sound()] == ["rl", "sft"]
    assert len(found.notes) == 1 and "logs: no run.json" in found.notes[0]


def test_where_there_is_no_run_that_is_said(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        resolve_runs([runs, tmp_path / "nowhere"])
    with pytest.raises(InputError, match=r"no run\.json there .*: no run folder"):
        resolve_runs([tmp_path])
    with pytest.raises(InputError, match=r"no run\.json there"):
        resolve_runs([runs / "seed-1" / "rl" / "run.json"])


def test_a_run_that_cannot_be_read_is_left_out_of_the_sound_ones(runs: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "cut", n_questions=4, n_steps=0, learn=0.5, seed=2, name="cut")
    whole = (tmp_path / "cut" / "run.json").read_bytes()
    (tmp_path / "cut" / "run.json").write_bytes(whole[: len(whole) // 2])
    found = resolve_runs([runs, tmp_path])
    assert [run.name for run in found.sound()] == ["rl", "sft"]
    assert list(found.unreadable) == [tmp_path / "cut"]
    assert found.lines()[0].startswith("left out: ") and "run.json" in found.lines()[0]
    with pytest.raises(StoreError, match=r"run\.json: damaged"):
        resolve_runs([tmp_path]).sound()


def test_a_copy_of_a_run_is_refused_where_runs_are_put_side_by_side(runs: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "copy", n_questions=4, n_steps=0, learn=0.5, seed=1, name="rl")
    found = resolve_runs([runs, tmp_path / "copy"])
    assert len(found.runs) == 3
    with pytest.raises(InputError, match="are the same run rl-1"):
        found.sound()
