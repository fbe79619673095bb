"""Turn graded answers into updates: advantages, counts, mini-batches, and what is left out."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relift.config import BufferConfig
from relift.engines.tokens import Completion
from relift.errors import InputError
from relift.grading import Judgement
from relift.learner.losses import LOSSES
from relift.learner.update import Component, TrainSequence, Update
from relift.schema import Assistance, Finish, UpdateKind, Verdict
from relift.trainer.advantages import ADVANTAGES
from relift.trainer.answers import Answers
from relift.trainer.components import fine_tune, reinforce
from relift.trainer.configuration import load_config
from relift.trainer.demos import Demo, DemoBuffer
from relift.trainer.norms import NORMS, Counts
from relift.trainer.recipe import Demonstrations, Recipe
from relift.trainer.recipes import RECIPES, build
from relift.trainer.step import Step

LETTERS = {"+": Verdict.correct, "-": Verdict.wrong, "?": Verdict.undecided}


def answers_of(*groups: str, lengths: list[list[int]] | None = None) -> Answers:
    """One group of attempts a word: + correct, - wrong, ? undecided; 1 token each unless `lengths` [Q][G] says."""
    lengths = lengths or [[1] * len(g) for g in groups]
    return Answers(
        question_ix_Q=np.arange(len(groups), dtype=np.int32),
        prompt_ids_QG=[[(100 + q,)] * len(g) for q, g in enumerate(groups)],
        completions_QG=[
            [Completion(np.full(n, 7, np.int32), np.full(n, -1.0, np.float32), Finish.stop, None, 0) for n in row]
            for row in lengths
        ],
        judgements_QG=[[Judgement(LETTERS[letter], "rule") for letter in g] for g in groups],
        texts_QG=[["x"] * len(g) for g in groups],
        version=0,
        assistance_QG=[[Assistance.none] * len(g) for g in groups],
    )


def recipe_of(name: str, *overrides: str) -> Recipe:
    return build(load_config("relift", overrides=["sft.phase_steps=2", f"recipe={name}", *overrides]))


def step_of(*, demos: list[Demo] | None = None, scores: dict[int, float] | None = None) -> Step:
    """Step 1. Scores are -.5 a token, or `scores[prompt]` of the sequence's only prompt token."""

    def score(sequences: Any, temperature: float) -> list[np.ndarray]:
        values = scores or {}
        return [np.full(len(s.completion_ids_T), values.get(s.prompt_ids[0], -0.5), np.float32) for s in sequences]

    def none(k: int) -> Any:
        raise AssertionError("no recipe's updates ask for that here")

    buffer = DemoBuffer(BufferConfig(), demos or [], batch=2, seed=0)
    return Step(1, buffer, none, none, score, score, score, none, none, forget_moments=none, item=none)  # type: ignore[arg-type]


def updates_of(recipe: Recipe, answers: Answers, step: Step | None = None) -> list[Update]:
    assert recipe.rl is not None
    return list(reinforce(recipe.rl, step or step_of(), answers))


def advantages(reward_QG: np.ndarray, decided_QG: np.ndarray, *, kind: str) -> np.ndarray:
    return ADVANTAGES[kind](reward_QG, decided_QG)


def demo(ix: int, n_tokens: int = 3) -> Demo:
    return Demo(f"demo {ix}", ix, (100 + ix,), np.full(n_tokens, 9, np.int32))


# ---- advantages ------------------------------------------------------------------------------------------------


def test_advantage_mean() -> None:
    """+++-: mean .75, so .25 for each correct one and -.75; the other group's mean is .5."""
    answers = answers_of("+++-", "+-+-")
    got = advantages(answers.reward_QG, answers.decided_QG, kind="mean")
    assert got.tolist() == [[0.25, 0.25, 0.25, -0.75], [0.5, -0.5, 0.5, -0.5]]


def test_advantage_std() -> None:
    """+++-: squares 3 * .0625 + .5625 = .75 over ddof 1: 3, so std = .5; epsilon 1e-6 beside it."""
    answers = answers_of("+++-")
    got = advantages(answers.reward_QG, answers.decided_QG, kind="std")
    np.testing.assert_allclose(got, [[0.25 / 0.500001] * 3 + [-0.75 / 0.500001]], rtol=1e-15)


def test_advantage_over_mean_and_leave_one_out() -> None:
    """+++-: mean .75, so .25/.75 and -1. Without itself: a correct one sees 2/3, the wrong one 1."""
    answers = answers_of("+++-", "----")
    got = advantages(answers.reward_QG, answers.decided_QG, kind="over_mean")
    np.testing.assert_allclose(got, [[1 / 3, 1 / 3, 1 / 3, -1], [0, 0, 0, 0]], rtol=1e-15)
    got = advantages(answers.reward_QG, answers.decided_QG, kind="leave_one_out")
    np.testing.assert_allclose(got, [[1 / 3, 1 / 3, 1 / 3, -1], [0, 0, 0, 0]], rtol=1e-15)


def test_undecided_leaves_the_group() -> None:
    """+-?? is +- with two attempts that were never made: mean .5, std (ddof 1) sqrt(.5)."""
    answers = answers_of("+-??", "?+?-")
    assert advantages(answers.reward_QG, answers.decided_QG, kind="mean").tolist() == [
        [0.5, -0.5, 0.0, 0.0],
        [0.0, 0.5, 0.0, -0.5],
    ]
    std = advantages(answers.reward_QG, answers.decided_QG, kind="std")[0, 0]
    assert std == pytest.approx(0.5 / (0.5**0.5 + 1e-6), rel=1e-15)


@pytest.mark.parametrize("kind", ADVANTAGES)
@pytest.mark.parametrize("group", ["++++", "----", "+???", "????", "?-?-"])
def test_no_signal_is_exactly_zero(group: str, kind: str) -> None:
    answers = answers_of(group)
    assert not advantages(answers.reward_QG, answers.decided_QG, kind=kind).any()


@pytest.mark.parametrize("kind", ADVANTAGES)
def test_group_of_one_is_zero(kind: str) -> None:
    assert advantages(np.array([[1.0]]), np.array([[True]]), kind=kind).tolist() == [[0.0]]


@pytest.mark.parametrize("kind", ADVANTAGES)
def test_equal_rewards_are_zero_though_their_mean_rounds(kind: str) -> None:
    reward_QG = np.full((1, 3), 0.1)  # .1 + .1 + .1 = .30000000000000004, and a third of that is not .1
    assert reward_QG.sum() / 3 != 0.1
    assert not advantages(reward_QG, np.ones((1, 3), bool), kind=kind).any()


def test_the_reward_of_an_undecided_attempt_is_not_looked_at() -> None:
    reward_QG = np.array([[1.0, 0.0, np.nan]])
    got = advantages(reward_QG, np.array([[True, True, False]]), kind="std")
    assert np.isfinite(got).all() and got[0, 2] == 0


rewards = st.integers(-2000, 2000).map(lambda n: n / 1000)


@settings(deadline=None, max_examples=200)
@given(
    rows=st.integers(1, 9).flatmap(
        lambda g: st.lists(st.lists(st.tuples(rewards, st.booleans()), min_size=g, max_size=g), min_size=1, max_size=4)
    ),
    kind=st.sampled_from(["mean", "std", "leave_one_out"]),
)
def test_advantages_are_finite_and_sum_to_zero(rows: list[list[tuple[float, bool]]], kind: str) -> None:
    """Rounding of a mean is below 1e-15; beside a standard deviation of at least 0.0005/3 that stays below 1e-10."""
    reward_QG = np.array([[r for r, _ in row] for row in rows])
    decided_QG = np.array([[d for _, d in row] for row in rows])
    got = advantages(reward_QG, decided_QG, kind=kind)
    assert np.isfinite(got).all()
    assert not got[~decided_QG].any()
    assert (np.abs(got.sum(axis=1)) < 1e-9).all()
    for reward_G, decided_G, got_G in zip(reward_QG, decided_QG, got, strict=True):
        if decided_G.any():  # what was not decided changes nothing
            alone = advantages(reward_G[decided_G][None], np.ones((1, decided_G.sum()), bool), kind=kind)
            np.testing.assert_allclose(got_G[decided_G], alone[0], atol=1e-9)


@given(st.lists(st.floats(allow_nan=False, min_value=-1e150, max_value=1e150), min_size=1, max_size=9))
@settings(deadline=None)
def test_advantages_of_any_rewards_are_finite(reward_G: list[float]) -> None:
    for kind in ("mean", "std"):
        assert np.isfinite(advantages(np.array([reward_G]), np.ones((1, len(reward_G)), bool), kind=kind)).all()


# ---- denominators ----------------------------------------------------------------------------------------------


COUNTS = Counts(np.array([3, 5, 10, 20]), np.array([0, 0, 1, 1]), n_questions=4, max_tokens=50)
SHARES: dict[str, list[float]] = {  # what a token of each sequence counts
    "tokens": [1 / 38] * 4,
    "sequences": [1 / (4 * 3), 1 / (4 * 5), 1 / (4 * 10), 1 / (4 * 20)],
    "max_tokens": [1 / (4 * 50)] * 4,
    "group_tokens": [1 / (2 * 8)] * 2 + [1 / (2 * 30)] * 2,
    "questions": [1 / (4 * 2 * 3), 1 / (4 * 2 * 5), 1 / (4 * 2 * 10), 1 / (4 * 2 * 20)],
    "questions_max_tokens": [1 / (4 * 2 * 50)] * 4,
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_by_hand(name: str) -> None:
    denominator, per_token_S = NORMS[name](COUNTS)
    np.testing.assert_allclose((np.ones(4) if per_token_S is None else per_token_S) / denominator, SHARES[name])
    assert NORMS[name](Counts(np.zeros(0, int), np.zeros(0, int), 0, 50))[0] == 1.0  # of nothing: the sum is 0


def share_of(update: Update, name: str = "rl") -> list[float]:
    """Give what a token of each sequence that is trained on counts, the scale included."""
    (component,) = (c for c in update.components if c.name == name)
    (term,) = component.terms
    per_token_S = np.ones(len(component.sequences)) if term.per_token_S is None else term.per_token_S
    assert len(per_token_S) == len(component.sequences)
    return (term.scale * per_token_S / term.denominator).tolist()


MIXED = ("+-", "++", "-?")  # signal; flat; one decided attempt, so flat too
LENGTHS = [[3, 5], [10, 20], [100, 1000]]


@pytest.mark.parametrize(
    ("recipe", "shares"),
    [
        ("relift", [1 / 138] * 2),  # 3 + 5 + 10 + 20 + 100 tokens: flat groups count, the undecided 1000 do not
        ("grpo", [1 / (5 * 3), 1 / (5 * 5)]),  # five sequences
        ("drgrpo", [1 / (5 * 8192)] * 2),
        ("dapo", [1 / 8] * 2),  # flat groups are dropped before counting: 3 + 5
        ("sft_rl", [1 / 138] * 2),
        ("hpt", [1 / (3 * 2 * 8192)] * 2),  # three questions, two attempts
    ],
)
def test_what_a_token_counts(recipe: str, shares: list[float]) -> None:
    made = recipe_of(recipe, "rl.updates_per_batch=1", "rl.entropy_weight=0.0")
    (update,) = updates_of(made, answers_of(*MIXED, lengths=LENGTHS))
    (component,) = update.components
    np.testing.assert_allclose(share_of(update), shares, rtol=1e-15)
    assert [s.attempt for s in component.sequences] == [(0, 0), (0, 1)]  # no forward pass without signal
    assert (update.kind, update.optimizer) == (UpdateKind.rl, "rl")


def test_an_entropy_bonus_needs_every_decided_attempt() -> None:
    recipe = recipe_of("relift", "rl.updates_per_batch=1", "rl.entropy_weight=0.001")
    (update,) = updates_of(recipe, answers_of(*MIXED, lengths=LENGTHS))
    assert [s.attempt for s in update.components[0].sequences] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert share_of(update) == [1 / 138] * 5


@pytest.mark.parametrize("recipe", ["grpo", "relift"])
def test_nothing_to_learn_is_an_empty_update(recipe: str) -> None:
    """A denominator of 0 would be NaN; with nothing in the sum any positive one gives exactly 0."""
    (update,) = updates_of(recipe_of(recipe, "rl.updates_per_batch=1"), answers_of("????", "????"))
    assert update.components[0].sequences == () and update.components[0].terms[0].denominator == 1.0


def test_dapo_makes_no_step_of_flat_groups_alone() -> None:
    """The first of two mini-batches has nothing to teach."""
    assert updates_of(recipe_of("dapo", "rl.updates_per_batch=1"), answers_of("++", "--", "??")) == []
    (update,) = updates_of(recipe_of("dapo", "rl.updates_per_batch=2"), answers_of("++", "--", "+-", "++"))
    assert [s.attempt for s in update.components[0].sequences] == [(2, 0), (2, 1)]


def test_a_sequence_is_its_attempt() -> None:
    answers = answers_of("+-", lengths=[[3, 5]])
    (update,) = updates_of(recipe_of("relift", "rl.updates_per_batch=1"), answers)
    first, second = update.components[0].sequences
    assert first.prompt_ids == (100,) and first.completion_ids_T is answers.completions_QG[0][0].token_ids_T
    assert first.columns["sampler"] is answers.completions_QG[0][0].logprobs_T
    assert first.columns["advantage"].tolist() == [0.5] * 3 and second.columns["advantage"].tolist() == [-0.5] * 5
    assert (
        "old" not in first.columns and update.components[0].temperature == 1.0
    )  # the first step on its batch: the ratio is 1


def test_a_kl_to_the_base_is_a_second_term() -> None:
    """It needs every decided attempt, flat groups too."""
    recipe = recipe_of("grpo", "rl.updates_per_batch=1", "rl.kl_weight=0.04", "rollout.temperature=0.6")
    (update,) = updates_of(recipe, answers_of("+-", "++"), step_of(scores={100: -0.7, 101: -0.9}))
    (component,) = update.components
    assert [t.loss.name for t in component.terms] == ["ppo_clip", "k3_kl"]
    assert [s.columns["reference"].tolist() for s in component.sequences] == [[-np.float32(0.7)]] * 2 + [
        [-np.float32(0.9)]
    ] * 2
    assert component.temperature == 0.6


def distilled(name: str, *overrides: str, step: int = 1) -> Component:
    """The component of one update on a mixed group and a flat one, the teacher half a nat above the policy of -1."""
    recipe = recipe_of(name, "rl.updates_per_batch=1", *overrides)
    asked = replace(step_of(scores={100: -0.5, 101: -0.25}), number=step)
    (update,) = recipe.updates(asked, answers_of("+-", "++"))
    (component,) = update.components
    return component


def test_distillation_weighs_every_answer_by_its_teacher_and_none_by_its_reward() -> None:
    """Groups of equal rewards too: four answers of one token, 1/4 each."""
    component = distilled("opd", "rollout.temperature=0.6")
    assert [t.loss.name for t in component.terms] == ["ratio", "distillation"]
    assert [t.denominator for t in component.terms] == [4.0, 4.0] and component.temperature == 0.6
    assert [s.columns["teacher"].tolist() for s in component.sequences] == [[-0.5]] * 2 + [[-0.25]] * 2
    assert {s.columns["advantage"].tolist()[0] for s in component.sequences} == {0.0}


def test_distillation_ends_where_rl_begins() -> None:
    """teacher.steps = 60: step 60 distills, step 61 has rewards alone, and leaves the flat group out."""
    before, after = distilled("opd_rl", step=60), distilled("opd_rl", step=61)
    assert [t.loss.name for t in before.terms] == ["ppo_clip", "distillation"] and len(before.sequences) == 4
    assert {s.columns["advantage"].tolist()[0] for s in before.sequences} == {0.0}
    assert [t.loss.name for t in after.terms] == ["ppo_clip"] and len(after.sequences) == 2
    assert "teacher" not in after.sequences[0].columns


@pytest.mark.parametrize(("step", "weight"), [(1, 0.2), (51, 0.101), (101, 0.002)])
def test_kdrl_has_both_and_its_teacher_fades(step: int, weight: float) -> None:
    """Over 101 steps beta falls from .2 to .002 on a straight line; a teacher .5 below: c = A - .5 beta at ratio 1."""
    component = distilled("kdrl", "steps=101", step=step)
    assert [s.columns["advantage"].tolist()[0] > 0 for s in component.sequences] == [True, False, False, False]
    view = SimpleNamespace(logprob=np.zeros(1), old=np.zeros(1), column=lambda name: np.full(1, -0.5))
    assert component.terms[1].loss.coefficient(np, view).tolist() == pytest.approx([-0.5 * weight])


# ---- several updates on one batch ------------------------------------------------------------------------------


def test_updates_per_batch_split_the_questions_in_order() -> None:
    """Four questions in two mini-batches: 1 + 2 and 3 + 4 tokens a pair, each with its own denominator."""
    answers = answers_of("+-", "+-", "+-", "+-", lengths=[[1, 1], [2, 2], [3, 3], [4, 4]])
    step = step_of(scores={100 + q: -0.1 * q for q in range(4)})
    first, second = updates_of(recipe_of("relift", "rl.updates_per_batch=2"), answers, step)
    assert [s.attempt for s in first.components[0].sequences] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [s.attempt for s in second.components[0].sequences] == [(2, 0), (2, 1), (3, 0), (3, 1)]
    assert share_of(first) == [1 / 6] * 4 and share_of(second) == [1 / 14] * 4
    for sequence in (*first.components[0].sequences, *second.components[0].sequences):
        assert sequence.attempt is not None
        assert set(sequence.columns["old"].tolist()) == {np.float32(-0.1 * sequence.attempt[0])}


# ---- demonstrations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "shares"), [("tokens", [1 / 12] * 2), ("sequences", [1 / (2 * 3), 1 / (2 * 9)])])
def test_fine_tuning_update(norm: str, shares: list[float]) -> None:
    overrides = ("sft.loss_scale=0.5", "sft.entropy_weight=0.01", "rollout.temperature=0.6")
    part = recipe_of("relift", f"sft.denominator={norm}", *overrides).sft
    assert part is not None
    update = fine_tune(part, [demo(0, 3), demo(4, 9)])
    (component,) = update.components
    assert (update.kind, update.optimizer, component.name) == (UpdateKind.sft, "sft", "demo")
    np.testing.assert_allclose(share_of(update, "demo"), 0.5 * np.array(shares), rtol=1e-15)
    assert component.terms[0].entropy_weight == 0.01
    assert component.temperature == 1.0  # whatever rollouts are sampled at
    assert [(s.prompt_ids, len(s.completion_ids_T), s.attempt) for s in component.sequences] == [
        ((100,), 3, None),
        ((104,), 9, None),
    ]


def mixed(*groups: str, demos: list[int], updates_per_batch: int = 1) -> list[Update]:
    """HPT's updates where the questions in `demos` have a demonstration of 3 tokens."""
    overrides = (f"rl.updates_per_batch={updates_per_batch}", "rl.entropy_weight=0.0")
    recipe = recipe_of("hpt", *overrides)
    return list(recipe.updates(step_of(demos=[demo(ix) for ix in demos]), answers_of(*groups)))


def attempts(sequences: tuple[TrainSequence, ...]) -> list[tuple[int, int] | None]:
    return [s.attempt for s in sequences]


def test_hpt_replaces_the_rollouts_of_a_gated_question() -> None:
    """Questions 0 and 2 by RL, question 1 by its demonstration of 3 tokens; one optimizer."""
    (update,) = mixed("+-", "--", "-+", demos=[0, 1, 2])
    assert (update.kind, update.optimizer) == (UpdateKind.mixed, "rl")
    rl, sft = update.components
    assert attempts(rl.sequences) == [(0, 0), (0, 1), (2, 0), (2, 1)]
    np.testing.assert_allclose(share_of(update), [1 / (3 * 2 * 8192)] * 4, rtol=1e-15)
    assert attempts(sft.sequences) == [None] and sft.sequences[0].prompt_ids == (101,)
    np.testing.assert_allclose(share_of(update, "demo"), [1 / 8 / (3 * 3)], rtol=1e-15)  # w/8, 3 questions, 3 tokens


@pytest.mark.parametrize("gated", [1, 8, 32, 63])
def test_hpts_demonstrations_weigh_as_many_as_they_are(gated: int) -> None:
    """64 questions of 8 attempts: a token of a demonstration of 4,000 against one of a rollout at A = 1. In the
    authors' code 1/4000 against 1/8192 while it is alone in its micro-batch: 2.048, however many are gated."""
    groups = ["--------"] * gated + ["+-------"] * (64 - gated)
    recipe = recipe_of("hpt", "rl.updates_per_batch=1", "rl.entropy_weight=0.0")
    step = step_of(demos=[demo(ix, 4000) for ix in range(gated)])
    (update,) = recipe.updates(step, answers_of(*groups))
    demos, rollouts = share_of(update, "demo"), share_of(update)
    assert len(demos) == gated and len(rollouts) == 8 * (64 - gated)
    np.testing.assert_allclose(np.array(demos) / rollouts[0], 8192 / 4000, rtol=1e-12)
    np.testing.assert_allclose(sum(demos) * 4000, gated / 64 / 8, rtol=1e-12)  # proportional to the gated questions


def test_hpt_kinds() -> None:
    assert [u.kind for u in mixed("+-", "-+", demos=[])] == [UpdateKind.rl]
    assert [u.kind for u in mixed("--", "--", demos=[0, 1])] == [UpdateKind.sft]
    both = mixed("--", "-+", demos=[0], updates_per_batch=2)
    assert [(u.kind, u.optimizer) for u in both] == [(UpdateKind.sft, "rl"), (UpdateKind.rl, "rl")]


def test_hpt_trains_an_all_wrong_question_without_a_demonstration_by_rl() -> None:
    (update,) = mixed("--", "-+", demos=[])
    assert attempts(update.components[0].sequences) == [(1, 0), (1, 1)]
    np.testing.assert_allclose(share_of(update), [1 / (2 * 2 * 8192)] * 2, rtol=1e-15)  # it counts


# ---- assistance ------------------------------------------------------------------------------------------------

kinds_of_help = st.sampled_from([a for a in Assistance if a is not Assistance.none])


@settings(deadline=None, max_examples=100)
@given(
    own=st.lists(st.text("+-?", min_size=2, max_size=2), min_size=1, max_size=5),
    helped=st.text("+-?", min_size=1, max_size=4),
    kind=kinds_of_help,
    recipe=st.sampled_from(["relift", "hpt", "prefix_rl", "hint_rl"]),  # those with a gate
)
def test_assisted_attempts_change_no_count_and_no_gate(
    own: list[str], helped: str, kind: Assistance, recipe: str
) -> None:
    """The same questions with further attempts that were given help: counts, accuracy and the buffer are the same."""
    alone = answers_of(*own)
    more = answers_of(*[g + helped for g in own])
    given_QG = [[Assistance.none] * 2 + [kind] * len(helped)] * len(own)
    more = replace(more, assistance_QG=given_QG)
    for name in ("n_correct_Q", "n_decided_Q", "n_attempts_Q"):
        np.testing.assert_array_equal(getattr(more.counts, name), getattr(alone.counts, name))
    assert more.accuracy_of(len(own)) == alone.accuracy_of(len(own))
    made = recipe_of(recipe)
    events = []
    for answers in (alone, more):
        step = step_of(demos=[demo(ix) for ix in range(len(own))])
        demos = [s.demo_id for u in made.updates(step, answers) for c in u.components for s in c.sequences if s.demo_id]
        events.append((demos, step.buffer.entries, step.buffer.take_events()))
    assert events[0] == events[1]


SAMPLING = [name for name, method in RECIPES.items() if method.demonstrations is not Demonstrations.stream]


def helpful_step(n: int) -> Step:
    """Step 1 with a demonstration for each of n questions, in which everything can be asked for."""
    step = step_of(demos=[demo(ix) for ix in range(n)])
    item = SimpleNamespace(prompt_ids=(100,))
    shown = {"hinted": lambda item, given: (1, *given), "privileged": lambda item, given: (2, *given)}
    return replace(step, demonstrations=lambda k: [demo(0)], item=lambda ix: item, **shown)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=15)
@given(
    own=st.lists(st.text("+-?", min_size=2, max_size=2), min_size=1, max_size=4),
    helped=st.tuples(st.text("+-?", min_size=3, max_size=3), st.text("+-?", min_size=3, max_size=3)),
    kind=kinds_of_help,
)
@pytest.mark.parametrize("name", SAMPLING)
def test_verdicts_of_assisted_attempts_change_no_gate(
    name: str, own: list[str], helped: tuple[str, str], kind: Assistance
) -> None:
    """Over all recipes that sample: whatever three attempts with help come to, the same questions wait."""
    seen = []
    for verdicts in helped:
        answers = replace(
            answers_of(*[g + verdicts for g in own]), assistance_QG=[[Assistance.none] * 2 + [kind] * 3] * len(own)
        )
        step = helpful_step(len(own))
        list(recipe_of(name).updates(step, answers))
        waits = [
            e for e in step.buffer.take_events() if e.event != "train" or RECIPES[name].demonstrations == "at_once"
        ]
        seen.append((answers.counts.rows(), answers.accuracy_of(len(own)), step.buffer.entries, waits))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("name", SAMPLING)
def test_answers_without_a_token_are_worth_exactly_nothing(name: str) -> None:
    """Every average exists, and no token has a share: no division by 0, over all recipes."""
    answers = answers_of("+-", "--", lengths=[[0, 0], [0, 0]])
    for update in recipe_of(name).updates(helpful_step(2), answers):
        for component in (c for c in update.components if c.name == "rl"):
            assert sum(len(s.completion_ids_T) for s in component.sequences) == 0
            for term in component.terms:
                assert 0 < term.denominator < math.inf
                assert term.per_token_S is None or np.isfinite(term.per_token_S).all()


def test_a_question_with_help_in_every_attempt_is_not_in_the_counts() -> None:
    answers = replace(answers_of("--"), assistance_QG=[[Assistance.hint] * 2])
    assert answers.counts.rows() == [] and answers.accuracy_of(1) is None


# ---- phases and optimizers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "use", "optimizers", "sft_steps"),
    [
        ("sft", Demonstrations.stream, ("sft",), math.inf),
        ("sft_rl", Demonstrations.stream, ("rl", "sft"), 2),  # phase_steps = 2
        ("grpo", Demonstrations.never, ("rl",), 0),
        ("drgrpo", Demonstrations.never, ("rl",), 0),
        ("dapo", Demonstrations.never, ("rl",), 0),
        ("frozen", Demonstrations.never, ("rl",), 0),
        ("relift", Demonstrations.buffered, ("rl", "sft"), 0),
        ("hpt", Demonstrations.at_once, ("rl",), 0),
        ("gspo", Demonstrations.never, ("rl",), 0),
        ("cispo", Demonstrations.never, ("rl",), 0),
        ("dft", Demonstrations.stream, ("sft",), math.inf),
        ("luffy", Demonstrations.joined, ("rl",), 0),
        ("srft", Demonstrations.joined, ("rl",), 0),
        ("prefix_rl", Demonstrations.given, ("rl",), 0),
        ("hint_rl", Demonstrations.given, ("rl",), 0),
        ("chord", Demonstrations.beside, ("rl",), 0),
        ("opd", Demonstrations.never, ("rl",), 0),
        ("opd_rl", Demonstrations.never, ("rl",), 0),
        ("kdrl", Demonstrations.never, ("rl",), 0),
        ("prefix_rft", Demonstrations.given, ("rl",), 0),
        ("ghpo", Demonstrations.given, ("rl",), 0),
        ("bread", Demonstrations.given, ("rl",), 0),
        ("hdpo", Demonstrations.given, ("rl",), 0),
        ("sdpo", Demonstrations.never, ("rl",), 0),
        ("srpo", Demonstrations.never, ("rl",), 0),
    ],
)
def test_phases_and_optimizers(name: str, use: str, optimizers: tuple[str, ...], sft_steps: float) -> None:
    recipe = recipe_of(name)
    assert (recipe.name, recipe.method.demonstrations, recipe.optimizers) == (name, use, optimizers)
    assert recipe.sft_steps == sft_steps


def test_one_optimizer_may_take_both_parts() -> None:
    recipe = recipe_of("relift", "sft.moments=shared")
    assert recipe.sft is not None and recipe.sft.optimizer == "rl" and recipe.optimizers == ("rl",)
    alone = recipe_of("sft", "sft.moments=shared")
    assert alone.optimizers == ("sft",)  # there is no other to share


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_numbers_and_builds(name: str) -> None:
    recipe = recipe_of(name)
    assert RECIPES[name].defaults
    assert (recipe.rl is not None) == ("rl" in RECIPES[name].defaults)
    assert (recipe.sft is not None) == ("sft" in RECIPES[name].defaults)


@pytest.mark.parametrize(("section", "loss"), [(section, loss) for section, table in LOSSES.items() for loss in table])
def test_every_loss_can_be_named(section: str, loss: str) -> None:
    recipe = recipe_of("relift", f"{section}.loss={loss}", "rl.denominator=sequences", "rl.ratio_cap=5.0")
    part = recipe.rl if section == "rl" else recipe.sft
    assert part is not None and part.loss.name == loss


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["recipe=grop"], "no recipe 'grop'; nearest: grpo; known: sft, sft_rl, grpo"),
        (["rl.loss=ppo_clp"], 'rl.loss = "ppo_clp": unknown; nearest: ppo_clip; known: ppo_clip, ratio'),
        (["rl.advantage=anything"], 'rl.advantage = "anything": unknown; known: mean, std'),
        (["rl.denominator=token"], 'rl.denominator = "token": unknown; nearest: tokens'),
        (["sft.loss=ppo_clip"], 'sft.loss = "ppo_clip": unknown'),
        (["sft.denominator=means"], 'sft.denominator = "means": unknown'),
        (["rl.loss=gspo"], "set rl.denominator to sequences or questions"),
        (["rl.loss=cispo"], "needs rl.ratio_cap"),
        (["recipe=hint_rl", "prefix.attempts=8"], 'with prefix.questions = "waiting" at least one none'),
        (["recipe=prefix_rl", "prefix.attempts=9"], "prefix.attempts = 9: of 8 attempts"),
        (["recipe=prefix_rl", "prefix.final_low=0.8"], "prefix.final_low = 0.8: more than prefix.final_high = 0.75"),
        (["recipe=ghpo", "prefix.stages=[0.5, 0.25]"], "each is to be longer than the one before"),
        (["recipe=prefix_rl", "prefix.low=0.8"], "prefix.low = 0.8: more than prefix.high"),
        (["recipe=opd", "rl.drop_flat_groups=true"], "recipe opd trains on groups of equal rewards too"),
        (["recipe=luffy", "rollout.attempts_per_question=1"], "a demonstration takes the place of one attempt"),
        (["recipe=sft_rl", "sft.phase_steps=0"], "sft.phase_steps: recipe sft_rl needs at least one"),
        (["buffer.capacity=63"], "buffer.capacity = 63: less than sft.batch = 64"),
        (["sft.optimizer.schedule=cosine"], 'set sft.optimizer.over = "run", or sft.optimizer.total_steps'),
        (["rl.clip=false"], 'rl.clip has another name now: write rl.loss = "ratio"'),
        (["sft.mean=sequences"], 'sft.mean has another name now: write sft.denominator = "sequences"'),
    ],
)
def test_what_no_table_has_is_refused_in_one_line(overrides: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_config("relift", overrides=overrides)
    assert words in str(caught.value) and "\n" not in str(caught.value)
