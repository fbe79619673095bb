"""Nine parts name an answer. Each changed in turn: nothing of the old answers is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relift.engines.texts import Prompt
from relift.errors import InputError, ResumeRefused
from relift.evaluate import identity
from relift.evaluate.evaluate import evaluate
from relift.evaluate.fill import Work
from relift.evaluate.models import Model
from relift.evaluate.plan import Plan
from relift.store import RunReader
from tests.evaluate.fakes import (
    MODEL,
    PROTOCOL,
    SAMPLING,
    CountingAnswerer,
    benchmark,
    content,
    grader,
    plan_of,
    run,
    silent,
)

TEN = benchmark("ten", range(10))
Change = tuple[Plan, Model, CountingAnswerer]


def other_prompt() -> Plan:
    return plan_of(TEN, render=lambda question, benchmark: Prompt((1, *question.problem.encode())))


def other_protocol(**changes: Any) -> Plan:
    return plan_of(TEN, protocol=replace(PROTOCOL, **changes))


def other_source(**changes: Any) -> Model:
    return replace(MODEL, source=replace(MODEL.source, **changes))


# part -> (what the second start differs in, what the refusal names)
PARTS: dict[str, tuple[Callable[[], Change], str]] = {
    "model": (lambda: (plan_of(TEN), replace(MODEL, fingerprint="e" * 64), CountingAnswerer([])), "model is"),
    "revision": (
        lambda: (plan_of(TEN), other_source(revision="main"), CountingAnswerer([])),
        "revision is None there, 'main' here"),
    "prompt": (lambda: (other_prompt(), MODEL, CountingAnswerer([])), "the prompts of ten are others"),
    "template": (lambda: (other_protocol(template="boxed"), MODEL, CountingAnswerer([])), "template is"),
    "sampling": (
        lambda: (plan_of(TEN, sampling=replace(SAMPLING, temperature=0.7)), MODEL, CountingAnswerer([])),
        "sampling.temperature is 0.6 there, 0.7 here"),
    "seed": (lambda: (plan_of(TEN, seed=1), MODEL, CountingAnswerer([])), "seed is 0 there, 1 here"),
    "engine": (
        lambda: (plan_of(TEN), MODEL, CountingAnswerer([], version="2")), "engine.version is '1' there, '2' here"),
}  # fmt: skip


def start(folder: Path | None, root: Path, plan: Plan, model: Model, answerer: CountingAnswerer) -> Path:
    return run(folder, answerer, plan, model=model, root=root).folder


@pytest.mark.parametrize("part", PARTS)
def test_a_changed_part_is_a_miss(part: str, tmp_path: Path) -> None:
    """Without --out another folder is made, where all is asked; with it the difference is named, nothing is touched."""
    first = start(None, tmp_path, plan_of(TEN), MODEL, CountingAnswerer([]))
    again = CountingAnswerer([])
    assert start(None, tmp_path, plan_of(TEN), MODEL, again) == first and again.asked == []
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file() and path.name != ".lock"}
    make, named = PARTS[part]
    plan, model, answerer = make()
    with pytest.raises(ResumeRefused) as refusal:
        start(first, tmp_path, plan, model, answerer)
    assert named in str(refusal.value) and "choose another folder" in str(refusal.value)
    assert answerer.asked == []
    assert {p: p.read_bytes() for p in first.rglob("*") if p.is_file() and p.name != ".lock"} == before
    second = start(None, tmp_path, plan, model, answerer)
    assert second != first and len(answerer.asked) == 20
    again = make()[2]
    assert start(None, tmp_path, plan, model, again) == second and again.asked == []


def test_the_thinking_tags_and_every_field_of_sampling_count(tmp_path: Path) -> None:
    start(tmp_path / "run", tmp_path, plan_of(TEN), MODEL, CountingAnswerer([]))
    others: dict[str, Any] = {
        "max_tokens": 9, "temperature": 0.0, "top_p": 0.9, "top_k": 3, "stop_token_ids": (3,), "stop": ("x",)
    }  # fmt: skip
    assert set(others) == set(vars(SAMPLING))
    for name, value in others.items():
        plan = plan_of(TEN, sampling=replace(SAMPLING, **{name: value}))
        with pytest.raises(ResumeRefused, match=f"sampling.{name} is "):
            start(tmp_path / "run", tmp_path, plan, MODEL, CountingAnswerer([]))
    with pytest.raises(ResumeRefused, match="thinking is "):
        start(tmp_path / "run", tmp_path, other_protocol(thinking=(("<a>", "</a>"),)), MODEL, CountingAnswerer([]))


def test_the_generation_code_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = start(None, tmp_path, plan_of(TEN), MODEL, CountingAnswerer([]))
    monkeypatch.setattr(identity, "GENERATION_CODE", identity.GENERATION_CODE + 1)
    with pytest.raises(ResumeRefused, match="generation_code is "):
        start(first, tmp_path, plan_of(TEN), MODEL, CountingAnswerer([]))
    answerer = CountingAnswerer([])
    assert start(None, tmp_path, plan_of(TEN), MODEL, answerer) != first and len(answerer.asked) == 20


def test_an_attempt_that_is_not_there_is_asked(tmp_path: Path) -> None:
    """The ninth part: attempts 0 and 1 stand there, a third is asked for, and nothing else."""
    start(tmp_path / "run", tmp_path, plan_of(TEN), MODEL, CountingAnswerer([]))
    answerer = CountingAnswerer([])
    start(tmp_path / "run", tmp_path, plan_of(TEN, samples=3), MODEL, answerer)
    assert len(answerer.asked) == 10 and all(key.endswith("/2") for key in answerer.asked)


def test_another_step_is_another_attempt(tmp_path: Path) -> None:
    """The step of a training run's checkpoint stands in the key and in the seed."""
    seeds = []
    for step in (None, 100):
        folder = start(None, tmp_path / str(step), plan_of(TEN), other_source(step=step), CountingAnswerer([]))
        attempts = content(folder)["attempts"]
        assert set(attempts["step"]) == {step or 0}
        seeds.append(set(attempts["seed"]))
    assert not seeds[0] & seeds[1]


def test_numerics_of_the_engine_are_recorded_but_no_identity(tmp_path: Path) -> None:
    class OtherThreads(CountingAnswerer):
        def describe(self) -> dict[str, object]:
            return {**super().describe(), "numerics": {"threads": 2}}

    first = start(None, tmp_path, plan_of(TEN), MODEL, CountingAnswerer([]))
    assert RunReader(first).run.exact is True
    answerer = OtherThreads([])
    assert start(None, tmp_path, plan_of(TEN, samples=3), MODEL, answerer) == first and len(answerer.asked) == 10
    stored = RunReader(first).run
    assert stored.exact is False and stored.engine["numerics"] == {"threads": 2}


def test_another_kind_of_run_or_grader_is_refused(tmp_path: Path) -> None:
    folder = start(tmp_path / "run", tmp_path, plan_of(TEN), MODEL, CountingAnswerer([]))

    class OtherGrader(type(grader())):  # type: ignore[misc]
        def describe(self) -> dict[str, object]:
            return {"exact": {"name": "digit", "version": 2}}

    answerer = CountingAnswerer([])
    with pytest.raises(ResumeRefused, match=r"graders.exact.version is 1 there, 2 here; .* relift regrade"):
        evaluate(
            plan_of(TEN, samples=3), MODEL, work=Work(answerer, OtherGrader(), silent()), folder=folder, options={}
        )
    with pytest.raises(ResumeRefused, match="under the protocol by hand, now other"):
        start(folder, tmp_path, other_protocol(name="other"), MODEL, answerer)
    assert answerer.asked == []
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds 'notes.txt' but no run.json"):
        start(tmp_path / "files", tmp_path, plan_of(TEN), MODEL, answerer)
