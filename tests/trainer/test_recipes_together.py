"""Recipes whose demonstrations train beside rollouts in one update: LUFFY, SRFT, CHORD."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import Qwen2Config

from relift.engines.tokens import Completion, Request
from relift.errors import InputError
from relift.learner.update import Component, Update
from relift.prompts import render
from relift.schema import Assistance, UpdateKind
from relift.store import RunReader, check_run
from relift.trainer.configuration import load_config
from relift.trainer.demos import Demo
from relift.trainer.hints import HINT, prompt_with
from relift.trainer.inputs import require_room
from relift.trainer.recipes import RECIPES, build
from relift.trainer.run import Run
from relift.trainer.schedules import schedule
from relift.trainer.step import Step
from tests.test_prompts import make_tokenizer
from tests.trainer.scripted import ScriptedEngine, items, scripted_run, train
from tests.trainer.test_recipes import answers_of, demo, recipe_of, step_of

L_MAX = 8192


def part(update: Update, name: str) -> Component:
    (component,) = (c for c in update.components if c.name == name)
    return component


def shares(component: Component, term: int = 0) -> list[float]:
    """Weight of a token of each sequence in one term, the scale included."""
    own = component.terms[term]
    per_token_S = np.ones(len(component.sequences)) if own.per_token_S is None else own.per_token_S
    return (own.scale * per_token_S / own.denominator).tolist()


def advantages(component: Component) -> list[float]:
    return [float(s.columns["advantage"][0]) for s in component.sequences]


def plain(name: str, *overrides: str) -> list[str]:
    return [name, "rl.updates_per_batch=1", "rl.entropy_weight=0.0", *overrides]


# ---- LUFFY -----------------------------------------------------------------------------------------------------


def test_luffys_demonstration_is_one_answer_of_its_group() -> None:
    """+-- and the demonstration: mean 1/2, so A = .5, -.5, -.5 and .5. Question 1 has no demonstration: +-- alone,
    mean 1/3. Seven answers in all, of both kinds: 1 / (7 L_max) a token."""
    recipe = recipe_of(*plain("luffy"))
    step = step_of(demos=[demo(0, 5)])
    (update,) = recipe.updates(step, answers_of("+--", "+--"))
    rl, demos = part(update, "rl"), part(update, "demo")
    assert (update.kind, update.optimizer) == (UpdateKind.mixed, "rl")
    np.testing.assert_allclose(advantages(rl), [0.5, -0.5, -0.5, 2 / 3, -1 / 3, -1 / 3], rtol=1e-6)
    assert advantages(demos) == [0.5] and [s.demo_id for s in demos.sequences] == ["demo 0"]
    np.testing.assert_allclose(shares(rl), [1 / (7 * L_MAX)] * 6, rtol=1e-15)
    np.testing.assert_allclose(shares(demos), [1 / (7 * L_MAX)], rtol=1e-15)
    assert (rl.terms[0].loss.name, demos.terms[0].loss.name) == ("ratio", "luffy")
    assert [(e.demo_id, e.event) for e in step.buffer.take_events()] == [("demo 0", "train")]


def test_luffy_trains_on_no_demonstration_of_a_solved_question() -> None:
    """++ and the demonstration are equal rewards: advantage 0 for all, yet counted: 6 answers."""
    step = step_of(demos=[demo(0), demo(1)])
    (update,) = recipe_of(*plain("luffy")).updates(step, answers_of("++", "--"))
    assert [s.attempt for s in part(update, "rl").sequences] == [(1, 0), (1, 1)]
    assert [s.demo_id for s in part(update, "demo").sequences] == ["demo 1"]
    np.testing.assert_allclose(shares(part(update, "demo")), [1 / (6 * L_MAX)], rtol=1e-15)
    assert [e.demo_id for e in step.buffer.take_events()] == ["demo 1"]  # the other was not used


def test_luffys_two_components_share_every_denominator() -> None:
    """With means over tokens and flat groups dropped: 2 + 3 tokens of rollouts and 7 of the demonstration."""
    recipe = recipe_of(*plain("luffy", "rl.denominator=tokens", "sft.denominator=tokens", "rl.drop_flat_groups=true"))
    step = step_of(demos=[demo(0, 7), demo(1, 100)])
    (update,) = recipe.updates(step, answers_of("+-", "++", lengths=[[2, 3], [50, 60]]))
    assert shares(part(update, "rl")) == [1 / 12] * 2 and shares(part(update, "demo")) == [1 / 12]


def test_luffys_mini_batches_have_denominators_of_their_own() -> None:
    recipe = recipe_of("luffy", "rl.updates_per_batch=2", "rl.entropy_weight=0.0")
    step = step_of(demos=[demo(ix) for ix in range(2)])
    first, second = recipe.updates(step, answers_of("+-", "--"))
    assert [s.demo_id for u in (first, second) for s in part(u, "demo").sequences] == ["demo 0", "demo 1"]
    np.testing.assert_allclose(shares(part(second, "rl")), [1 / (3 * L_MAX)] * 2, rtol=1e-15)
    assert "old" not in part(first, "demo").sequences[0].columns  # nobody's policy: no ratio


def test_undecided_attempts_leave_luffys_group() -> None:
    """+? and the demonstration is ++: no signal, nothing trained, no use noted."""
    step = step_of(demos=[demo(0)])
    (update,) = recipe_of(*plain("luffy")).updates(step, answers_of("+?"))
    assert [len(c.sequences) for c in update.components] == [0] and step.buffer.take_events() == []


def test_luffy_samples_one_attempt_less() -> None:
    recipe = recipe_of("luffy", "rollout.attempts_per_question=8")
    assert recipe.rl is not None and recipe.rl.attempts - recipe.method.places_of_demos == 7
    assert RECIPES["srft"].places_of_demos == 0


# ---- SRFT ------------------------------------------------------------------------------------------------------


def test_srft_trains_on_every_decided_answer_and_twice_on_a_demonstration() -> None:
    """Rollouts by their verdict (+1, -1), flat groups too, over 1 + 1 + 1 + 4 + 6 tokens; the demonstrations' first
    term over their own 10. Group ++ and its demonstration: A = 0. Group -? and its: rewards 0, 1, std sqrt(.5)."""
    step = step_of(demos=[demo(0, 4), demo(1, 6)])
    (update,) = recipe_of(*plain("srft")).updates(step, answers_of("++", "-?"))
    rl, demos = part(update, "rl"), part(update, "demo")
    assert advantages(rl) == [1, 1, -1] and shares(rl) == [1 / 13] * 3
    assert [t.loss.name for t in demos.terms] == ["srft_demo", "probability"]
    assert shares(demos, 0) == [1 / 10] * 2 and shares(demos, 1) == [1 / 13] * 2
    np.testing.assert_allclose(advantages(demos), [0, 0.5 / (0.5**0.5 + 1e-6)], rtol=1e-6)


# ---- CHORD -----------------------------------------------------------------------------------------------------


def beside(step: Step, batches: list[int]) -> Step:
    """Give demonstrations of 3 and 5 tokens as every batch of the stream, noting which was asked for."""

    def demonstrations(k: int) -> list[Demo]:
        batches.append(k)
        return [demo(7, 3), demo(8, 5)]

    return replace(step, demonstrations=demonstrations)


def test_chord_shares_the_update_by_mu() -> None:
    """Step 1 of a cosine from .9 to .05 over 200 steps; rollouts over 2 tokens, demonstrations over 8."""
    mu = 0.05 + 0.85 * (1 + math.cos(math.pi / 200)) / 2
    batches: list[int] = []
    (update,) = recipe_of(*plain("chord")).updates(beside(step_of(), batches), answers_of("+-"))
    np.testing.assert_allclose(shares(part(update, "rl")), [(1 - mu) / 2] * 2, rtol=1e-15)
    np.testing.assert_allclose(shares(part(update, "demo")), [mu / 8] * 2, rtol=1e-15)
    assert (update.kind, update.optimizer, batches) == (UpdateKind.mixed, "rl", [0])


def test_every_update_of_chord_has_a_batch_of_its_own() -> None:
    batches: list[int] = []
    step = replace(beside(step_of(), batches), number=5)
    updates = list(recipe_of("chord", "rl.updates_per_batch=2").updates(step, answers_of("+-", "--")))
    assert batches == [8, 9] and len(updates) == 2
    assert part(updates[1], "rl").sequences == ()  # nothing to learn from: exactly 0, beside the demonstrations


def test_mu_by_hand() -> None:
    """Up to .5 in 4 steps, down to .1 in 2: half way it is .3. Without warm-up and decay it is the last value."""
    mu = schedule(0.5, 0.1, shape="cosine", begin=4, length=2, warmup=4)
    np.testing.assert_allclose([mu(s) for s in range(1, 9)], [0.125, 0.25, 0.375, 0.5, 0.3, 0.1, 0.1, 0.1], rtol=1e-15)
    assert schedule(0.1, 0.1, shape="cosine", begin=0, length=0)(1) == 0.1


# ---- prefixes --------------------------------------------------------------------------------------------------


def test_a_prefix_stands_in_the_prompt_and_has_no_gradient(tmp_path: Path) -> None:
    """Four questions, two with a demonstration of 14 tokens: two of their four attempts begin with 3 to 10 of them.
    The first attempt with each prompt is right, the others are wrong."""
    run = scripted_run(tmp_path / "run", prefixed(1), with_demo=[0, 1], n_right=lambda ix, version: 1)
    reader = finished(run)
    attempts = reader.read("attempts", columns=["question_ix", "attempt", "assistance", "n_tokens", "advantage"])
    assert attempts["assistance"].tolist() == ["none", "none", "prefix", "prefix"] * 2 + ["none"] * 8
    a = 0.5 / (0.5**0.5 + 1e-6)  # one right of two: reward - mean = +-.5, std (ddof 1) sqrt(.5)
    np.testing.assert_allclose(attempts["advantage"].to_numpy(float)[:8], [a, -a] * 4, rtol=1e-6)
    assert attempts["n_tokens"].tolist()[:8] == [10, 14] * 4  # what was written
    (update,) = run.learner.updates  # type: ignore[attr-defined]
    sequences = {s.attempt: s for s in part(update, "rl").sequences}
    texts = reader.read("responses")["text"].tolist()
    for q in (0, 1):
        item = run.train_items[q]
        row = next(row for row in range(4) if sequences[row, 0].prompt_ids == item.prompt_ids)
        whole = run.demos[q].completion_ids_T.tolist()
        for g in (2, 3):
            prompt = sequences[row, g].prompt_ids
            given = list(prompt[len(item.prompt_ids) :])
            assert 3 <= len(given) <= 10 and given == whole[: len(given)]
            assert len(sequences[row, g].completion_ids_T) == (10, 14)[g - 2]
            assert texts[4 * q + g].startswith("".join(map(chr, given)))


def test_attempts_with_a_prefix_are_no_accuracy(tmp_path: Path) -> None:
    """Without help all wrong, with a prefix one of two is right: 0 of 2 in the trajectories, and the question waits."""
    run = scripted_run(tmp_path / "run", prefixed(1), with_demo=[0, 1], engine=RightWithHelp(items(4), lambda ix, v: 1))
    reader = finished(run)
    found = reader.read("trajectories", origin="rollout")
    assert found["n_correct"].tolist() == [0] * 4 and found["n_attempts"].tolist() == [2, 2, 4, 4]
    assert sorted(run.buffer.waiting) == [0, 1]


def test_only_questions_that_wait_are_given_a_prefix(tmp_path: Path) -> None:
    """Question 1 is solved in step 1; in step 2 the other one with a demonstration is helped."""
    values = prefixed(2) | {"prefix": {"questions": "waiting"}}
    run = scripted_run(tmp_path / "run", values, with_demo=[0, 1], n_right=lambda ix, version: int(ix == 1))
    attempts = finished(run).read("attempts", columns=["step", "question_ix", "assistance"], origin="rollout")
    helped = attempts[attempts["assistance"] == "prefix"]
    assert set(zip(helped["step"], helped["question_ix"], strict=True)) == {(2, 0)}


def test_a_hint_stands_in_the_prompt_of_a_question_that_was_all_wrong(tmp_path: Path) -> None:
    """Step 1 has no help; in step 2 question 0, never solved, has two of four attempts with a hint. The scripted prompt
    with a hint is the prompt, a 1 and the start of the demonstration; the answer is what the policy wrote."""
    values = prefixed(2) | {"recipe": "hint_rl"}
    run = scripted_run(tmp_path / "run", values, with_demo=[0, 1], n_right=lambda ix, version: int(ix == 1))
    reader = finished(run)
    attempts = reader.read("attempts", columns=["step", "question_ix", "attempt", "assistance"], origin="rollout")
    helped = attempts[attempts["assistance"] == "hint"]
    assert helped[["step", "question_ix", "attempt"]].to_numpy().tolist() == [[2, 0, 2], [2, 0, 3]]
    asked = [r for r in run.engine.calls[-1] if r.prompt_ids not in {i.prompt_ids for i in run.train_items}]  # type: ignore[attr-defined]
    (prompt,) = {request.prompt_ids for request in asked}
    own, whole = run.train_items[0].prompt_ids, tuple(run.demos[0].completion_ids_T.tolist())
    given = prompt[len(own) + 1 :]
    assert prompt[: len(own) + 1] == (*own, 1) and given == whole[: len(given)] and 3 <= len(given) <= 10


def test_a_hint_that_does_not_fit_is_not_given(tmp_path: Path) -> None:
    values = prefixed(2) | {"recipe": "hint_rl"}
    run = scripted_run(tmp_path / "run", values, with_demo=[0], hinted=lambda item, given: None)
    assert set(finished(run).read("attempts", columns=["assistance"])["assistance"]) == {"none"}


def test_the_words_of_a_hint(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    config = load_config("relift", overrides=["recipe=hint_rl", "data.prompt=plain"])
    (item,) = items(1)
    given = tokenizer("so 2 + 2", add_special_tokens=False)["input_ids"]
    prompt_ids = prompt_with(HINT, config, tokenizer, item, given, longest=100)
    expected = render("question 0?\n\nA solution begins like this:\nso 2 + 2", "plain", tokenizer).token_ids
    assert prompt_ids == expected
    assert prompt_with(HINT, config, tokenizer, item, given, longest=len(expected) - 1) is None


def test_a_prefix_that_leaves_no_room_is_refused() -> None:
    """A prompt of 1 token and 15 of 20 that are given: 16. With 8,192 to be written the model has to read 8,208."""
    config = load_config("relift", overrides=["recipe=prefix_rl"])
    demos = [demo(0, 20)]
    require_room(config, build(config), demos, Qwen2Config(max_position_embeddings=8208))
    with pytest.raises(InputError) as caught:
        require_room(config, build(config), demos, Qwen2Config(max_position_embeddings=8207))
    assert "takes 16 tokens, more than 15" in str(caught.value) and "\n" not in str(caught.value)


class RightWithHelp(ScriptedEngine):
    """Answers right only to a prompt that is more than a question's own."""

    def _answer(self, request: Request, g: int) -> Completion:
        self._n_right = lambda ix, version: int(request.prompt_ids not in self._by_prompt)
        return super()._answer(request, g)


def prefixed(steps: int) -> dict[str, object]:
    """All four questions in every step, four attempts at each."""
    rollout = {"questions_per_step": 4, "attempts_per_question": 4, "max_tokens": 50}
    return {"recipe": "prefix_rl", "steps": steps, "rollout": rollout}


def finished(run: Run) -> RunReader:
    """Train to the end; the folder must be sound."""
    try:
        train(run)
    finally:
        run.record.writer.close()
    assert check_run(run.record.writer.folder).problems == []
    return RunReader(run.record.writer.folder)


# ---- all -------------------------------------------------------------------------------------------------------


HELP = {
    "prefix_rl": [Assistance.prefix],
    "prefix_rft": [Assistance.prefix],
    "bread": [Assistance.prefix],
    "hint_rl": [Assistance.hint],
    "ghpo": [Assistance.hint],
    "hdpo": [Assistance.privileged],
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_scripted_run_of_every_recipe(name: str, tmp_path: Path) -> None:
    """Two steps, four questions of which one is never solved: sound tables, and no attempt that was helped."""
    values = {
        "recipe": name,
        "steps": 2,
        "rollout": {"questions_per_step": 4, "attempts_per_question": 3, "max_tokens": 50},
        "sft": {"batch": 2, "phase_steps": 1 if name == "sft_rl" else 0},
        "probe": {"every": 2, "attempts": 2},
    }
    run = scripted_run(
        tmp_path / "run", values, n_probe=1, with_demo=[0, 1], n_right=lambda ix, version: 0 if ix == 0 else 1
    )
    reader = finished(run)
    assert len(reader.read("updates")) == (8 if name == "gspo" else 2)  # four mini-batches a step
    # Question 0, all wrong in both steps, is asked again: by hdpo once, by ghpo and bread until the first of three
    # starts (this policy is never right there), so 3 x 3 attempts more a step.
    sampled = {"sft": 0, "dft": 0, "sft_rl": 12, "luffy": 16, "hdpo": 30, "ghpo": 42, "bread": 42}.get(name, 24)
    attempts = reader.read("attempts", columns=["assistance", "origin"])
    assert (attempts["origin"] == "rollout").sum() == sampled
    assert set(attempts["assistance"]) == {str(Assistance.none)} | {str(kind) for kind in HELP.get(name, ())}
