"""Lay benchmarks over each other, so that a question in two of them is sampled once, and number their attempts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from relift.benchmarks.benchmark import Benchmark, LoadedBenchmark, Protocol
from relift.engines.texts import AttemptRequest, Prompt
from relift.engines.tokens import Sampling
from relift.errors import InputError
from relift.fingerprints import digest
from relift.schema import Origin, Question, seed_of

Render = Callable[[Question, Benchmark], Prompt]


@dataclass(frozen=True)
class PlannedQuestion:
    """A question of the run: its index in the tables, its rendered prompt, how many attempts at it are wanted."""

    question: Question
    question_ix: int
    prompt: Prompt
    samples: int


@dataclass(frozen=True)
class Destination:
    """A set of attempts of a run: origin, draw and step, and the settings that they are made with."""

    origin: Origin
    draw: int = 0
    step: int = 0
    decoding_id: str = "benchmark"
    policy_version: int = 0

    @property
    def name(self) -> str:
        """Its name in the record's `appended`."""
        return f"{self.origin}.step-{self.step:06d}.d{self.draw}"


@dataclass(frozen=True)
class Task:
    """One benchmark of the run: what was loaded, its questions by id in source order, attempts at each."""

    loaded: LoadedBenchmark
    question_ids: tuple[str, ...]
    samples: int

    @property
    def name(self) -> str:
        return self.loaded.benchmark.name


@dataclass(frozen=True)
class Plan:
    """Describe what is to be asked. `questions`, `prompts` and `samples` by question_id, in order of first appearance.

    A question of several benchmarks has the largest of their numbers of samples.
    """

    protocol: Protocol
    sampling: Sampling
    seed: int
    tasks: tuple[Task, ...]
    questions: Mapping[str, Question]
    prompts: Mapping[str, Prompt]
    samples: Mapping[str, int]

    @property
    def n_answers(self) -> int:
        return sum(self.samples.values())

    def prompt_hashes(self) -> dict[str, str]:
        """By benchmark: hash of its prompts, token for token and in order."""
        return {task.name: prompts_hash([self.prompts[q] for q in task.question_ids]) for task in self.tasks}


def prompts_hash(prompts: Sequence[Prompt]) -> str:
    """Hash of prompts in order, token for token; of turns of text where there are no tokens."""
    return digest([[list(p.token_ids), [] if p.token_ids else [list(turn) for turn in p.turns or ()]] for p in prompts])


def make_plan(
    loaded: Sequence[LoadedBenchmark],
    *,
    protocol: Protocol,
    sampling: Sampling,
    seed: int,
    samples: int | None,
    render: Render,
) -> Plan:
    """Lay benchmarks over each other. `samples` for all of them, else the protocol's, else the benchmark's own.

    Raises InputError where two benchmarks share a question but put it otherwise or have another gold answer.
    """
    questions: dict[str, Question] = {}
    prompts: dict[str, Prompt] = {}
    wanted: dict[str, int] = {}
    first: dict[str, str] = {}
    tasks = []
    for each in loaded:
        name = each.benchmark.name
        k = samples or protocol.samples.get(each.benchmark.known_as) or each.benchmark.samples
        for question in each.questions:
            q = question.question_id
            prompt = render(question, each.benchmark)
            if q not in questions:
                questions[q], prompts[q], first[q] = question, prompt, name
            else:
                _require_same(question, questions[q], names=(first[q], name), same_prompt=prompt == prompts[q])
            wanted[q] = max(k, wanted.get(q, 0))
        tasks.append(Task(each, tuple(q.question_id for q in each.questions), k))
    return Plan(protocol, sampling, seed, tuple(tasks), questions, prompts, wanted)


def _require_same(a: Question, b: Question, *, names: tuple[str, str], same_prompt: bool) -> None:
    what = "prompts" if not same_prompt else "gold answers" if a.answer != b.answer else None
    if a.answer_kind != b.answer_kind:
        what = "scorers"
    if what is not None:
        raise InputError(
            f"{names[0]} and {names[1]} share the question {a.problem[:40]!r} with different {what}: "
            "evaluate them in runs of their own"
        )


def require_room(
    plan: Plan, context: int | None, *, option: str = "--max-tokens", stretched: str | None = None
) -> None:
    """Refuse prompts that leave the answer less room than it may take. `context`: tokens the model reads; `stretched`:
    what others did about it."""
    if context is None:
        return
    limit = plan.sampling.max_tokens
    lengths = {task.name: [len(plan.prompts[q].token_ids) for q in task.question_ids] for task in plan.tasks}
    room = context - max(n for each in lengths.values() for n in each)  # enough for all benchmarks
    for name, each in lengths.items():
        too_long = sum(n + limit > context for n in each)
        if too_long:
            mend = f"use {option} {room}" if room > 0 else "the longest prompt alone fills the model: leave that out"
            raise InputError(
                f"{name}: prompt + {limit} tokens exceed the model's {context} in {too_long} of {len(each)}; {mend}"
                + ("" if stretched is None else f"; {stretched}")
            )


@dataclass(frozen=True)
class PlannedAttempt:
    """One attempt at a question, as an engine is asked for it."""

    question: PlannedQuestion
    attempt: int
    request: AttemptRequest


def planned_attempts(
    questions: Sequence[PlannedQuestion], destination: Destination, *, seed: int, done: frozenset[tuple[int, int]]
) -> list[PlannedAttempt]:
    """List the attempts that are not `done` ((question_ix, attempt) pairs), question by question."""
    return [
        PlannedAttempt(question, attempt, _request(question, destination, seed=seed, attempt=attempt))
        for question in questions
        for attempt in range(question.samples)
        if (question.question_ix, attempt) not in done
    ]


def _request(question: PlannedQuestion, destination: Destination, *, seed: int, attempt: int) -> AttemptRequest:
    """Name an attempt and seed it; the seed depends on nothing but what names the attempt."""
    question_id = question.question.question_id
    return AttemptRequest(
        key=f"{question_id}/{destination.draw}/{attempt}",
        prompt=question.prompt,
        seed=seed_of(seed, str(destination.origin), destination.draw, destination.step, question_id, attempt),
    )
