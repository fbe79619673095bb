"""Our tasks and our engine inside lighteval 0.13, end to end: the same answers and scores as outside of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relift.benchmarks.lighteval.importer import import_details
from relift.benchmarks.lighteval.settings import read_settings
from relift.benchmarks.load import find_benchmark, load_benchmark
from relift.benchmarks.prompting import render_prompt
from relift.engines.texts import AttemptRequest
from relift.grading import Grader
from relift.schema import Question, seed_of
from relift.store import RunReader
from tests.lighteval.test_agreement import PYTHON, needs_lighteval

BENCHMARK, SAMPLES, N_QUESTIONS = "arith_test", 3, 6
SETTINGS = {"RELIFT_SAMPLES": str(SAMPLES), "RELIFT_MAX_TOKENS": "48", "RELIFT_SEED": "5"}


def lighteval(
    folder: Path, *arguments: str, settings: Mapping[str, str] = SETTINGS
) -> subprocess.CompletedProcess[str]:
    """Their command line with ours in it; nothing is taken from the machine's own caches."""
    environment = {
        **os.environ, **settings, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
        "PYTHONPATH": "",
    }  # fmt: skip
    return subprocess.run(
        [PYTHON, "-W", "ignore", "-m", "relift.benchmarks.lighteval", *arguments],
        capture_output=True, text=True, timeout=400, env=environment, cwd=folder,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that writes boxed answers."""
    from relift.benchmarks.speed.tiny_writer import write_checkpoint

    folder = tmp_path_factory.mktemp("model")
    loaded = load_benchmark(find_benchmark(BENCHMARK))
    write_checkpoint(folder, [question.problem for question in loaded.questions])
    return folder


@pytest.fixture(scope="module")
def saved(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the files of one evaluation with our engine."""
    needs_lighteval()
    folder = tmp_path_factory.mktemp("lighteval")
    done = lighteval(
        folder, "custom", f"torch:{model}", f"relift:{BENCHMARK}", "--max-samples", str(N_QUESTIONS),
        "--output-dir", "out", "--save-details",
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return folder / "out"


def answers_of(questions: list[Question], model: Path) -> dict[tuple[str, int], Any]:
    """Return the engine's answers outside of lighteval, by question and attempt."""
    from relift.engines import hf_model as checkpoint
    from relift.engines.model_source import resolve_model
    from relift.engines.open import open_answerer

    settings = read_settings(SETTINGS)
    tokenizer, _ = checkpoint.load_tokenizer(str(model))
    stops = checkpoint.stop_tokens(tokenizer, str(model))
    sampling = replace(settings.protocol.sampling, stop_token_ids=stops)
    keys = [(q, i) for q in questions for i in range(SAMPLES)]
    asks = [
        AttemptRequest(
            f"{q.question_id}/0/{i}",
            render_prompt(q, protocol=settings.protocol, benchmark=find_benchmark(BENCHMARK), tokenizer=tokenizer),
            seed_of(5, "benchmark", 0, 0, q.question_id, i),
        )
        for q, i in keys
    ]
    with open_answerer("torch", resolve_model(str(model))) as answerer:
        replies = dict(answerer.stream(asks, sampling))
    return {(q.question_id, i): replies[index] for index, (q, i) in enumerate(keys)}


@pytest.mark.lighteval
def test_answers_and_verdicts_are_those_of_the_engine_outside(saved: Path, model: Path, tmp_path: Path) -> None:
    [date] = [path.parent for path in saved.rglob("details_*.parquet")]
    with Grader() as grader:
        run = RunReader(import_details(date, tmp_path / "run", grader=grader))
    table = run.read("questions")
    by_id = {q.question_id: q for q in load_benchmark(find_benchmark(BENCHMARK)).questions}
    questions = [by_id[question_id] for question_id in table["question_id"]]
    assert [q.answer for q in questions] == list(table["answer"]) and len(questions) == N_QUESTIONS
    replies = answers_of(questions, model)
    rows = run.read("attempts").merge(run.read("responses"), on=["question_ix", "attempt"])
    assert len(rows) == N_QUESTIONS * SAMPLES
    for row in rows.to_dict("records"):
        reply = replies[questions[row["question_ix"]].question_id, row["attempt"]]
        assert (row["text"], row["finish"], row["n_tokens"]) == (reply.text, str(reply.finish), reply.n_tokens)
    assert rows["text"].nunique() > N_QUESTIONS  # attempts differ

    # lighteval's score: mean over questions of the share of decided answers that are right, by our grader there.
    [results] = [json.loads(path.read_text()) for path in saved.rglob("results_*.json")]
    scores = results["results"][f"relift:{BENCHMARK}|0"]
    verdicts = run.read("attempts").assign(right=lambda frame: frame["verdict"] == "correct")
    assert scores["relift_avg@n"] == pytest.approx(verdicts.groupby("question_ix")["right"].mean().mean())
    assert scores["relift_undecided@n"] == 0.0
    unanswered = verdicts["verdict_rule"].astype(str).str.startswith("none.")
    assert scores["relift_unanswered@n"] == pytest.approx(unanswered.mean())


@pytest.mark.lighteval
def test_our_tasks_under_lightevals_own_model(model: Path, tmp_path: Path) -> None:
    """Its transformers backend, our prompts and grader. It never samples (do_sample stays unset), so one attempt."""
    needs_lighteval()
    done = lighteval(
        tmp_path, "accelerate", f"model_name={model},batch_size=2,max_length=256", f"relift:{BENCHMARK}",
        "--max-samples", "2", "--output-dir", "out", "--save-details", settings={**SETTINGS, "RELIFT_SAMPLES": "1"},
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    [results] = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("results_*.json")]
    assert 0.0 <= results["results"][f"relift:{BENCHMARK}|0"]["relift_avg@n"] <= 1.0


@pytest.mark.lighteval
def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    needs_lighteval()
    done = lighteval(tmp_path, "custom", f"torch:{tmp_path}", f"relift:{BENCHMARK}", settings={"RELIFT_SAMPLES": "0"})
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == "RELIFT_SAMPLES='0': needs a whole number, 1 or more"
