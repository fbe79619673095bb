"""vLLM, in a process of ours and behind its own server, does what every engine does; and both write the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from relift.engines import vllm
from relift.engines.model_source import ModelSource, resolve_model
from relift.engines.open import open_answerer
from relift.engines.openai import OpenAIAnswers
from relift.engines.options import OpenAIOptions, VLLMOptions
from relift.engines.texts import Answerer, AttemptRequest, Prompt, Reply
from relift.engines.tokens import Sampling
from relift.engines.vllm import VLLMAnswers
from relift.errors import ReliftError
from tests.engines.answer_contract import CHECKS, WARM, Case, answers, asks_for, texts
from tests.engines.tiny import prompts, write_checkpoint
from tests.vllm.conftest import Served

pytestmark = pytest.mark.vllm
PROMPTS = [Prompt(ids) for ids in prompts(6)]
MIXED = Sampling(max_tokens=60, temperature=0.7, top_p=0.95, top_k=20, stop_token_ids=(7, 9), stop=("ab", "K"))


class Shared:
    """An engine that is entered already and stays so."""

    def __init__(self, engine: Answerer) -> None:
        self._engine = engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def check(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> None:
        self._engine.check(asks, sampling)

    def stream(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        return self._engine.stream(asks, sampling)

    def describe(self) -> dict[str, object]:
        return self._engine.describe()


@pytest.fixture(autouse=True)
def logs_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # those of workers that fail stay


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_vllm(check: Any, vllm_engine: Answerer) -> None:
    check(Case(make=lambda: Shared(vllm_engine), prompts=PROMPTS, too_long=Prompt((5,) * 120)))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_served(check: Any, served: Served) -> None:
    options = OpenAIOptions(base_url=served.base_url, api="completions")
    check(Case(make=lambda: OpenAIAnswers("tiny", options), prompts=PROMPTS, too_long=Prompt((5,) * 120)))


def test_served_and_in_process_write_the_same(vllm_engine: Answerer, served: Served) -> None:
    asks = asks_for(Case(lambda: vllm_engine, PROMPTS, None), attempts=8)
    with OpenAIAnswers("tiny", OpenAIOptions(base_url=served.base_url, api="completions")) as engine:
        described = engine.describe()
        theirs = texts(answers(engine, asks, MIXED))
    assert theirs == texts(answers(vllm_engine, asks, MIXED))
    assert (described["server"], described["api"]) == ("vllm", "completions")
    assert described["version"] == vllm_engine.describe()["vllm"]


def test_in_turns(served: Served, vllm_engine: Answerer) -> None:
    """The template puts nothing around a turn, so the server's prompt is ours."""
    turns = (("user", "abcabc"),)
    ids = tuple(3 + ord(c) - ord("?") for c in "abcabc")
    asks = [AttemptRequest(f"q/0/{g}", Prompt(ids, turns), 1000 + g) for g in range(8)]
    with OpenAIAnswers("tiny", OpenAIOptions(base_url=served.base_url, api="chat")) as engine:
        theirs = texts(answers(engine, asks, MIXED))
    assert theirs == texts(answers(vllm_engine, asks, MIXED))


def test_two_processes_and_a_fresh_start_write_the_same(source: ModelSource, vllm_engine: Answerer) -> None:
    asks = asks_for(Case(lambda: vllm_engine, PROMPTS, None), attempts=30)
    with open_answerer("vllm", source, options=VLLMOptions(data_parallel=2)) as engine:
        assert texts(answers(engine, asks, MIXED)) == texts(answers(vllm_engine, asks, MIXED))
        numbers = [worker.number for worker in engine._workers]  # type: ignore[attr-defined]
    assert numbers == [0, 1]


def test_long_prompts_with_seeds(vllm_engine: Answerer) -> None:
    """More tokens of prompts than vLLM reads in one step (8,192), of lengths up to the context: read in pieces, a
    prompt with a seed would end the process."""
    asks = [
        AttemptRequest(f"q{q}/0/0", Prompt(tuple(3 + (q * i) % 60 for i in range(60 + q % 50))), q) for q in range(200)
    ]
    assert sum(len(ask.prompt.token_ids) for ask in asks) > 2 * vllm.CPU_BATCHED_TOKENS
    assert len(answers(vllm_engine, asks, WARM)) == 200


def test_log_probabilities_where_they_are_those_of_the_temperature(vllm_engine: Answerer) -> None:
    asks = asks_for(Case(lambda: vllm_engine, PROMPTS, None))
    for sampling, there in ((WARM, True), (replace(WARM, temperature=0.5), True), (replace(WARM, top_p=0.5), False)):
        assert all((r.sum_logprob is not None) == there for r in answers(vllm_engine, asks, sampling))


def test_a_killed_process_is_one_line(source: ModelSource) -> None:
    asks = [AttemptRequest(f"q/0/{g}", PROMPTS[3], g) for g in range(2000)]
    got = 0
    with pytest.raises(ReliftError, match="vLLM was ended by signal 9") as error:
        with open_answerer("vllm", source) as engine:
            assert isinstance(engine, VLLMAnswers)
            for _ in engine.stream(asks, replace(WARM, max_tokens=80)):
                got += 1
                if got == 10:
                    os.kill(engine._workers[0]._process.pid, signal.SIGKILL)
    assert 10 <= got < 2000 and "\n" not in str(error.value)


def test_what_vllm_refuses_is_one_line(tmp_path: Path) -> None:
    """Heads of 24: vLLM has no kernel for them on a CPU."""
    odd = resolve_model(str(write_checkpoint(tmp_path / "odd", layout="odd")))
    with pytest.raises(ReliftError, match="vLLM ended with status 1: .*24") as error, open_answerer("vllm", odd):
        pass
    assert "\n" not in str(error.value)
