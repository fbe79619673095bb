"""Recipes that ask again with help, train on what was given, or teach themselves: what becomes of small groups."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from relift.learner.gradient import View
from relift.learner.update import TrainSequence, Update
from relift.schema import Assistance
from relift.trainer.answers import Answers
from relift.trainer.ladder import climb
from relift.trainer.schedules import schedule
from relift.trainer.step import Step
from tests.trainer.scripted import scripted_run
from tests.trainer.test_recipes import answers_of, demo, recipe_of, step_of
from tests.trainer.test_recipes_together import RightWithHelp, advantages, finished, items, part

PLAIN = ("rl.updates_per_batch=1", "rl.entropy_weight=0.0")


def open_step(demos: list[Any] | None = None, scores: dict[int, float] | None = None) -> Step:
    """Step 1 whose questions have the prompt (100 + ix), (1, ...) with a hint (2, ...) with a solution."""
    return replace(
        step_of(demos=demos, scores=scores),
        item=lambda ix: SimpleNamespace(prompt_ids=(100 + ix,), question_ix=ix),
        hinted=lambda item, given: (1, *given),
        privileged=lambda item, given: (2, *given),
    )


def one(updates: Any) -> Update:
    (update,) = updates
    return update  # type: ignore[no-any-return]


# ---- further rounds --------------------------------------------------------------------------------------------


def test_a_question_that_was_all_wrong_is_asked_with_ever_more() -> None:
    """Demonstrations of 8 tokens: 2, 4, 6 of them. A group with a right answer, an undecided one, or no demonstration
    is not asked again; after the third start there is no further one."""
    step, recipe = open_step([demo(0, 8), demo(1, 8), demo(2, 8)]), recipe_of("ghpo", "rollout.attempts_per_question=2")
    answers = answers_of("--", "+-", "-?", "--")
    for stage, n_tokens in enumerate((2, 4, 6)):
        (asked,) = climb(recipe, step, answers)
        assert (asked.item.question_ix, asked.first) == (0, 2 + 2 * stage)
        assert asked.prompt_ids_G == ((1, *[9] * n_tokens),) * 2 and asked.assistance_G == (Assistance.hint,) * 2
        answers = answers.joined(answers_of("--"))
    assert climb(recipe, step, answers) == []


def test_the_last_attempts_take_the_place_of_those_before() -> None:
    """Question 0: all wrong, then +- with help. Its first two count nowhere: the batch has four answers."""
    answers = answers_of("--", "+-").joined(replace(answers_of("+-"), assistance_QG=[[Assistance.hint] * 2]))
    update = one(recipe_of("ghpo", *PLAIN).updates(open_step([demo(0)]), answers))
    rl = part(update, "rl")
    assert [s.attempt for s in rl.sequences] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert rl.terms[0].denominator == 4  # of one token each
    assert answers.counts.rows() == [(0, 0, 2, 2), (1, 1, 2, 2)]


def test_a_branched_question_in_a_run(tmp_path: Path) -> None:
    """Question 0 is right with help alone: three attempts, three more with a start; the attempts are numbered on."""
    rollout = {"questions_per_step": 4, "attempts_per_question": 3, "max_tokens": 50}
    values = {"recipe": "bread", "steps": 1, "rollout": rollout}
    run = scripted_run(tmp_path / "run", values, with_demo=[0], engine=RightWithHelp(items(4), lambda ix, version: 1))
    attempts = finished(run).read("attempts", origin="rollout")
    own = attempts[attempts["question_ix"] == 0]
    assert own["attempt"].tolist() == [0, 1, 2, 3, 4, 5] and own["round"].tolist() == [0] * 3 + [1] * 3
    assert own["assistance"].tolist() == ["none"] * 3 + ["prefix"] * 3
    assert len(set(own["seed"])) == 6


# ---- Prefix-RFT ------------------------------------------------------------------------------------------------


def with_given(answers: Answers, given: tuple[int, ...]) -> Answers:
    """Let the last attempt at question 0 be one that continued these tokens."""
    row = [*answers.prompt_ids_QG[0][:-1], (*answers.prompt_ids_QG[0][-1], *given)]
    return replace(
        answers,
        prompt_ids_QG=[row],
        given_ids_QG=[[()] * (len(row) - 1) + [given]],
        assistance_QG=[[Assistance.none] * (len(row) - 1) + [Assistance.prefix]],
    )


def test_the_start_is_trained_on_in_one_group_with_the_rest() -> None:
    """-+ with three tokens before the second: mean 1/2 over both; 2 and 3 + 2 tokens."""
    answers = with_given(answers_of("-+", lengths=[[2, 2]]), (7, 8, 9))
    update = one(recipe_of("prefix_rft", *PLAIN).updates(open_step([demo(0)], {100: -0.25}), answers))
    first, second = part(update, "rl").sequences
    assert advantages(part(update, "rl")) == [-0.5, 0.5]
    assert second.prompt_ids == (100,) and second.completion_ids_T.tolist() == [7, 8, 9, 7, 7]
    assert second.columns["given"].tolist() == [1, 1, 1, 0, 0] and first.columns["given"].tolist() == [0, 0]
    # Nobody sampled the start: its sampler's log-probability is the learner's, so no gap is recorded for it.
    assert second.columns["sampler"].tolist() == [-0.25] * 3 + [-1.0] * 2
    (term, *_) = part(update, "rl").terms
    assert term.denominator == pytest.approx(2 * 8192)


def test_the_top_of_the_entropy_of_each_start() -> None:
    """Shares of .2 and .5 of 5 given tokens keep 1 and 3 (5 - floor(5 x .8), 5 - floor(5 x .5)); a sequence of
    nothing but its own words keeps none."""
    given = torch.tensor([1, 1, 1, 1, 1, 0, 0, 0], dtype=torch.bool)
    x = torch.tensor([0.3, 0.9, 0.1, 0.9, 0.2, 5.0, 6.0, 7.0])
    sequences = [TrainSequence((1,), np.zeros(n, np.int32)) for n in (6, 2)]
    view = View(sequences, torch.tensor([6, 2]), x, x)
    assert view.by_sequence_top(x, given, 0.2).nonzero().flatten().tolist() == [1]  # the earlier of two equal ones
    assert view.by_sequence_top(x, given, 0.5).nonzero().flatten().tolist() == [0, 1, 3]
    assert view.by_sequence_top(x, given, 1.0).tolist() == given.tolist()


# ---- the policy as its own teacher -----------------------------------------------------------------------------


def test_sdpo_weighs_every_answer_that_has_a_right_sibling() -> None:
    """+-: the wrong one sees the right one; the right one has no other. ++: each sees the other. --: none, and none
    counts. The solution's tokens stand in the prompt, its log-probabilities are -.1 there."""
    answers = answers_of("+-", "++", "--", lengths=[[1, 2], [3, 4], [5, 6]])
    update = one(recipe_of("sdpo", *PLAIN).updates(open_step(scores={2: -0.1}), answers))
    rl = part(update, "rl")
    assert [s.attempt for s in rl.sequences] == [(0, 1), (1, 0), (1, 1)]
    assert rl.terms[1].loss.name == "self_distillation" and rl.terms[1].denominator == 2 + 3 + 4
    np.testing.assert_allclose([s.columns["teacher"][0] for s in rl.sequences], -0.1, rtol=1e-6)
    assert advantages(rl) == [0, 0, 0]


def test_srpo_sends_each_answer_one_way() -> None:
    """+-: the right one learns from rewards, the wrong one from what the policy that saw the other says of it. --:
    nothing. All four count in both averages."""
    update = one(recipe_of("srpo", *PLAIN).updates(open_step(scores={2: -0.1}), answers_of("+-", "--")))
    rl = part(update, "rl")
    a = 0.5 / (0.5**0.5 + 1e-6)
    np.testing.assert_allclose(advantages(rl), [a, 0, 0, 0], rtol=1e-6)
    rewards, teacher = rl.terms
    assert teacher.per_token_S is not None and teacher.per_token_S.tolist() == [0, 1, 0, 0]
    assert rewards.denominator == teacher.denominator == 4
    np.testing.assert_allclose([s.columns["teacher"][0] for s in rl.sequences], [0, -0.1, 0, 0], rtol=1e-6)


def test_kdrl_mask_weighs_wrong_answers_alone() -> None:
    recipe = recipe_of("kdrl", *PLAIN, "teacher.answers=wrong")
    rl = part(one(recipe.updates(open_step(), answers_of("+-", "?-"))), "rl")
    assert [s.attempt for s in rl.sequences] == [(0, 0), (0, 1), (1, 1)]
    assert rl.terms[1].per_token_S is not None and rl.terms[1].per_token_S.tolist() == [0, 1, 1]


def test_hdpo_asks_once_more_with_the_solution_and_learns_the_right_ones() -> None:
    """Question 0 was all wrong: two attempts with its demonstration of 3 tokens; the right one, of 4 tokens, is trained
    on behind the question's own prompt, at log-probability -.1 with the solution before it. RL sees the first ones."""
    step, recipe = (
        open_step([demo(0), demo(1)], {2: -0.1}),
        recipe_of("hdpo", "rollout.attempts_per_question=2", *PLAIN),
    )
    answers = answers_of("--", "+-")
    (asked,) = recipe.again(step, answers)
    assert asked.assistance_G == (Assistance.privileged,) * 2 and asked.first == 2 and asked.is_check
    assert asked.prompt_ids_G == ((2, 9, 9, 9),) * 2
    more = replace(
        answers_of("-+", lengths=[[1, 4]]),
        prompt_ids_QG=[asked.prompt_ids_G],
        assistance_QG=[asked.assistance_G],
        surplus=frozenset({0}),
    )
    answers = answers.joined(more)
    assert answers.surplus == {2} and recipe.again(step, answers) == []
    update = one(recipe.updates(step, answers))
    rl, taught = update.components
    assert [s.attempt for s in rl.sequences] == [(1, 0), (1, 1)] and rl.terms[0].denominator == 4
    (sequence,) = taught.sequences
    assert sequence.attempt == (2, 1) and sequence.prompt_ids == (100,) and len(sequence.completion_ids_T) == 4
    np.testing.assert_allclose(sequence.columns["teacher"], [-0.1] * 4, rtol=1e-6)
    (term,) = taught.terms
    assert (term.loss.name, term.denominator) == ("jensen_shannon", 4)


def test_an_undecided_group_is_not_all_wrong() -> None:
    step = open_step([demo(0)])
    assert recipe_of("hdpo").again(step, answers_of("-?")) == []
    assert recipe_of("hdpo").again(step_of(demos=[]), answers_of("--")) == []  # no demonstration


# ---- schedules -------------------------------------------------------------------------------------------------


def test_schedules_by_hand() -> None:
    """Five steps from 1 to 0: a line; a half cosine; at once at the end."""
    found = {
        shape: [schedule(1.0, 0.0, shape=shape, length=4)(k) for k in range(1, 7)]  # type: ignore[arg-type]
        for shape in ("linear", "cosine", "step")
    }
    np.testing.assert_allclose(found["linear"], [1, 0.75, 0.5, 0.25, 0, 0], rtol=1e-15)
    np.testing.assert_allclose(found["cosine"], [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 0, 0], rtol=0, atol=1e-15)
    assert found["step"] == [1, 1, 1, 1, 0, 0]
