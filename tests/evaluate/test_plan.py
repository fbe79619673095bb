"""Check what is asked: room for answers, cost beforehand, options that are written down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from relift.engines.texts import Prompt
from relift.errors import InputError
from relift.evaluate.estimate import estimates, plan_values
from relift.evaluate.options import EvalOptions
from relift.evaluate.plan import prompts_hash, require_room
from tests.evaluate.fakes import SAMPLING, benchmark, plan_of


def test_room_one_under_at_and_over() -> None:
    """Prompts "question 0?" of 11 tokens and, in b, "question 10?" of 12; answers of up to 8."""
    plan = plan_of(benchmark("a", [0, 1]), benchmark("b", [10, 2]))
    require_room(plan, None)
    require_room(plan, 20)
    with pytest.raises(InputError) as refusal:
        require_room(plan, 19)
    assert str(refusal.value) == "b: prompt + 8 tokens exceed the model's 19 in 1 of 2; use --max-tokens 7"
    with pytest.raises(InputError) as refusal:
        require_room(plan, 18)
    assert str(refusal.value) == "a: prompt + 8 tokens exceed the model's 18 in 2 of 2; use --max-tokens 6"
    with pytest.raises(InputError, match="longest prompt alone fills the model"):
        require_room(plan, 12)


def test_estimates() -> None:
    """10 questions x 4: 40 answers of at most 8 tokens; prompts 10 x 11 tokens, each read 4 times. 320 tokens at 2 a
    second are 160 s = .04 hours."""
    plan = plan_of(samples=4)
    (one,) = estimates(plan)
    assert (one.questions, one.answers, one.prompt_tokens, one.most_answer_tokens) == (10, 40, 440, 320)
    assert plan_values(plan, model="m", tokens_per_second=2.0)["most_hours"] == 0.04
    assert plan_values(plan, model="m", tokens_per_second=None)["most_hours"] is None
    (once,) = estimates(plan_of(benchmark("thirty", range(30)), samples=1))
    assert once.detectable == pytest.approx(25, abs=1)  # one attempt at 30 questions


def test_a_question_of_two_benchmarks_costs_once() -> None:
    plan = plan_of(benchmark("a", range(4), samples=2), benchmark("b", range(2, 6), samples=3))
    assert plan.n_answers == 2 * 2 + 4 * 3 and [e.answers for e in estimates(plan)] == [8, 12]


def test_prompt_hashes_tell_prompts_apart() -> None:
    a, b = Prompt((1, 2)), Prompt((3,))
    assert prompts_hash([a, b]) != prompts_hash([b, a]) != prompts_hash([Prompt((1, 2, 3))])
    turns = [Prompt((), turns=(("user", text),)) for text in ("x", "y")]
    assert prompts_hash(turns[:1]) != prompts_hash(turns[1:])
    assert prompts_hash([a]) == prompts_hash([replace(a, turns=(("user", "x"),))])  # tokens are what is read


def test_what_is_written_down_has_no_secrets() -> None:
    options = EvalOptions(
        models=("m",), benchmarks=("a,b",), data=Path("d"),
        engine_options={"base_url": "https://user:secret@host:8/v1?key=secret", "concurrency": 3},
    )  # fmt: skip
    record = options.record("m")
    assert record["base_url"] == "https://host:8/v1" and record["concurrency"] == 3 and record["data"] == "d"
    assert "secret" not in str(record) and "samples" not in record and SAMPLING.max_tokens == 8
