"""A whole training by two processes: the same run as by one, and one that can be killed and taken up by either."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from relift.grading import SCORERS
from relift.store import RunReader, check_run
from relift.trainer import shards
from tests.cli.command import Command, Ended, assert_refused, at_step, bytes_of, relift, write_config
from tests.engines.flaky_server import FlakyServer, good_body
from tests.learner.tiny import relative_difference
from tests.resume.harness import HashGrader, config_of, contents, lay_inputs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    exact = SCORERS["exact"]
    inputs = lay_inputs(tmp_path_factory.mktemp("inputs"))
    SCORERS["exact"] = exact  # the harness puts its own grader there; here every command is told which
    return write_config(inputs / "config.toml", config_of(inputs, steps=6))


def by_two(config: Path, run: Path, *options: str, before: Callable[[], object] = lambda: None) -> list[Ended]:
    """`relift train` in two processes of one group, as torchrun would start them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    both = [
        Command(
            "train", config, "--out", run, *options,
            grader=HashGrader, before=before, environment={**group, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]  # fmt: skip
    return [command.wait() for command in both]


def by_one(config: Path, run: Path, *options: str) -> Ended:
    return relift("train", config, "--out", run, "--quiet", *options, grader=HashGrader)


def folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    return tmp_path_factory.mktemp(name) / "run"  # run_id holds the folder's name


@pytest.fixture(scope="module")
def one(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = folder(tmp_path_factory, "one")
    assert by_one(config, run).status == 0
    return run


@pytest.fixture(scope="module")
def two(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = folder(tmp_path_factory, "two")
    ended = by_two(config, run)
    assert [e.status for e in ended] == [0, 0], ended
    assert "step 6 of 6" in ended[0].err and ended[1].err == "", "one of them speaks"
    return run


def run_json(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())


def assert_same_run(run: Path, other: Path, *, rel: float = 1e-5) -> None:
    """The same questions, the same answers, updates that differ by rounding alone."""
    mine, theirs = RunReader(run), RunReader(other)
    keys = ["origin", "draw", "step", "question_ix", "attempt"]
    exact = [*keys, "seed", "verdict", "n_tokens", "finish"]
    asked, asked_there = (r.read("attempts", columns=exact).astype(object) for r in (mine, theirs))
    assert asked.equals(asked_there)
    texts, texts_there = (r.read("responses", columns=[*keys, "text"])["text"].tolist() for r in (mine, theirs))
    assert texts == texts_there
    events, events_there = (r.read("demo_events").drop(columns="run_id") for r in (mine, theirs))
    assert (
        events.astype(object)
        .where(events.notna(), None)
        .equals(events_there.astype(object).where(events_there.notna(), None))
    )
    updates, updates_there = (r.read("updates") for r in (mine, theirs))
    assert updates["kind"].tolist() == updates_there["kind"].tolist() and len(updates) >= 6
    for column in ("loss", "grad_norm"):
        np.testing.assert_allclose(updates[column], updates_there[column], rtol=rel, atol=1e-7, err_msg=column)


def test_two_processes_make_the_same_run(one: Path, two: Path) -> None:
    assert_same_run(two, one)
    assert check_run(two).problems == []
    record = run_json(two)
    assert record["surroundings"]["world_size"] == 2 and record["exact"] is True and record["status"] == "done"
    assert record["run_id"] == run_json(one)["run_id"]  # the same run: only its surroundings differ


def test_a_teacher_of_two_processes(config: Path, tmp_path: Path) -> None:
    """Two processes share the teacher's weights and the scoring; the updates differ from one's by rounding alone."""
    path = config.parent / "teacher"
    options = ["--set", "recipe=opd", "--set", f"teacher.path={path}", "--set", "steps=3"]
    one, two = tmp_path / "one" / "run", tmp_path / "two" / "run"
    assert by_one(config, one, *options).status == 0
    ended = by_two(config, two, *options)
    assert [e.status for e in ended] == [0, 0], ended
    mine, theirs = RunReader(two), RunReader(one)
    keys = ["origin", "draw", "step", "question_ix", "attempt", "seed", "n_tokens", "verdict"]
    answers, answers_there = (r.read("attempts", columns=keys).astype(object) for r in (mine, theirs))
    assert answers.equals(answers_there)
    updates, updates_there = mine.read("updates"), theirs.read("updates")
    assert len(updates) == 3 and (updates["grad_norm"] > 0).all()
    for column in ("loss", "grad_norm"):
        np.testing.assert_allclose(updates[column], updates_there[column], rtol=1e-5, atol=1e-7, err_msg=column)


def test_two_processes_are_taught_by_a_server(config: Path, tmp_path: Path) -> None:
    """The first one asks and writes; both train on the same demonstrations."""
    rows = [json.loads(line) for line in (config.parent / "train.jsonl").read_text().splitlines()]
    bare = tmp_path / "bare.jsonl"
    bare.write_text("".join(json.dumps({"problem": r["problem"], "answer": r["answer"]}) + "\n" for r in rows))
    run = tmp_path / "run"
    with FlakyServer(body=right_body) as server:
        options = [f"--set={name}" for name in (
            f"data.questions={bare}", "sft.batch=1", "teacher.online.source=server", "teacher.online.model=tiny",
            f"teacher.online.url={server.base_url}", "teacher.online.max_tokens=40", "steps=8",
        )]  # fmt: skip
        ended = by_two(config, run, *options, before=at_step(2, wait_for_teacher))
        assert [e.status for e in ended] == [0, 0], ended
        assert max(server.sold.values()) == 1
    assert check_run(run).problems == []
    events = RunReader(run).read("demo_events")
    assert (events["event"] == "train").any()
    table = RunReader(run).read("demonstrations")
    assert set(table["source"]) == {"teacher"}
    assert set(events["demo_id"]) <= set(table.loc[table["accepted"], "demo_id"])


def right_body(request: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": f":{request['seed'] % 1000}"}
    return good_body(request, choices=[{"index": 0, "finish_reason": "stop", "message": message}])


def wait_for_teacher() -> None:
    time.sleep(1.0)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_killed_and_taken_up_by_two(config: Path, two: Path, tmp_path: Path) -> None:
    """Steps done again by as many processes are bitwise the same."""
    run = tmp_path / "run"
    assert [e.status for e in by_two(config, run, before=at_step(4, kill))] == [-signal.SIGKILL] * 2
    ended = by_two(config, run)
    assert [e.status for e in ended] == [0, 0], ended[1].err
    assert run_json(run)["starts"][-1]["from_step"] == 2 and run_json(run)["exact"] is True
    assert contents(run) == contents(two) and check_run(run).problems == []


@pytest.mark.parametrize("first", ["two", "one"])
def test_killed_and_taken_up_by_another_number(first: str, config: Path, one: Path, tmp_path: Path) -> None:
    """Two to one, and one to two: the same questions in the same order, and the record says it is not bit for bit."""
    run = tmp_path / "run"
    if first == "two":
        by_two(config, run, "--quiet", before=at_step(4, kill))
        ended = relift("train", config, "--out", run, grader=HashGrader)
    else:
        relift("train", config, "--out", run, "--quiet", grader=HashGrader, before=at_step(4, kill))
        ended = by_two(config, run)[0]
    assert ended.status == 0, ended.err
    assert "warning: threads, micro-batches, versions or hardware differ from the last start" in ended.err
    record = run_json(run)
    assert record["exact"] is False and record["surroundings"]["world_size"] == (1 if first == "two" else 2)
    assert_same_run(run, one)
    assert check_run(run).problems == []


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    """Read the weights of the last step, in one file or in several."""
    return {
        n: t for file in (run / "weights/step-000006").glob("model*.safetensors") for n, t in load_file(file).items()
    }


def test_two_then_one_then_two(config: Path, one: Path, tmp_path: Path) -> None:
    """One chain of resumes over three numbers of processes ends where the straight run ends, within 1e-6."""
    run = tmp_path / "run"
    by_two(config, run, "--quiet", before=at_step(3, kill))
    alone = relift("train", config, "--out", run, "--quiet", grader=HashGrader, before=at_step(5, kill))
    assert alone.status == -signal.SIGKILL
    assert [e.status for e in by_two(config, run)] == [0, 0]
    assert [start["from_step"] for start in run_json(run)["starts"]] == [None, 2, 4]
    assert_same_run(run, one)
    assert check_run(run).problems == []
    assert relative_difference(weights_of(run), weights_of(one)) < 1e-6


def kill_the_second() -> None:
    if os.environ["RANK"] == "1":
        kill()


def test_one_that_dies_ends_the_other_in_a_line_and_both_take_it_up(config: Path, two: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first, second = by_two(config, run, "--quiet", before=at_step(4, kill_the_second))
    assert second.status == -signal.SIGKILL
    assert (first.status, len(first.err.splitlines())) == (3, 1), first.err
    assert "another process of this run has ended" in first.err
    assert check_run(run).problems == []
    assert [e.status for e in by_two(config, run, "--quiet")] == [0, 0]
    assert contents(run) == contents(two) and check_run(run).problems == []


def test_each_process_writes_its_share_of_a_checkpoint(one: Path, two: Path) -> None:
    """Load with transformers what they wrote together; it is configured as one alone writes it."""
    step = "weights/step-000006"
    names = {path.name for path in (two / step).iterdir()}
    for number in ("00001", "00002"):
        assert {f"model-{number}-of-00002.safetensors", f"state-{number}-of-00002.tensors"} <= names
    assert "model.safetensors" not in names
    sizes = [(two / step / f"state-{number}-of-00002.tensors").stat().st_size for number in ("00001", "00002")]
    assert max(sizes) < 0.6 * sum(sizes)  # the largest tensor of so small a model is a tenth of it
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        assert (two / step / name).read_bytes() == (one / step / name).read_bytes(), name
    assert json.loads((two / step / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
    loaded, alone = (AutoModelForCausalLM.from_pretrained(run / step).state_dict() for run in (two, one))
    assert loaded.keys() == alone.keys()
    for name, tensor in loaded.items():
        torch.testing.assert_close(tensor, alone[name], rtol=1e-4, atol=1e-6)


def cannot_write_on_the_second() -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    if os.environ["RANK"] == "1":
        shards.save_file = fail  # type: ignore[assignment]


def test_one_that_cannot_write_ends_both_and_leaves_nothing(config: Path, two: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first, second = by_two(config, run, "--quiet", before=cannot_write_on_the_second)
    assert first.status == second.status == 5 and second.err == ""
    assert "cannot write the checkpoint" in first.err and "No space left" in first.err
    assert not list((run / "weights").iterdir())
    assert [e.status for e in by_two(config, run, "--quiet")] == [0, 0]
    assert contents(run) == contents(two)


def test_a_signal_to_one_stops_both(config: Path, two: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def signal_the_second() -> None:
        if os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)

    ended = by_two(config, run, "--quiet", before=at_step(3, signal_the_second))
    assert [(e.status, e.err) for e in ended] == [(143, "")] * 2
    assert run_json(run)["status"] == "interrupted" and (run / "weights/step-000003").is_dir()
    assert [e.status for e in by_two(config, run, "--quiet")] == [0, 0]
    assert contents(run) == contents(two)


def test_a_refusal_is_said_once(config: Path, two: Path) -> None:
    """Refuse what only the first process can know; the other ends with the same status and no word."""
    before = bytes_of(two)
    first, second = by_two(config, two, "--quiet", "--set", "seed=7")
    assert_refused(first, "holds another run", "seed is 0 there, 7 here")
    assert (second.status, second.err) == (2, "")
    assert bytes_of(two) == before


@pytest.mark.slow
def test_started_by_torchrun(config: Path, tmp_path: Path) -> None:
    """The command as the documentation has it: here the real grader, so all answers are wrong and only phases of
    fine-tuning train."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    run, alone = tmp_path / "two" / "run", tmp_path / "one" / "run"
    ended = subprocess.run(
        [sys.executable, *launch, "-m", "relift.cli", "train", str(config), "--out", str(run), "--quiet"],
        capture_output=True, text=True, timeout=240, env=os.environ | {"OMP_NUM_THREADS": "1"}, cwd=ROOT,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert relift("train", config, "--out", alone, "--quiet").status == 0
    assert_same_run(run, alone)
    assert check_run(run).problems == []
