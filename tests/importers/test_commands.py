"""The commands as a shell sees them: what they print, and one line and exit status 2 for bad input."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from relift.cli import main
from tests.importers import sources


class Ended(NamedTuple):
    """Exit status and what was printed."""

    status: int
    out: str
    err: str


Relift = Callable[..., Ended]


@pytest.fixture
def relift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Relift:
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["relift", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return Ended(int(end.value.code or 0), *capsys.readouterr())

    return run


def test_import_export_and_prepare_in_a_row(tmp_path: Path, relift: Relift) -> None:
    sources.trl(tmp_path)
    done = relift("import", "trl", "trl", "--out", "runs/theirs")
    assert done.status == 0 and done.out.startswith("imported: runs/theirs"), done.err
    # Rewards: each question has one answer of two right.
    options = ("--select", "solved", "--out", "q.parquet", "--layout", "verl")
    solved = relift("export-questions", "runs/theirs", *options)
    assert "2 of 2 questions, by their rollouts at step 3, with 0 worked solutions: q.parquet" in solved.out
    prepared = relift("data", "prepare", "verl", "q.parquet", "--out", "q.jsonl", "--json")
    # TRL tells no golds, so none can be given away: every row is dropped, with the reason.
    assert prepared.status == 2 and "the gold answer is empty; no question is left of 2 rows" in prepared.err
    assert not (tmp_path / "q.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "lmeval", ".", "--into", "new"), "cannot import 'lmeval'; nearest: lm-eval"),
        (("import", "verl", ".", "--into", "new", "--requests", "x"), "--requests: verl has no such place"),
        (("import", "lm-eval", ".", "--into", "new"), "no samples_TASK_DATE.jsonl there"),
        (("import", "lighteval", "nowhere", "--into", "new"), "nowhere"),
        (("data", "prepare", "lufy", "x.parquet", "--out", "q.jsonl"), "no layout 'lufy'; nearest: luffy"),
        (("data", "prepare", "jsonl", "x.jsonl", "--out", "q.jsonl", "--column", "answer"), "write it as OURS=PATH"),
        (("data", "prepare", "jsonl", "x.jsonl", "--out", "q.jsonl"), "x.jsonl: cannot be read"),
        (("data", "prpare"), "No such command 'prpare'; nearest: prepare"),
        (("export-questions", ".", "--out", "q.jsonl"), "no run.json there"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, relift: Relift, arguments: tuple[str, ...], said: str) -> None:
    done = relift(*arguments)
    assert done.status == 2 and done.out == ""
    assert said in done.err and done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
