"""Recorded answers as an engine: run folders, lines of text, what is missing, what is wrong with a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from relift.engines.model_source import ModelSource
from relift.engines.open import open_answerer
from relift.engines.options import ReplayOptions
from relift.engines.replay import ReplayAnswers, open_recording
from relift.engines.texts import AttemptRequest, Prompt
from relift.engines.tokens import Sampling
from relift.errors import InputError
from relift.schema import Finish, question_id_of
from relift.store import RunWriter, split_responses
from tests.engines.answer_contract import CHECKS, WARM, Case, answers
from tests.engines.tiny import character_tokenizer, prompts, tiny_model
from tests.store.rows import RUN, attempts, questions


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Attempts 0..2 at questions q0..q5, as the contract asks for them, and one that nobody asks for."""
    rows = [
        {"question_id": f"q{q}", "attempt": g, "text": f"answer {g} at {q}", "n_tokens": 12, "finish": "length"}
        for q in range(6)
        for g in range(4)
    ]
    return write_lines(tmp_path_factory.mktemp("recorded") / "answers.jsonl", rows)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Any, lines: Path) -> None:
    check(
        Case(
            make=lambda: ReplayAnswers(open_recording(lines)),
            prompts=[Prompt(ids) for ids in prompts(6)],
            too_long=None,
            samples=False,
        )
    )


def write_run(folder: Path, *, steps: tuple[int, ...] = (0,), origin: str = "benchmark") -> pd.DataFrame:
    frame = attempts()
    with RunWriter(folder) as writer:
        writer.start(RUN, config_toml="", questions=questions(), demonstrations=None)
        for step in steps:
            rows, responses = split_responses(frame)
            writer.write("attempts", rows, step=step, origin=origin)
            writer.write("responses", responses, step=step, origin=origin)
            writer.commit(step)
    return frame


def test_a_run_folder_gives_back_what_it_holds(tmp_path: Path) -> None:
    frame = write_run(tmp_path / "run")
    ids = questions()["question_id"]
    engine = open_answerer("replay", ModelSource(str(tmp_path / "run"), None, "run"))
    asks = [AttemptRequest(f"{ids[r.question_ix]}/0/{r.attempt}", Prompt((1,)), 0) for r in frame.itertuples()]
    with engine:
        replies = answers(engine, asks, WARM)
    for reply, row in zip(replies, frame.itertuples(), strict=True):
        assert (reply.text, reply.finish, reply.n_tokens) == (row.text, Finish(row.finish), row.n_tokens)
        assert (reply.sum_logprob, reply.mean_entropy) == (row.sum_logprob, pytest.approx(row.mean_entropy))
    assert engine.describe()["run_id"] == "run-1"


def test_of_several_steps_one_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "run", steps=(0, 5), origin="probe")
    with pytest.raises(InputError, match=r"answers of 2 steps; name one as .*run@5$"):
        open_recording(tmp_path / "run")
    with pytest.raises(InputError, match="answers of steps 0, 5, none of step 3"):
        open_recording(tmp_path / "run@3")
    assert open_recording(tmp_path / "run@5").facts["step"] == 5
    assert open_recording(tmp_path / "run@0").facts != open_recording(tmp_path / "run@5").facts
    with pytest.raises(InputError, match="no recorded answers there"):
        open_recording(tmp_path / "elsewhere")


def test_attempts_without_a_text_are_missing(tmp_path: Path) -> None:
    with RunWriter(tmp_path) as writer:
        writer.start(RUN, config_toml="", questions=questions(), demonstrations=None)
        writer.write("attempts", attempts().drop(columns="text").assign(response_id=None), step=0, origin="probe")
        writer.commit(0)
    assert open_recording(tmp_path).replies == {}


def test_a_missing_attempt_is_named_before_anything_starts(lines: Path) -> None:
    engine = ReplayAnswers(open_recording(lines))
    asks = [AttemptRequest(f"q{q}/0/{g}", Prompt((1,)), 0) for q in (0, 9) for g in range(2)]
    with pytest.raises(
        InputError, match=r"2 of 4 attempts were not recorded, the first is attempt 0 \(draw 0\) at question q9"
    ):
        engine.check(asks, WARM)


def test_questions_by_their_text(tmp_path: Path) -> None:
    rows = [
        {"problem": " 1+1? ", "attempt": 0, "text": "2", "n_tokens": 1},
        {"problem": "Which?", "options": ["a", "b"], "attempt": 0, "text": "A", "n_tokens": 1},
    ]
    replies = open_recording(write_lines(tmp_path / "a.jsonl", rows)).replies
    assert set(replies) == {f"{question_id_of('1+1?')}/0/0", f"{question_id_of('Which?', ['a', 'b'])}/0/0"}


def test_all_problems_of_a_file_at_once(tmp_path: Path) -> None:
    good = {"question_id": "q", "attempt": 0, "text": "t"}
    rows = [
        good,
        good,
        {**good, "attempt": True},
        {**good, "attempt": -1},
        {"attempt": 0, "text": "t"},
        {**good, "attempt": 7, "text": None},
        {**good, "attempt": 8, "finish": "eos"},
        3,
    ]
    with pytest.raises(InputError) as error:
        open_recording(write_lines(tmp_path / "a.jsonl", rows))
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'a.jsonl'}: line 2: q/0/0 is there twice; line 3: attempt is True, not")
    assert "line 5: neither question_id nor problem" in message and message.endswith("(and 2 more)")
    assert "\n" not in message


def test_tokens_that_nobody_counted(tmp_path: Path) -> None:
    """Characters are tokens: "abc" has 3 and an end token, unless it was cut off."""
    rows = [
        {"question_id": "q", "attempt": 0, "text": "abc"},
        {"question_id": "q", "attempt": 1, "text": "abc", "finish": "length"},
        {"question_id": "q", "attempt": 2, "text": "\ud800", "n_tokens": 5},
    ]
    path = write_lines(tmp_path / "a.jsonl", rows)
    asks = [AttemptRequest(f"q/0/{g}", Prompt((1,)), 0) for g in range(3)]
    with pytest.raises(InputError, match=r"2 answers have no n_tokens, the first is q/0/0; .* --tokenizer"):
        ReplayAnswers(open_recording(path)).check(asks, WARM)
    tiny_model().save_pretrained(tmp_path / "model")
    character_tokenizer(tmp_path / "model")
    source = ModelSource("", None, "")
    options = ReplayOptions(recorded=path, tokenizer=str(tmp_path / "model"))
    with open_answerer("replay", source, options=options) as engine:
        assert [(r.text, r.n_tokens) for r in answers(engine, asks, Sampling(max_tokens=9))] == [
            ("abc", 4),
            ("abc", 3),
            ("?", 5),
        ]


def test_other_recordings_are_told_apart(lines: Path, tmp_path: Path) -> None:
    was = open_recording(lines).facts
    other = write_lines(tmp_path / "b.jsonl", [{"question_id": "q", "attempt": 0, "text": "t"}])
    assert open_recording(other).facts != was
