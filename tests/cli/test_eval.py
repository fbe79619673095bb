"""`relift eval` from the outside: a table, a run folder, the same after signals and kills, nothing asked twice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from relift.engines import hf_model as checkpoint
from relift.evaluate import collect as loop
from relift.schema import RunStatus
from relift.store import RunReader, check_run
from tests.cli.command import Command, Ended, bytes_of, relift
from tests.evaluate.fakes import assert_same, content
from tests.resume.harness import HashGrader

SMALL = ("-b", "arith_sequence", "--max-tokens", 12, "--engine-option", "batch_rows=32")  # 100 questions


def evaluate(
    model: object, folder: Path, *options: object, before: Callable[[], object] = lambda: None, samples: int = 2
) -> Ended:
    return relift(
        "eval", model, *SMALL, "--samples", samples, "--out", folder, "--commit-answers", 40, *options,
        grader=HashGrader, before=before,
    )  # fmt: skip


@pytest.fixture(scope="module")
def evaluated(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation that nobody interrupted. Tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    ended = evaluate(inputs / "base", folder)
    assert ended.status == 0, ended.err
    assert ended.out.splitlines()[0].split() == ["benchmark", "score", "questions", "base"]
    assert "avg@2" in ended.out and "[" in ended.out  # a score with its interval
    assert "arith_sequence: 200 of 200" in ended.err and f"answers: {folder}" in ended.err
    return folder


def test_a_stated_sample_with_answers_shown(inputs: Path, evaluated: Path, tmp_path: Path) -> None:
    """30 of 100 questions twice: the name says so in table, record and identity; the whole goes on in the folder."""
    folder = tmp_path / "run"
    ended = evaluate(inputs / "base", folder, "--limit", 30, "--show", 2)
    assert ended.status == 0, ended.err
    name = "arith_sequence (30 of 100)"
    assert any(line.startswith(name) for line in ended.out.splitlines()) and f"{name}: 60 of 60" in ended.err
    assert "--- answer 2 of 2: arith, attempt " in ended.out
    assert f"loading {inputs / 'base'} (torch)" in ended.err and "loaded in " in ended.err
    record = RunReader(folder).run
    assert record.benchmarks[name].sample_of == "arith_sequence" and list(record.identity["prompts"]) == [name]
    assert len(RunReader(folder).read("attempts")) == 60
    assert relift("topup", folder, "--samples", 2, grader=HashGrader).status == 0
    ended = evaluate(inputs / "base", folder, "--json")
    assert {row["benchmark"] for row in json.loads(ended.out)["runs"][0]["scores"]} == {"arith_sequence"}
    attempts = RunReader(folder).read("attempts")
    assert len(attempts[attempts["draw"] == 0]) == 200  # none of the 60 was asked again
    assert evaluate(inputs / "base", tmp_path / "none", "--limit", 0).status == 2


def test_a_run_folder(evaluated: Path) -> None:
    assert check_run(evaluated).problems == []
    reader = RunReader(evaluated)
    assert reader.run.status is RunStatus.done
    attempts = reader.read("attempts")
    assert len(attempts) == 200 and set(attempts["attempt"]) == {0, 1} and attempts["seed"].nunique() == 200
    assert attempts["sum_logprob"].notna().all() and attempts["policy_version"].eq(0).all()
    assert len(reader.read("responses", columns=["text"])) == 200
    scores = reader.read("scores")
    (avg,) = scores.query(
        "metric == 'avg' and benchmark == 'arith_sequence' and estimand == 'questions like these'"
    ).value
    assert avg == pytest.approx((attempts["verdict"] == "correct").mean())


@pytest.mark.parametrize("form", ["--json", "--markdown", "--latex"])
def test_forms_of_the_table(form: str, evaluated: Path, inputs: Path) -> None:
    ended = evaluate(inputs / "base", evaluated, form, "--quiet")
    assert ended.status == 0 and ended.err == ""
    if form == "--json":
        (run,) = json.loads(ended.out)["runs"]
        assert {row["benchmark"] for row in run["scores"]} >= {"arith_sequence"}
    else:
        assert ("| benchmark" if form == "--markdown" else r"\toprule") in ended.out


def test_a_finished_run_loads_no_weights(evaluated: Path, inputs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(evaluated, tmp_path / "run")

    def no_weights() -> None:
        def refuse(*args: object, **options: object) -> None:
            raise AssertionError("weights were loaded")

        checkpoint.load_model = refuse  # type: ignore[assignment]

    ended = evaluate(inputs / "base", run, "--quiet", before=no_weights)
    assert ended.status == 0, ended.err
    assert "weights were loaded" in evaluate(inputs / "base", run, before=no_weights, samples=3).err


def after_answers(n: int, act: Callable[[], object]) -> Callable[[], None]:
    """A `before` that lets `act` happen when the n-th answer arrives."""

    def plant() -> None:
        put, arrived = loop.GradingThread.put, []

        def planted(self: loop.GradingThread, index: int, reply: object) -> None:
            arrived.append(index)
            if len(arrived) == n:
                act()
            put(self, index, reply)  # type: ignore[arg-type]

        loop.GradingThread.put = planted  # type: ignore[assignment]

    return plant


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_has_arrived(number: int, inputs: Path, evaluated: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    send = after_answers(50, lambda: os.kill(os.getpid(), number))
    ended = evaluate(inputs / "base", run, "--quiet", before=send)
    assert (ended.status, ended.out, ended.err) == (128 + number, "", "")
    assert RunReader(run).run.status is RunStatus.interrupted and check_run(run).problems == []
    assert len(content(run)["attempts"]) == 49  # the fiftieth had not been handed over yet
    assert "stopped; what had arrived is kept" in evaluate(inputs / "base", run, before=send).err
    assert evaluate(inputs / "base", run).status == 0
    assert_same(run, evaluated)


def killed(inputs: Path, evaluated: Path, folder: Path, *, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    done = n = 0
    while done < kills:
        run = folder / f"run{n}"
        n += 1
        finished = False
        while not finished:
            before = keys(run)
            log = folder / "asked"
            log.write_text("")
            command = Command(
                "eval", inputs / "base", *SMALL, "--samples", 2, "--out", run, "--commit-answers", 40, "--quiet",
                grader=HashGrader, before=logging_asks(log),
            )  # fmt: skip
            if done < kills:
                time.sleep(rng.uniform(0.0, 1.5))
                os.kill(command.pid, signal.SIGKILL)
                done += 1
            finished = command.wait().status == 0
            asked = {tuple(map(int, line.split())) for line in log.read_text().splitlines() if line.count(" ") == 1}
            assert not before & asked and before <= keys(run)
        assert_same(run, evaluated)
        assert check_run(run).problems == []


def keys(run: Path) -> set[tuple[int, int]]:
    """(question_ix, attempt) of what is committed."""
    if not (run / "run.json").is_file():
        return set()
    attempts = RunReader(run).read("attempts", columns=["question_ix", "attempt"])
    return set(zip(attempts["question_ix"], attempts["attempt"], strict=True))


def logging_asks(log: Path) -> Callable[[], None]:
    """A `before` that writes down what the engine is asked, where a kill cannot take it back."""

    def plant() -> None:
        collect = loop.collect

        def planted(asks, **rest):  # type: ignore[no-untyped-def]
            with log.open("a") as file:
                file.writelines(f"{p.question.question_ix} {p.attempt}\n" for p in asks)
            collect(asks, **rest)

        from relift.evaluate import fill as evaluation

        evaluation.collect = planted  # type: ignore[attr-defined]

    return plant


def test_five_kills_of_the_real_sampler(inputs: Path, evaluated: Path, tmp_path: Path) -> None:
    killed(inputs, evaluated, tmp_path, kills=5, seed=3)


@pytest.mark.fault
def test_fifty_kills_of_the_real_sampler(inputs: Path, evaluated: Path, tmp_path: Path) -> None:
    killed(inputs, evaluated, tmp_path, kills=50, seed=4)


def test_two_models_one_table(inputs: Path, finished: Path, tmp_path: Path) -> None:
    """A run's step stands in its rows, and the folders are named after model, protocol and identity."""
    ended = relift(
        "eval", inputs / "base", f"{finished}@8", *SMALL, "--samples", 1, "--quiet", grader=HashGrader,
        before=lambda: os.chdir(tmp_path),
    )  # fmt: skip
    assert ended.status == 0, ended.err
    assert "base" in ended.out and "run-step8" in ended.out
    folders = {RunReader(path).run.name: path for path in (tmp_path / "runs/eval").iterdir()}
    assert set(folders) == {"base", "run-step8"}
    assert set(content(folders["run-step8"])["attempts"]["step"]) == {8}
    assert RunReader(folders["run-step8"]).run.model.run_id == RunReader(finished).run_id


def test_the_plan_writes_nothing(inputs: Path, tmp_path: Path) -> None:
    options = ("--samples", 4, "--plan", "--out", tmp_path / "run")
    ended = relift("eval", inputs / "base", *SMALL, *options)
    assert ended.status == 0 and "arith_sequence" in ended.out and "4,800" in ended.out  # 100 x 4 x 12 tokens
    values = json.loads(relift("eval", inputs / "base", *SMALL, *options, "--json", "--rate", 100).out)
    (plan,) = values["plans"]
    assert plan["answers"] == 400 and plan["most_hours"] == pytest.approx(4800 / 100 / 3600, abs=0.01)
    assert not (tmp_path / "run").exists()


def test_help_is_quick_and_without_torch() -> None:
    script = (
        "import atexit, sys; from relift.cli import main; sys.argv = ['relift', 'eval', '--help'];"
        "atexit.register(lambda: print('HEAVY', [m for m in ('torch', 'transformers', 'pandas') if m in sys.modules]));"
        "main()"
    )
    seconds = []
    for _ in range(3):
        before = os.times()
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
        assert "HEAVY []" in ended.stdout and "--benchmark" in ended.stdout
    assert min(seconds) < 0.5  # of the processor: the machine may be busy


# ---- probes, top-ups, regrading --------------------------------------------------------------------------------------


@pytest.fixture
def training(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def probe(model: object, questions: Path, *options: object) -> Ended:
    return relift("probe", model, "--questions", questions, "--samples", 3, *options, grader=HashGrader)


def test_a_probe_alone(inputs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ("--out", run, "--template", "plain", "--max-tokens", 12)
    ended = probe(inputs / "base", inputs / "probe.jsonl", *options)
    assert ended.status == 0 and "avg@3" in ended.out, ended.err
    assert check_run(run).problems == []
    trajectories = RunReader(run).read("trajectories")
    assert (
        len(trajectories) == 6 and set(trajectories["n_attempts"]) == {3} and set(trajectories["origin"]) == {"probe"}
    )
    before = bytes_of(run)
    other = relift("probe", inputs / "base", "--questions", inputs / "probe.jsonl", "--samples", 4, *options)
    assert other.status == 2 and "was probed with 3 attempts at each question, now 4" in other.err
    assert bytes_of(run) == before


def test_a_probe_into_a_training_run(inputs: Path, training: Path) -> None:
    """Draw 1 at step 8, whose checkpoint is there: attempts, texts, trajectories with what was trained on by then."""
    ended = probe(f"{training}@8", inputs / "train.jsonl", "--into", training, "--quiet")
    assert ended.status == 0 and ended.out.startswith("train: 24 questions, 72 answers,"), ended.err
    assert check_run(training).problems == []  # rebuilds trajectories, exposures included
    reader = RunReader(training)
    rows = reader.read("trajectories", origin="probe", draws=[1], steps=[8])
    assert len(rows) == 24
    assert rows["rl_exposures"].sum() > 0
    assert set(reader.read("attempts", origin="probe", draws=[1], steps=[8])["policy_version"]) == {8}
    before = bytes_of(training)
    again = probe(f"{training}@8", inputs / "train.jsonl", "--into", training, "--quiet")
    assert again.out == ended.out
    kept = {name: sha for name, sha in before.items() if name != "run.json"}
    assert {name: sha for name, sha in bytes_of(training).items() if name != "run.json"} == kept
    own = probe(f"{training}@8", inputs / "probe.jsonl", "--into", training, "--draw", 0)
    assert own.status == 2 and "draw 0 at step 8 is the run's own: give another --draw" in own.err
    late = probe(inputs / "base", inputs / "probe.jsonl", "--into", training, "--step", 99)
    assert late.status == 2 and "step 99 is not committed there; the last is step 9" in late.err
    assert relift("train", inputs / "config.toml", "--out", training, "--quiet", grader=HashGrader).status == 0


def test_a_top_up_of_an_evaluation(evaluated: Path, inputs: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(evaluated, tmp_path / "run"))
    counts = content(run)["attempts"].groupby("question_ix")["verdict"].agg(lambda v: (v == "correct").sum())
    zero = set(counts.index[counts == 0])
    options = ("--engine-option", "batch_rows=32", "--quiet")
    stop = after_answers(20, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert relift("topup", run, "--samples", 3, *options, grader=HashGrader, before=stop).status == 130
    other = relift("topup", run, "--samples", 5, *options, grader=HashGrader)
    assert other.status == 2 and "draw 2 was begun with --samples 3: finish it with that" in other.err
    ended = relift("topup", run, "--samples", 3, *options, grader=HashGrader)
    assert ended.status == 0 and f"draw 2, top-up of questions at zero: {len(zero)} questions" in ended.out, ended.err
    assert check_run(run).problems == []
    more = content(run)["attempts"].query("draw == 2")
    assert set(more["question_ix"]) == zero and len(more) == 3 * len(zero)
    assert not set(more["seed"]) & set(content(evaluated)["attempts"]["seed"])
    pd.testing.assert_frame_equal(content(run)["scores"], content(evaluated)["scores"])
    third = relift("topup", run, "--samples", 1, *options, grader=HashGrader)
    still = zero - set(more.loc[more["verdict"] == "correct", "question_ix"])
    assert f"draw 3, top-up of questions at zero: {len(still)} questions" in third.out


def test_a_top_up_of_a_training_run(training: Path) -> None:
    ended = relift("topup", training, "--samples", 4, "--quiet", grader=HashGrader)
    assert ended.status == 0 and "draw 2, top-up of questions at zero" in ended.out, ended.err
    assert check_run(training).problems == []
    assert RunReader(training).steps("trajectories", origin="probe", draw=2) == [0]


def test_a_top_up_of_another_model_is_refused(inputs: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(inputs / "base", tmp_path / "model"))
    run = tmp_path / "run"
    assert evaluate(model, run, "--quiet", samples=1).status == 0
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-2] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    before = bytes_of(run)
    ended = relift("topup", run, grader=HashGrader)
    assert ended.status == 2 and "is not the model that was evaluated: its contents changed" in ended.err
    assert bytes_of(run) == before


def test_regrading(evaluated: Path, tmp_path: Path) -> None:
    """The hash grader's verdicts against the exact scorer's: a random model's answers are wrong."""
    correct = (content(evaluated)["attempts"]["verdict"] == "correct").sum()
    ended = relift("regrade", evaluated, "--into", tmp_path / "new")
    assert ended.status == 0, ended.err
    assert ended.out.startswith("200 answers, 200 with another verdict or rule,")
    new = content(tmp_path / "new")
    assert set(new["attempts"]["verdict"]) <= {"wrong", "correct"} and correct > 0
    assert check_run(tmp_path / "new").problems == []
    unchanged = ["seed", "n_tokens", "finish", "question_ix", "attempt", "sum_logprob"]
    pd.testing.assert_frame_equal(new["attempts"][unchanged], content(evaluated)["attempts"][unchanged])
    pd.testing.assert_frame_equal(new["responses"], content(evaluated)["responses"])
    assert not new["scores"]["value"].equals(content(evaluated)["scores"]["value"])
    stored = RunReader(tmp_path / "new").run
    assert stored.regraded_from.run_id == RunReader(evaluated).run_id != stored.run_id
    again = relift("regrade", evaluated, "--into", tmp_path / "back", grader=HashGrader)
    assert "0 with another verdict or rule" in again.out
    assert_same(tmp_path / "back", evaluated)


def test_regrading_a_training_run(finished: Path, tmp_path: Path) -> None:
    """Rewards of rollouts stay what training saw; trajectories follow the new verdicts."""
    assert relift("regrade", finished, "--into", tmp_path / "new").status == 0
    assert check_run(tmp_path / "new").problems == []
    old, new = RunReader(finished), RunReader(tmp_path / "new")
    columns = ["reward", "question_ix", "attempt", "step"]
    pd.testing.assert_frame_equal(
        old.read("attempts", columns=columns, origin="rollout"), new.read("attempts", columns=columns, origin="rollout")
    )
    assert len(new.read("updates")) == len(old.read("updates"))
