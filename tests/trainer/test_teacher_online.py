"""Demonstrations that come while training goes on: from a server, a person, the model itself; killed and taken up."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from relift.config import Config
from relift.data.questions import write_questions
from relift.arith.world import make_questions
from relift.grading import SCORERS
from relift.store import RunReader, check_run
from relift.store.ledger import ARRIVALS, TEACHER, read_ledger
from relift.trainer import teacher_sources
from relift.trainer.loop import train
from relift.trainer.run import Run, StepReport
from relift.trainer.setup import open_run
from relift.trainer.teacher_sources import ServerSource, wanted_path
from tests.engines.flaky_server import BEHAVIOURS, FlakyServer, good_body
from tests.resume.harness import Child, config_of, contents, lay_inputs, run_here


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A base model, and questions without a demonstration."""
    before = SCORERS["exact"]
    folder = lay_inputs(tmp_path_factory.mktemp("inputs"))
    write_questions(folder / "bare.jsonl", make_questions("train", 24, seed=0), [])
    yield folder
    SCORERS["exact"] = before


def text_to(seed: int) -> str:
    """Write an answer of the teacher that the harness's grader calls correct: it begins with ":"; four tokens."""
    return f":{seed % 1000}"


def body(request: dict[str, Any], **changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text_to(request["seed"])}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return good_body(request, choices=[choice], **changes)


def asking(inputs: Path, server: FlakyServer, **online: Any) -> Config:
    values = {"source": "server", "url": server.base_url, "model": "tiny", "max_tokens": 40, **online}
    return config_of(
        inputs, data={"questions": str(inputs / "bare.jsonl"), "max_demo_tokens": 12}, teacher={"online": values}
    )


def demonstrations(folder: Path) -> pd.DataFrame:
    return RunReader(folder).read("demonstrations")


def until_quiet(run: Run, report: StepReport) -> None:
    """Give the teacher's thread time to answer between the steps: these are faster than any server."""
    assert run.arrivals is not None
    source = run.arrivals.source
    assert isinstance(source, ServerSource)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and source._asked and source._got.empty():
        time.sleep(0.01)


def require_sound(folder: Path) -> pd.DataFrame:
    """Check a run: nothing unchecked was trained on, and every event names a demonstration that was there by then."""
    assert check_run(folder).problems == []
    table, events = demonstrations(folder), RunReader(folder).read("demo_events")
    joined = events.merge(table, on="demo_id", suffixes=("", "_there"), how="left")
    assert joined["accepted"].all() and joined["verified"].all() and joined["reject_reason"].isna().all()
    assert (joined["step"] >= joined["step_there"]).all()
    assert (events["event"] == "train").any()
    return table


def test_a_server_teaches(inputs: Path, tmp_path: Path) -> None:
    """No question has a demonstration at first. All come from the server, each question's once."""
    with FlakyServer(body=body) as server:
        run_here(asking(inputs, server), tmp_path / "run", on_step=until_quiet)
        assert server.sold and max(server.sold.values()) == 1
        sold = sum(server.sold.values())
    table = require_sound(tmp_path / "run")
    assert set(table["source"]) == {"teacher"} and table["accepted"].all() and len(table) <= sold
    assert table["cost"].isna().all() and table["step"].between(2, 9).all()
    questions = RunReader(tmp_path / "run").read("questions").set_index("question_ix")
    assert set(questions.index[questions["has_demo"]]) == set(table["question_ix"])
    assert "boxed" in server.requests[-1][2]["messages"][0]["content"]
    assert server.requests[-1][2]["temperature"] == 0.6
