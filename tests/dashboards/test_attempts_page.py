"""Page Attempts: marks, search and frequent wrong answers of a run whose every text is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboards.app import open_page, parameter, text_of
from tests.dashboards.written import WrittenRun

TEXTS = ["12 + 30 = 42, so the answer is 42", "no, no, no, " * 60, "所以答案是四十二", "\\boxed{41}"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WrittenRun]:
    """Four questions, each with a correct attempt at step 0 and three wrong ones at step 10."""
    run = WrittenRun(tmp_path_factory.mktemp("attempts") / "run", [f"What is {i} + 41?" for i in range(4)], TEXTS)
    run.step(0, ["cwww"] * 4, draws=2)
    run.step(10, ["wwwu"] * 4)
    yield run
    run.close()


def counted(page: object) -> str:
    return next(line for line in text_of(page).splitlines() if "attempts" in line and line.startswith("**"))  # type: ignore[arg-type]


def test_the_last_step_is_listed_and_its_verdicts_counted(run: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "attempts", [run.folder])
    assert not app.exception
    # 4 questions x "wwwu"; first attempts have the texts above, the others quote 200 characters of them
    line = counted(app)
    for part in (
        "**16** of 16 attempts",
        "12 wrong",
        "4 undecided",
        "4 repetitive",
        "4 other script",
        "1 only the format",
    ):
        assert part in line, (part, line)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"step": "0"}, "**32** of 32 attempts"),
        ({"sign": "repetitive"}, "**4** of 16 attempts"),
        ({"verdict": "wrong"}, "**12** of 16 attempts"),
        ({"text": "ANSWER IS 42"}, "**4** of 16 attempts"),  # either case; the other three attempts quote the text
        ({"text": "(no, ){3}", "regex": "true"}, "**4** of 16 attempts"),
        ({"answer": "41", "verdict": "wrong"}, "**12** of 16 attempts"),
        ({"text": "nothing like it"}, "take a filter away"),
        ({"text": "(", "regex": "true"}, "no pattern of RE2"),
        ({"attempt": "x|y|z|1"}, "Choose a row to read it here"),
        ({"sign": "??", "verdict": "..", "order": "x", "step": "-1"}, "**16** of 16 attempts"),
    ],
)
def test_an_address_brings_the_list_back(
    query: dict[str, str], says: str, run: WrittenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(monkeypatch, "attempts", [run.folder], query=query)
    assert not app.exception
    assert says in text_of(app)


def test_the_attempt_of_the_address_is_shown_as_it_is(run: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "attempts", [run.folder], query={"attempt": f"rl|{run.ids[2]}|0|0"})
    assert not app.exception
    assert TEXTS[2] in [code.value for code in app.code]
    assert "gold answer **&#52;2**" in text_of(app)


def test_a_row_chosen_goes_into_the_address(run: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "attempts", [run.folder])
    app.session_state["attempts-list"] = {"selection": {"rows": [4], "columns": [], "cells": []}}
    app.run()
    assert not app.exception
    assert parameter(app, "attempt") == f"rl|{run.ids[1]}|0|0"  # four attempts a question


def test_wrong_answers_that_attempts_share_are_counted(run: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "attempts", [run.folder])
    table = app.dataframe[1].value
    assert list(table["given"]) == [3, 3, 3, 3]  # "41", by the three wrong attempts at each question
    assert list(table["answer"]) == ["41"] * 4


def test_a_damaged_file_of_one_run_leaves_the_other(
    run: WrittenRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = WrittenRun(tmp_path / "other", ["1+1?"], ["two"], name="other", seed=2)
    other.step(0, ["cc"])
    other.close()
    file = next((tmp_path / "other" / "attempts").iterdir())
    file.write_bytes(file.read_bytes()[:-40])
    app = open_page(monkeypatch, "attempts", [run.folder, other.folder], query={"of": ["rl", "other"]})
    assert not app.exception
    assert "other is left out" in "".join(error.value for error in app.error)
    assert "**16** of 16 attempts" in text_of(app)
