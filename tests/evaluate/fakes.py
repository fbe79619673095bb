"""An engine, a grader and benchmarks by hand, and an evaluation of them in a folder."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pandas as pd
from rich.console import Console

from relift.benchmarks.benchmark import Benchmark, LoadedBenchmark, Protocol
from relift.engines.model_source import ModelSource
from relift.engines.texts import AttemptRequest, Prompt, Reply
from relift.engines.tokens import Sampling
from relift.errors import ReliftError
from relift.evaluate.collect import Commits
from relift.evaluate.evaluate import Outcome, evaluate
from relift.evaluate.fill import Work
from relift.evaluate.models import Model
from relift.evaluate.plan import Plan, make_plan
from relift.grading import Grader, Judgement, Submission
from relift.schema import Finish, Question, Verdict, question_id_of
from relift.store import RunReader

SAMPLING = Sampling(max_tokens=8, temperature=0.6, stop_token_ids=(2,))
PROTOCOL = Protocol("by hand", SAMPLING, sources=("here",))
MODEL = Model(ModelSource("somewhere/tiny", None, "tiny"), "f" * 64, None, 64, (2,))


class CountingAnswerer:
    """Answers with the low digit of the seed. Counts the keys that it was asked, over all starts in `asked`.

    `dies_after`: raises this after so many answers of one start. `shuffled`: answers arrive in another order.
    """

    def __init__(
        self,
        asked: list[str],
        *,
        dies_after: int | None = None,
        error: BaseException | None = None,
        shuffled: bool = False,
        version: str = "1",
    ) -> None:
        self.asked, self.dies_after, self.shuffled, self.version = asked, dies_after, shuffled, version
        self.error = error or ReliftError("the engine fell over")
        self.entered = 0
        self.ledger: Path | None = None

    def check(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> None:
        pass

    def stream(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        order = list(range(len(asks)))
        if self.shuffled:
            random.Random(5).shuffle(order)
        for n, index in enumerate(order):
            if n == self.dies_after:
                raise self.error
            self.asked.append(asks[index].key)
            yield index, reply_to(asks[index])

    def describe(self) -> dict[str, object]:
        return {"name": "by hand", "version": self.version, "numerics": {"threads": 1}}

    def __enter__(self) -> Self:
        self.entered += 1
        return self

    def __exit__(self, *exc: object) -> None:
        pass


def reply_to(ask: AttemptRequest) -> Reply:
    digit = ask.seed % 10
    return Reply(f"it is {digit}", Finish.length if digit == 9 else Finish.stop, 3 + digit)


class DigitScorer:
    """Correct: the gold is not below the digit at the end. "it is 7" stays undecided where `undecided` says so."""

    name = "digit"

    def __init__(self, *, undecided: Callable[[str], bool] = lambda text: False) -> None:
        self.undecided = undecided

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        return [self._one(s) for s in submissions]

    def _one(self, s: Submission) -> Judgement:
        digit = s.text[-1]
        if self.undecided(s.text):
            return Judgement(Verdict.undecided, "none.timeout")
        if s.finish is Finish.length:
            return Judgement(Verdict.wrong, "none.truncated")
        return Judgement(Verdict.correct if digit <= s.gold else Verdict.wrong, "line.number", digit)

    def describe(self) -> dict[str, object]:
        return {"name": self.name, "version": 1}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


def grader(**options: Any) -> Grader:
    return Grader(scorers={"exact": DigitScorer(**options)})


def question(number: int, *, gold: str = "4") -> Question:
    problem = f"question {number}?"
    return Question(question_id_of(problem), problem, gold)


def benchmark(name: str, numbers: Sequence[int], *, samples: int = 2, gold: str = "4") -> LoadedBenchmark:
    declared = Benchmark(name, name.upper(), "exact", len(numbers), samples=samples, sources=("here",))
    questions = tuple(question(n, gold=gold) for n in numbers)
    return LoadedBenchmark(declared, questions, content_hash="00", revision=None, origin="here", pinned=False)


def render(question: Question, benchmark: Benchmark) -> Prompt:
    return Prompt(tuple(question.problem.encode()))


def plan_of(*loaded: LoadedBenchmark, **changes: Any) -> Plan:
    values = {"protocol": PROTOCOL, "sampling": SAMPLING, "seed": 0, "samples": None, "render": render, **changes}
    return make_plan(loaded or (benchmark("ten", range(10)),), **values)


def silent() -> Console:
    return Console(file=io.StringIO())


def run(folder: Path | None, answerer: CountingAnswerer, plan: Plan | None = None, **changes: Any) -> Outcome:
    """One start of an evaluation."""
    values: dict[str, Any] = {
        "grader": grader(), "console": silent(), "commits": Commits(answers=8, seconds=60.0), **changes,
    }  # fmt: skip
    work = Work(answerer, values.pop("grader"), values.pop("console"), values.pop("commits"))
    model = values.pop("model", MODEL)
    return evaluate(plan or plan_of(), model, work=work, folder=folder, options={"model": "tiny"}, **values)


def content(folder: Path) -> dict[str, pd.DataFrame]:
    """Give what a run says, whatever parts its files are in."""
    reader = RunReader(folder)
    attempts = reader.read("attempts").drop(columns="response_id")
    texts = reader.read("responses").drop(columns="response_id")
    keys = ["draw", "question_ix", "attempt"]
    return {
        "attempts": attempts.sort_values(keys, ignore_index=True).drop(columns="run_id"),
        "responses": texts.sort_values(keys, ignore_index=True).drop(columns="run_id"),
        "scores": reader.read("scores").drop(columns="run_id"),
        "questions": reader.read("questions"),
    }


def assert_same(a: Path, b: Path) -> None:
    left, right = content(a), content(b)
    for table in left:
        pd.testing.assert_frame_equal(left[table], right[table], check_categorical=False, obj=table)
