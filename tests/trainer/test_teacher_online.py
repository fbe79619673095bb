"""Demonstrations that come while training goes on: from servers that misbehave, a person, the model itself."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from relift.engines import openai_session
from relift.engines.openai import OpenAIAnswers
from relift.errors import StoreError
from relift.store import RunReader
from relift.store.ledger import ARRIVALS, TEACHER, Ledger, read_ledger
from relift.trainer.admission import admit
from relift.trainer.loop import train
from relift.trainer.run import Run, StepReport
from relift.trainer.teacher_online import Arrivals
from relift.trainer.teacher_open import request_of, sampling_of, server_options
from relift.trainer.teacher_sources import HumanSource, SelfSource, ServerSource, wanted_path
from tests.engines.flaky_server import BEHAVIOURS, GOOD, FlakyServer, good_body
from tests.trainer.scripted import END, right, scripted_run, wrong


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_session, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(openai_session, "LONGEST_WAIT_SECONDS", 0.2)


def demonstrations(folder: Path) -> pd.DataFrame:
    return RunReader(folder).read("demonstrations")


# ---- servers that misbehave ----------------------------------------------------------------------------------------

N_EACH = 20
CRITERIA = {"recipe": "relift", "model": {"path": "none"}, "sft": {"batch": 4}}


def scripted(folder: Path, n: int, server: FlakyServer, *, steps: int, warned: list[str], **online: Any) -> Run:
    """A run without torch over n questions that the model never answers right, taught by a server."""
    settings = {"url": server.base_url, "model": "tiny", "max_tokens": 40, "concurrency": 16, "timeout_seconds": 0.5}
    values = CRITERIA | {
        "steps": steps,
        "rollout": {"questions_per_step": n, "attempts_per_question": 2},
        "buffer": {"drain": "all", "max_uses": 1},
        "teacher": {"online": {"source": "server", **settings, **online}},
    }
    run = scripted_run(folder, values, n_train=n, warn=warned.append)
    config, item_of = run.config, {item.question_ix: item for item in run.train_items}
    answerer = OpenAIAnswers("tiny", server_options(config), count_tokens=len, on_event=warned.append)
    answerer.ledger = folder / TEACHER
    source = ServerSource(
        answerer,
        sampling_of(config),
        request=lambda ix, number: request_of(config, item_of[ix], number),
        tries=config.teacher.online.tries,
        prices=(1.0, 10.0),
        warn=warned.append,
    )
    run.arrivals = arrivals_of(run, source)
    return run


def arrivals_of(run: Run, source: Any) -> Arrivals:
    def encode(text: str, prompt_ids: Any) -> list[int]:
        return list(map(ord, text))

    door = partial(admit, grader=run.grader, encode=encode, end_token=END, max_tokens=40, bad="skip")
    return Arrivals(
        buffer=run.buffer,
        items=run.train_items,
        known=[],
        admit=door,
        encode=lambda text, prompt_ids: [*encode(text, prompt_ids), END],
        writer=run.record.writer,
        source=source,
    )


def taught(run: Run, *, seconds: float = 60.0) -> None:
    """Train to the end; between the steps the teacher gets the time to answer."""
    assert run.arrivals is not None
    source, folder = run.arrivals.source, run.record.writer.folder
    assert isinstance(source, ServerSource)
    taken = 0
    take = source.take

    def counted() -> Any:
        nonlocal taken
        received = take()
        taken += len(received)
        return received

    def wait(report: StepReport) -> None:
        deadline = time.monotonic() + seconds
        while taken + source._got.qsize() < len(source._asked) and source._thread.is_alive() and not source._spent:
            assert time.monotonic() < deadline, "the teacher does not end"
            time.sleep(0.01)

    source.take, run.on_step = counted, wait  # type: ignore[method-assign]
    with run.record.writer, run.grader, Ledger(folder / ARRIVALS) as journal, source:
        run.arrivals.open(journal, step=run.step or 0)
        train(run)


def problem_of(request: dict[str, Any]) -> int:
    """The number in "question 7?"."""
    return int(request["messages"][-1]["content"].split("question ")[1].partition("?")[0])


def teaching(request: dict[str, Any], *, wrong_first: bool = False) -> dict[str, Any]:
    """Right answers; with `wrong_first` every third question's first text is wrong."""
    ix = problem_of(request)
    number = WRONG_FIRST.setdefault((ix, request["seed"]), sum(key[0] == ix for key in WRONG_FIRST))
    make = wrong if wrong_first and ix % 3 == 0 and number == 0 else right
    message = {"role": "assistant", "content": make(str(ix % 9 + 1))}
    return good_body(request, choices=[{"index": 0, "finish_reason": "stop", "message": message}])


WRONG_FIRST: dict[tuple[int, int], int] = {}  # (question, seed) -> the number of the text among its question's


def nothing_is_lost_or_bought_twice(n_each: int, folder: Path) -> None:
    """Every question meets one behaviour at its first request: all get a demonstration, none is paid twice.

    An outcome that is no answer (filtered, cut, empty) is a try in vain, and a second text is bought.
    """
    WRONG_FIRST.clear()
    n = n_each * len(BEHAVIOURS)
    met: dict[int, str] = {}

    def behaviour_of(seed: int) -> str:
        if seed not in met:
            first = server.requests[-1][2]
            ix = problem_of(next(r for _, _, r in reversed(server.requests) if r.get("seed") == seed) or first)
            met[seed] = BEHAVIOURS[ix % len(BEHAVIOURS)] if (ix, "met") not in seen else GOOD
            seen.add((ix, "met"))
        return met[seed]

    seen: set[tuple[int, str]] = set()
    warned: list[str] = []
    with FlakyServer(behaviour_of, body=partial(teaching, wrong_first=True)) as server:
        run = scripted(folder / "run", n, server, steps=6, warned=warned, tries=3)
        taught(run)
        assert max(server.sold.values()) == 1
    table = demonstrations(folder / "run")
    good = table[table["accepted"]]
    assert sorted(good["question_ix"]) == list(range(n))  # none lost, none twice
    assert good["text"].tolist() == [right(str(ix % 9 + 1)) for ix in good["question_ix"]]
    events = RunReader(folder / "run").read("demo_events")
    trained = events.loc[events["event"] == "train", "demo_id"]
    assert len(trained) >= n - 4 and set(trained) <= set(good["demo_id"])  # 4 wait for a full batch at most
    assert set(table.loc[~table["accepted"], "reject_reason"]) >= {
        "wrong_answer",
        "teacher_error",
        "too_long",
        "no_final_answer",
    }
    assert len(read_ledger(folder / "run" / TEACHER).replies) == sum(server.sold.values())
    assert table.loc[table["accepted"], "cost"].tolist() == [(5 * 1 + 7 * 10) / 1e6] * n  # 5 tokens at $1, 7 at $10


def test_every_misbehaviour_once(tmp_path: Path) -> None:
    nothing_is_lost_or_bought_twice(1, tmp_path)


@pytest.mark.fault
def test_every_misbehaviour_twenty_times(tmp_path: Path) -> None:
    nothing_is_lost_or_bought_twice(N_EACH, tmp_path)


def test_a_server_that_never_ends_well_is_told_of_and_training_goes_on(tmp_path: Path) -> None:
    """Its questions stay wanted, nothing is trained on, and the record says teacher_error once for each."""
    warned: list[str] = []
    with FlakyServer(lambda seed: "html", visits=1e9, body=teaching) as server:
        run = scripted(tmp_path / "run", 4, server, steps=4, warned=warned, tries=1)
        taught(run)
    assert sorted(run.buffer.wanted) == [0, 1, 2, 3]
    table = demonstrations(tmp_path / "run")
    assert table["reject_reason"].tolist() == ["teacher_error"] * 4 and not table["accepted"].any()
    assert any("the teacher failed, 4 questions still wait" in line for line in warned), warned


def test_a_budget_holds_over_starts(tmp_path: Path) -> None:
    """Two of five requests are allowed; a second start with as much asks for nothing more."""
    warned: list[str] = []
    with FlakyServer(body=teaching) as server:
        run = scripted(tmp_path / "run", 5, server, steps=3, warned=warned, max_requests=2)
        taught(run)
        assert server.sold.total() == 2 and len(run.buffer.wanted) == 3
        assert any("asked no more: 2 requests have been made, and max_requests is 2" in line for line in warned)
        again = scripted(tmp_path / "again", 5, server, steps=3, warned=warned, max_requests=2)
        (tmp_path / "again" / TEACHER).write_bytes((tmp_path / "run" / TEACHER).read_bytes())
        taught(again)
        assert server.sold.total() == 2


def test_a_ledger_that_cannot_be_written_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FlakyServer(body=teaching) as server:
        run = scripted(tmp_path / "run", 2, server, steps=4, warned=[])

        def full(*args: Any, **named: Any) -> None:
            raise StoreError("teacher.jsonl: no space")

        assert run.arrivals is not None and isinstance(run.arrivals.source, ServerSource)
        monkeypatch.setattr(run.arrivals.source._answerer, "stream", full)
        with pytest.raises(StoreError, match="no space"):
            taught(run)


# ---- a person, and the model itself --------------------------------------------------------------------------------


def line(**row: Any) -> str:
    return json.dumps(row) + "\n"


def test_a_person_teaches(tmp_path: Path) -> None:
    """Lines are taken once, whole ones alone; a bad one is told of; the list says which questions are wanted."""
    file, warned = tmp_path / "mine.jsonl", list[str]()
    values = CRITERIA | {
        "steps": 3,
        "rollout": {"questions_per_step": 3, "attempts_per_question": 2},
        "sft": {"batch": 1},
        "teacher": {"online": {"source": "human", "file": str(file)}},
    }
    run = scripted_run(tmp_path / "run", values, n_train=3)
    ids = [item.question.question_id for item in run.train_items]

    def write(report: StepReport) -> None:
        if report.step == 1:
            wanted = [json.loads(row) for row in wanted_path(file).read_text().splitlines()]
            assert {row["question_id"]: row["answer"] for row in wanted} == dict(zip(ids, "123", strict=True))
            good, bad = line(question_id=ids[0], demonstration=right("1")), line(problem="other", demonstration="x")
            wrong_one = line(problem="question  1?", demonstration=wrong("2"))
            file.write_text(
                good + "no json\n" + bad + wrong_one + line(question_id=ids[2], demonstration=right("3"))[:-9]
            )
        if report.step == 2:
            assert len(wanted_path(file).read_text().splitlines()) == 2

    run.on_step = write
    run.arrivals = arrivals_of(run, HumanSource(file, run.train_items, warn=warned.append))
    with run.record.writer, run.grader, Ledger(tmp_path / "run" / ARRIVALS) as journal:
        run.arrivals.open(journal, step=0)
        train(run)
    table = demonstrations(tmp_path / "run")
    assert table[["question_ix", "source", "accepted", "step"]].values.tolist() == [
        [0, "human", True, 2],
        [1, "human", False, 2],
    ]
    assert [w.partition(": ")[2] for w in warned] == [
        "no JSON object; mend the line, it is read again",
        "no training question has this question_id or problem; mend the line, it is read again",
    ]
    again = HumanSource(file, run.train_items, warn=warned.append)
    assert len(again.take()) == 2 and again.take() == []


def test_the_model_teaches_itself(tmp_path: Path) -> None:
    """Question 0 is all wrong in steps 1 and 2 and right once in step 3: that answer is trained on in step 4."""
    values = CRITERIA | {
        "steps": 4,
        "rollout": {"questions_per_step": 2, "attempts_per_question": 2},
        "sft": {"batch": 1},
        "buffer": {"recheck": "none"},
        "teacher": {"online": {"source": "self"}},
    }
    run = scripted_run(tmp_path / "run", values, n_train=2, n_right=lambda ix, version: int(ix == 0 and version == 2))
    run.arrivals = arrivals_of(run, SelfSource())
    with run.record.writer, run.grader, Ledger(tmp_path / "run" / ARRIVALS) as journal:
        run.arrivals.open(journal, step=0)
        train(run)
    table = demonstrations(tmp_path / "run")
    assert table[["question_ix", "source", "text", "step"]].values.tolist() == [[0, "self", right("1"), 4]]
    events = RunReader(tmp_path / "run").read("demo_events")
    assert events[["step", "event", "question_ix"]].values.tolist() == [[4, "enqueue", 0], [4, "train", 0]]
    assert list(run.buffer.wanted) == [1]
