"""Settings by environment variables, the command line that is handed to lighteval, questions as rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import relift.benchmarks.lighteval as package
from relift.benchmarks.lighteval.__main__ import MODEL_FILE, with_ours
from relift.benchmarks.lighteval.questions import question_of, question_row_of
from relift.benchmarks.lighteval.settings import read_settings
from relift.benchmarks.load import find_benchmark
from relift.benchmarks.protocols import find_protocol
from relift.errors import InputError
from relift.schema import Question


def test_what_is_not_set_is_the_protocols_or_the_benchmarks() -> None:
    settings = read_settings({})
    assert settings.protocol == find_protocol("relift")
    assert (settings.data, settings.samples, settings.seed, settings.any_content) == (None, None, 0, False)
    assert settings.samples_of(find_benchmark("aime24")) == 32  # the benchmark's own
    june = read_settings({"RELIFT_PROTOCOL": "relift-june2025"})
    assert june.samples_of(find_benchmark("math500")) == 1  # the protocol's


def test_what_is_set_holds() -> None:
    settings = read_settings(
        {"RELIFT_DATA": "here", "RELIFT_SAMPLES": "4", "RELIFT_MAX_TOKENS": "64", "RELIFT_SEED": "7",
         "RELIFT_ANY_CONTENT": "1", "RELIFT_BASE_URL": "http://127.0.0.1:1/v1", "RELIFT_TOKENIZER": "there"}
    )  # fmt: skip
    assert settings.samples_of(find_benchmark("aime24")) == 4
    assert (settings.data, settings.seed, settings.any_content) == (Path("here"), 7, True)
    assert (settings.base_url, settings.tokenizer) == ("http://127.0.0.1:1/v1", "there")
    assert settings.protocol.sampling.max_tokens == 64
    assert settings.protocol.sampling.temperature == find_protocol("relift").sampling.temperature


@pytest.mark.parametrize(
    ("name", "value"), [("RELIFT_SAMPLES", "0"), ("RELIFT_SEED", "-1"), ("RELIFT_MAX_TOKENS", "x")]
)
def test_what_is_no_number_is_refused(name: str, value: str) -> None:
    with pytest.raises(InputError, match=rf"^{name}='{value}': needs a whole number"):
        read_settings({name: value})


def test_the_command_line_gets_our_tasks_and_our_model() -> None:
    tasks = ["--custom-tasks", "relift.benchmarks.lighteval"]
    assert with_ours(["accelerate", "model_name=x", "relift:aime24"]) == [
        "accelerate", "model_name=x", "relift:aime24", *tasks,
    ]  # fmt: skip
    assert with_ours(["custom", "vllm:x", "relift:aime24"]) == [
        "custom", "vllm:x", str(MODEL_FILE), "relift:aime24", *tasks,
    ]  # fmt: skip
    assert MODEL_FILE.is_file()
    for given in (
        ["custom", "mine", "my.py", "relift:aime24", "--custom-tasks=mine.py"],
        ["tasks", "list"],  # takes no custom tasks
        [],
    ):
        assert with_ours(given) == given


def test_a_question_survives_its_row() -> None:
    question = Question("ab", "A «π» problem\n", "C", "choice", source="s", split="t", options=("1", "2", "ä"))
    row = json.loads(json.dumps(question_row_of(question)))
    assert question_of(row) == question
    assert all(isinstance(value, str) for value in row.values())  # `datasets` wants one type for a column


def test_the_package_needs_no_lighteval_before_its_tasks_are_asked_for() -> None:
    assert "TASKS_TABLE" not in vars(package)
    with pytest.raises(AttributeError, match="no attribute 'TASKS'"):
        package.TASKS  # noqa: B018
