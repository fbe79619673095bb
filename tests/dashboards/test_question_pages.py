"""Pages Questions, Question, Compare and Benchmarks in every state, without a browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from relift.analysis.runs.read import read_attempts, read_responses
from relift.dashboards.answers import answers, events_of_question, trajectory_of_question
from relift.dashboards.charts.questions import trajectory
from relift.dashboards.question_widgets import grid_of
from relift.dashboards.runs import Choice, survey
from relift.store import RunReader
from tests.dashboards.app import open_page, parameter, text_of
from tests.dashboards.hostile import HOSTILE
from tests.dashboards.written import WrittenRun
from tests.synthetic import write_run

PAGES = ("questions", "question", "compare", "benchmarks")
SHORT = {name: text for name, text in HOSTILE.items() if len(text) < 1000}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs: base, rl and relift on 60 questions, one still running, one empty, one with other questions."""
    made = tmp_path_factory.mktemp("runs")
    for name, steps, learn, extra in (
        ("base", 0, 0.0, {}), ("rl", 4, 0.4, {}), ("relift", 4, 0.6, {"demos_per_step": 4}),
        ("running", 2, 0.3, {"status": "running"}), ("other", 2, 0.3, {"first_question": 1000}),
        ("one_draw", 2, 0.3, {"base_draws": 1}),
    ):  # fmt: skip
        write_run(
            made / name, n_questions=60, n_steps=steps, learn=learn, seed=len(name), name=name, probe_every=2, **extra
        )
    empty = WrittenRun(made / "empty", ["1+1?"], ["2"], name="empty", status="running")
    empty.close()
    return made


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WrittenRun]:
    """A run of hostile problems with hostile answers, wrong at step 0 and correct at step 10."""
    texts = list(SHORT.values())
    run = WrittenRun(
        tmp_path_factory.mktemp("hostile") / "run",
        texts,
        texts,
        name="hostile",
        demonstrations={t: t for t in texts},
    )
    run.step(0, ["wwww"] * len(texts), draws=2, events=[(0, "enqueue")])
    run.step(10, ["cccu"] * len(texts), events=[(0, "train")])
    yield run
    run.close()


def sound(app: AppTest) -> AppTest:
    """The page, which must not have failed."""
    assert not app.exception, [e.value for e in app.exception]
    return app


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("names", "says"),
    [
        ((), dict.fromkeys(PAGES, "No run was named")),
        (("empty",), dict.fromkeys(PAGES, "nothing is committed yet")),
        (("base",), {"questions": "No class: ", "compare": "Two runs", "benchmarks": "With a second run"}),
        (("running",), {"questions": "**60** questions", "compare": "Two runs", "question": "of 60 questions"}),
        (("one_draw",), {"questions": "**60** questions", "question": "of 60 questions"}),
        (("base", "rl", "relift"), {"questions": "Found: ", "compare": "Who solves", "benchmarks": "Paired"}),
        (("rl", "other"), {"compare": "no probed question in common", "benchmarks": "no answered question in common"}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_every_page_in_every_state(
    page: str, names: tuple[str, ...], says: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = sound(open_page(monkeypatch, page, [folder / name for name in names]))
    assert says.get(page, "") in text_of(app)


def test_a_damaged_file_is_named_and_the_page_stands(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = shutil.copytree(folder / "rl", tmp_path / "rl")
    file = run / "attempts" / "step-000004.probe.d0.parquet"
    file.write_bytes(file.read_bytes()[:-40])
    app = sound(open_page(monkeypatch, "question", [run]))
    errors = html.unescape("".join(str(error.value) for error in app.error))
    assert "step-000004.probe.d0.parquet" in errors


def test_filters_narrow_the_list_and_say_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "questions", [folder / "rl"], query={"find": "question 7?"})
    assert "**1** of 60 questions" in text_of(sound(app))
    app.text_input(key="find").set_value("no such text").run()
    assert "take a filter away" in text_of(sound(app))


def test_a_row_shows_its_answers_and_links_to_the_question(
    folder: Path, monkeypatch: pytest.MonkeyPatch, hostile: WrittenRun
) -> None:
    app = open_page(monkeypatch, "questions", [hostile.folder])
    app.session_state["list"] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    app.run()
    sound(app)
    assert "The question chosen" in text_of(app)
    assert any(code.value in SHORT.values() for code in app.code)


def test_the_question_page_goes_on_and_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = list(RunReader(folder / "rl").read("questions").sort_values("question_ix")["question_id"])
    app = open_page(
        monkeypatch, "question", [folder / "rl"], query={"within": "sort=order+of+the+data", "q": ids[0]}
    )  # fmt: skip
    assert "**1** of 60 questions" in text_of(sound(app))
    press(app, "Next")
    assert parameter(app, "q") == ids[1]
    assert "**2** of 60 questions" in text_of(sound(app))
    press(app, "Previous")
    assert parameter(app, "q") == ids[0]


def test_j_and_k_move_the_step_of_the_right_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "question", [folder / "rl"], query={"step": "2"})
    assert "on the right: step **2**" in text_of(sound(app))
    press(app, "Later step")
    assert parameter(app, "step") == "4"
    assert "on the right: step **4**" in text_of(sound(app))


@pytest.mark.parametrize("query", [{"q": "../../etc/passwd"}, {"q": "x" * 5000}, {"step": "-1"}, {"step": "9" * 30},
                                   {"within": "class=%00&band=x&sort=y"}, {"read": "nothing"}])  # fmt: skip
def test_addresses_with_nonsense_do_no_harm(
    query: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound(open_page(monkeypatch, "question", [folder / "rl"], query=query))


def test_hostile_answers_are_in_code_blocks_as_they_are(hostile: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    for i, name in enumerate(list(SHORT)[:3]):
        app = sound(open_page(monkeypatch, "question", [hostile.folder], query={"q": hostile.ids[i]}))
        assert [code.value for code in app.code].count(SHORT[name]) >= 2  # the problem, and attempts 0 of both sides


def test_the_answers_before_and_after_are_those_of_the_flip(
    hostile: WrittenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    # wrong at step 0 in both draws, correct at step 10: left the first wrong attempt, right the first correct one
    app = sound(open_page(monkeypatch, "question", [hostile.folder], query={"q": hostile.ids[0]}))
    text = text_of(app)
    assert "Before and after" in text
    assert ":red-badge" in text
    assert ":green-badge" in text


def test_answers_and_grid_are_the_recorded_attempts(hostile: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", str(hostile.folder)])
    (run,) = survey()
    for step in (0, 10):
        for question_id in hostile.ids[:4]:
            found = answers(run, question_id, step)
            attempts = read_attempts([run.folder], origin="probe", steps=[step], questions=[question_id])
            texts = read_responses([run.folder], step=step, questions=[question_id])
            expected = attempts.merge(texts[["draw", "attempt", "text"]], on=["draw", "attempt"], how="left")
            for name in ("draw", "attempt", "step", "verdict", "verdict_rule", "finish", "n_tokens", "answer", "text"):
                assert found[name].astype(object).tolist() == expected[name].astype(object).tolist(), name
    grid = grid_of(run, hostile.ids[0], [0, 10])
    # two draws of "wwww" at step 0, which follow each other, and "cccu" at step 10
    assert list(zip(grid["step"], grid["slot"], strict=True)) == [*((0, i) for i in range(1, 9)), (10, 1), (10, 2),
                                                                  (10, 3), (10, 4)]  # fmt: skip
    assert list(grid["verdict"]) == ["wrong"] * 8 + ["correct"] * 3 + ["undecided"]
    assert grid_of(run, "no such question", [0, 10]).empty
    assert answers(run, "no such question", 0).empty


def test_the_charts_of_a_question_hold_its_rows(hostile: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", str(hostile.folder)])
    (run,) = survey()
    frame, events = trajectory_of_question(Choice((run,)), hostile.ids[0]), events_of_question(
        Choice((run,)), hostile.ids[0]
    )  # fmt: skip
    spec, data = trajectory(frame, events, at=[(run.name, 10)])
    assert data["rows"][["step", "n_correct", "n_decided"]].values.tolist() == [[0, 0, 8], [10, 3, 3]]
    assert data["read"]["step"].tolist() == [10]
    assert data["events"]["event"].tolist() == ["enqueue", "train"]
    named = set(re.findall(r'"name": "(\w+)"', json.dumps([layer["data"] for layer in spec["layer"]])))
    assert named == set(data) == {"rows", "read", "events"}
    bare, less = trajectory(frame, events.iloc[:0])
    assert set(less) == {"rows"}
    assert "events" not in json.dumps(bare)


def test_the_json_of_a_question_is_made_when_it_is_opened(hostile: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    question_id = hostile.ids[0]
    app = sound(open_page(monkeypatch, "question", [hostile.folder], query={"q": question_id}))
    assert not [code for code in app.code if code.language == "json"]
    app.session_state[f"json-{question_id}"] = True
    app.run()
    (code,) = [code for code in sound(app).code if code.language == "json"]
    body = json.loads(code.value)
    assert body["question_id"] == question_id
    assert [(row["step"], row["n_correct"], row["n_decided"]) for row in body["trajectory"]] == [(0, 0, 8), (10, 3, 3)]
    assert [row["event"] for row in body["events"]] == ["enqueue", "train"]
    assert [text["verdict"] for text in body["texts"]] == ["wrong", "correct"]
    assert body["texts"][0]["text"] == list(SHORT.values())[0]


def test_two_runs_are_read_beside_each_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = {"read": "two runs", "of": "relift", "beside": "rl"}
    app = sound(open_page(monkeypatch, "question", [folder / "rl", folder / "relift"], query=query))
    assert "rl and relift" in text_of(app)


def test_compare_counts_every_question_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = {"a": "rl", "b": "relift"}
    app = sound(open_page(monkeypatch, "compare", [folder / n for n in ("base", "rl", "relift")], query=query))
    counts = [int(label.rpartition("(")[2].rstrip(")")) for label in _options(app, "cell-listed")]
    assert len(counts) == 8
    assert sum(counts) == 60


def _options(app: AppTest, key: str) -> list[str]:
    return [str(option) for option in next(group for group in app.button_group if group.key == key).options]


def press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()


def test_answers_to_a_benchmark_can_be_listed_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # an evaluation keeps attempts and texts, no trajectories: they are counted from the attempts
    run = WrittenRun(tmp_path / "model", ["1+1?", "2+2?"], ["two", "four"], name="model", origin="benchmark")
    run.step(0, ["cc", "wwu"])
    run.close()
    listed = sound(open_page(monkeypatch, "questions", [run.folder]))
    assert "**2** questions" in text_of(listed)
    read = sound(open_page(monkeypatch, "question", [run.folder], query={"q": run.ids[1]}))
    assert "four" in [code.value for code in read.code]
    assert "Every attempt of model" in text_of(read)
