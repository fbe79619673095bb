"""A real training taught by a server: every demonstration comes from it, and kills lose and pay nothing twice."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from relift.arith.world import make_questions
from relift.config import Config
from relift.data.questions import write_questions
from relift.engines import openai_session
from relift.grading import SCORERS
from relift.schema import question_id_of
from relift.store import RunReader, check_run
from relift.store.ledger import ARRIVALS, TEACHER, read_ledger
from relift.trainer.run import Run, StepReport
from relift.trainer.teacher_sources import ServerSource
from tests.engines.flaky_server import FlakyServer, good_body
from tests.resume.harness import Child, _table_hash, config_of, lay_inputs, run_here


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_session, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(openai_session, "LONGEST_WAIT_SECONDS", 0.2)


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


# ---- kills ---------------------------------------------------------------------------------------------------------


def waiting_in(run: Path) -> set[str]:
    """List the keys of replies that were paid for, for questions that are still wanted, and have not come in."""
    rows = [row for reply in read_ledger(run / ARRIVALS).replies.values() for row in reply["rows"]]
    came = {row["question_ix"] for row in rows}
    ids = RunReader(run).read("questions").set_index("question_id")["question_ix"]
    state = json.loads((max((run / "weights").glob("step-*")) / "state.json").read_text())
    waiting = {w["question_ix"] for w in state["buffer"]["wanted"]} - came
    return {key for key, _ in read_ledger(run / TEACHER).replies if int(ids[key.partition("/")[0]]) in waiting}


def killed_runs(inputs: Path, tmp_path: Path, *, kills: int, seed: int) -> None:
    """Kill at any instant and start again, until done: steps that are done again are what they were, nothing that is
    in the ledger is paid again, and all that was paid comes in or is wanted no more."""
    rng = random.Random(seed)
    n = done = redone = 0
    while done < kills:
        with FlakyServer(body=body, delay_seconds=0.01) as server:
            config, run = asking(inputs, server), tmp_path / f"{n}" / "run"
            n += 1
            finished = False
            while not finished:
                paid = {key for key, _ in read_ledger(run / TEACHER).replies}
                before = {r["seed"] for _, _, r in server.requests if "seed" in r and _key_of(r, config, run) in paid}
                asked = dict(server.asked)
                child = Child(config, run, on_step=until_quiet)
                if done < kills:
                    time.sleep(rng.uniform(0.3, 2.5))
                    child.kill()
                    done += 1
                finished = child.wait() == 0
                assert all(server.asked[one] == asked[one] for one in before), "paid twice"
            require_sound(run)
            redone += same_again(run)
            owed = waiting_in(run)
            if owed:  # they came after the last step had begun: two steps more let them in, and nobody is paid again
                asked = dict(server.asked)
                before = {r["seed"] for _, _, r in server.requests if "seed" in r and _key_of(r, config, run) in owed}
                longer = config.model_copy(update={"steps": config.steps + 2})
                assert Child(longer, run, on_step=until_quiet).wait() == 0
                assert all(server.asked[one] == asked[one] for one in before), "paid twice"
                assert not waiting_in(run) & owed, "lost"
    assert redone > 0 or kills < 10


def _key_of(request: dict[str, Any], config: Config, run: Path) -> str:
    """The key of a request in the ledger: its question is in its turn."""
    problem = request["messages"][0]["content"].partition("\n")[0]
    return f"{question_id_of(problem)}/0/0"


def same_again(run: Path) -> int:
    """Compare tables that were set aside with those that their steps wrote when they were done again."""
    n = 0
    for path in run.glob("orphaned/start-*/*/*.parquet"):
        again = run / path.parent.name / path.name
        if path.parent.name in ("attempts", "demo_events", "updates"):
            assert _table_hash(path, run) == _table_hash(again, run), path
            n += 1
    return n


def test_three_kills(inputs: Path, tmp_path: Path) -> None:
    killed_runs(inputs, tmp_path, kills=3, seed=0)


@pytest.mark.fault
def test_twenty_kills(inputs: Path, tmp_path: Path) -> None:
    killed_runs(inputs, tmp_path, kills=20, seed=1)
