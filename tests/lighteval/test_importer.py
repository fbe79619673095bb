"""lighteval's details as a run folder: its own tasks and ours, their verdicts beside ours, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relift.benchmarks.lighteval.importer import UNKNOWN_SEED, import_details, their_verdicts
from relift.benchmarks.lighteval.questions import question_row_of
from relift.errors import InputError
from relift.grading import Grader
from relift.schema import Question, question_id_of
from relift.store import RunReader

DATE = "2026-11-21T13-25-47.327846"
PROBLEM = "What is $3+4$?"
# The ends of the prompts of lighteval 0.13's tasks: instruction, blank line, problem (aime adds a line's end).
AIME = f"\nSolve the following math problem. Think step by step before answering.\n\n{PROBLEM}\n"
MATH = f"Solve the following problem. Think step by step before answering.\n\n{PROBLEM}"


def detail(
    texts: list[str], metric: dict[str, float], *, query: str = AIME, gold: str = "7", specific: Any = None, **more: Any
) -> dict[str, Any]:
    doc = {"query": query, "choices": [gold], "gold_index": 0, "specific": specific, "generation_size": 5}
    response = {
        "text": texts, "input_tokens": [1, 2, 3], "output_tokens": [[1] * min(len(text), 5) for text in texts], **more,
    }  # fmt: skip
    return {"doc": doc, "metric": metric, "model_response": response}


def write(folder: Path, task: str, rows: list[dict[str, Any]]) -> Path:
    place = folder / "details" / "owner" / "name" / DATE
    place.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), place / f"details_{task}|0_{DATE}.parquet")
    return place


def imported(source: Path, into: Path, **options: Any) -> RunReader:
    with Grader() as grader:
        return RunReader(import_details(source, into, grader=grader, **options))


def test_details_of_lightevals_own_tasks(tmp_path: Path) -> None:
    # AIME: 5 tokens are the limit, so the longer text was cut off. MATH-500: the gold stands in the worked solution.
    source = write(
        tmp_path, "aime24", [detail(["$\\boxed{7}$", "7"], {"avg@n:n=2": 0.5}), detail(["7"], {"avg@n:n=1": 1.0},
        query=AIME.replace("3", "4"), gold="8")],
    )  # fmt: skip
    solution = "ANSWER: It is $3+4=\\boxed{7}$."
    write(
        tmp_path, "math_500",
        [detail(["ANSWER: $9$"], {"pass@k:k=1&n=1": 1.0}, query=MATH.replace("3", "5"), gold=solution)],
    )  # fmt: skip
    results = tmp_path / "results/owner/name"
    results.mkdir(parents=True)
    parameters = {"temperature": 0.6, "top_p": None}
    (results / f"results_{DATE}.json").write_text(
        json.dumps({"config_general": {"model_config": {"generation_parameters": parameters}}})
    )
    run = imported(source, tmp_path / "run")
    facts = run.run
    assert (facts.kind, facts.status, facts.model.name) == ("eval", "done", "owner/name")
    assert facts.decodings == {"benchmark": {"temperature": 0.6}}
    assert {name: b.question_ixs for name, b in facts.benchmarks.items()} == {"aime24": (0, 1), "math500": (2,)}
    assert facts.totals.answers == 4
    questions = run.read("questions")
    assert list(questions["problem"]) == [PROBLEM, PROBLEM.replace("3", "4"), PROBLEM.replace("3", "5")]
    assert list(questions["answer"]) == ["7", "8", "7"]
    assert questions["question_id"][0] == question_id_of(PROBLEM)  # joins with runs of `relift eval`
    assert list(questions["prompt_tokens"]) == [3, 3, 3]
    attempts = run.read("attempts")
    assert list(attempts["verdict"]) == ["correct", "correct", "wrong", "wrong"]
    assert list(attempts["finish"]) == ["length", "stop", "stop", "length"]
    # One of two right is not told which: null. The single ones: they say correct, we say wrong.
    assert [None if value is None else bool(value) for value in attempts["grader_agrees"]] == [None, None, False, False]
    assert set(attempts["seed"]) == {UNKNOWN_SEED}
    assert list(run.read("responses")["text"]) == ["$\\boxed{7}$", "7", "7", "ANSWER: $9$"]


def test_details_of_our_tasks_and_model(tmp_path: Path) -> None:
    question = Question(question_id_of(PROBLEM), PROBLEM, "7", "exact", source="here", split="arith_test")
    row = detail(
        ["<think>\\boxed{8}</think>\\boxed{7}", "\\boxed{8}", "<think>7"], {"relift_avg@n": 1 / 3}, query=PROBLEM,
        specific={**question_row_of(question), "verdicts": ["correct", "wrong", "wrong"]},
        finishes=["stop", "stop", "length"], n_tokens=[9, 4, 64], thoughts_opened=False,
    )  # fmt: skip
    run = imported(write(tmp_path, "relift:arith_test", [row]), tmp_path / "run")
    [stored] = run.read("questions").to_dict("records")
    assert {name: stored[name] for name in ("question_id", "problem", "answer", "answer_kind", "source", "split")} == {
        "question_id": question.question_id, "problem": PROBLEM, "answer": "7", "answer_kind": "exact",
        "source": "here", "split": "arith_test",
    }  # fmt: skip
    attempts = run.read("attempts")
    assert list(attempts["verdict"]) == ["correct", "wrong", "wrong"]
    assert list(attempts["finish"]) == ["stop", "stop", "length"]
    assert list(attempts["n_tokens"]) == [9, 4, 64]
    assert list(run.run.benchmarks) == ["arith_test"]


@pytest.mark.parametrize(
    ("metric", "n", "verdicts"),
    [
        ({"avg@n:n=2": 1.0}, 2, (True, True)),
        ({"avg@n:n=2": 0.0}, 2, (False, False)),
        ({"avg@n:n=2": 0.5}, 2, (None, None)),  # one of them, but which?
        ({"pass@k:k=1": 1.0}, 1, (True,)),
        ({"pass@k:k=1&n=4": 1.0}, 4, (True,) * 4),  # pass@1 of 4 is their mean
        ({"pass@k:k=4&n=4": 1.0}, 4, (None,) * 4),  # at least one
        ({"extractive_match": 0.0}, 1, (False,)),
        ({"loss": 1.0}, 1, (None,)),
        ({"avg@n:n=1": None}, 1, (None,)),
    ],
)
def test_their_verdicts_as_far_as_scores_tell(metric: dict[str, float | None], n: int, verdicts: Any) -> None:
    assert their_verdicts(metric, n) == verdicts


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    into = tmp_path / "run"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no details_\*\.parquet there"):
        imported(tmp_path / "empty", into)
    other = tmp_path / f"details_x|0_{DATE}.parquet"
    pq.write_table(pa.table({"doc": [1], "predictions": ["7"]}), other)
    with pytest.raises(InputError, match=r"has no columns model_response, metric: not details of lighteval 0\.13"):
        imported(other, into)
    other.write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        imported(other, into)
    named = tmp_path / "answers.parquet"
    named.write_bytes(b"")
    with pytest.raises(InputError, match="not named details_TASK_DATE.parquet"):
        imported(named, into)
    row = detail(["7"], {"loss": 0.0}, output_tokens=[])
    source = write(tmp_path, "aime24", [detail(["7"], {"loss": 0.0}), row])
    with pytest.raises(InputError, match=r"row 1: ValueError: no tokens of the answers are stored"):
        imported(source, into)
    assert not (into / "run.json").exists()
    source = write(tmp_path, "aime24", [detail(["7"], {"loss": 0.0}), detail(["8"], {"loss": 0.0})])
    run = imported(source, into)
    assert list(run.read("responses")["text"]) == ["7"]  # the same question twice: the first one's answers
    with pytest.raises(InputError, match="holds a run already"):
        imported(source, into)
