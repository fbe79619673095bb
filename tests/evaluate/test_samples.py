"""Answers that are shown at the end: some of each verdict, the same ones each time, harmless to a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from relift.engines.texts import AttemptRequest, Reply
from relift.evaluate.progress import duration
from relift.evaluate.samples import harmless, sample_answers
from relift.schema import Finish
from tests.evaluate import fakes
from tests.evaluate.fakes import CountingAnswerer, run


def test_some_of_each_verdict(tmp_path: Path) -> None:
    """Some of 20 answers are above the gold 4 and wrong; "it is 7" stays undecided."""
    run(tmp_path, CountingAnswerer([]), grader=fakes.grader(undecided=lambda text: text == "it is 7"))
    shown = sample_answers(tmp_path, 3)
    assert shown == sample_answers(tmp_path, 3)
    heads = [line for line in shown.splitlines() if line.startswith("--- gold 4")]
    assert [line.split(": ")[1].split()[0] for line in heads] == ["wrong", "correct", "undecided"]
    assert "--- answer 1 of 3: ten, attempt " in shown and "question " in shown and "it is " in shown
    assert sample_answers(tmp_path, 1) in shown.replace("1 of 3", "1 of 1")
    assert sample_answers(tmp_path, 500).count("--- answer ") == 20


def test_what_a_terminal_would_obey_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reply_to(ask: AttemptRequest) -> Reply:
        return Reply("\x1b[2J\x07 it is \u202e 4\nnext" + "x" * 3000 + "4", Finish.length, 9)

    monkeypatch.setattr(fakes, "reply_to", reply_to)
    run(tmp_path, CountingAnswerer([]))
    shown = sample_answers(tmp_path, 2)
    assert all(c.isprintable() or c == "\n" for c in shown) and "9 tokens, length" in shown
    assert "... xxx" in shown and len(shown) < 4000
    assert harmless("\x1b[2J\u202ea\nb") == "\\x1b[2J\\u202ea\nb"


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 89, 90, 5399, 5400, 90000)] == [
        "0 s",
        "89 s",
        "2 min",
        "90 min",
        "1.5 h",
        "25.0 h",
    ]
