"""How graded answers become updates: advantages, counts, mini-batches, and what is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relift.config import load_config
from relift.engines.tokens import Completion
from relift.grading import Judgement
from relift.learner.update import Counts, TrainSequence, Update
from relift.schema import Finish, UpdateKind, Verdict
from relift.trainer.answers import Answers
from relift.trainer.recipes import (
    RECIPES,
    Demo,
    Recipe,
    advantages,
    build,
    demo_update,
    mixed_updates,
    rl_updates,
    sequences,
    sequences_times_max,
    tokens,
)

LETTERS = {"+": Verdict.correct, "-": Verdict.wrong, "?": Verdict.undecided}


def answers_of(*groups: str, lengths: list[list[int]] | None = None) -> Answers:
    """One group of attempts a word: + correct, - wrong, ? undecided; 1 token each unless `lengths` [Q][G] says."""
    lengths = lengths or [[1] * len(g) for g in groups]
    return Answers(
        question_ix_Q=np.arange(len(groups), dtype=np.int32),
        prompt_ids_Q=[(100 + q,) for q in range(len(groups))],
        completions_QG=[
            [Completion(np.full(n, 7, np.int32), np.full(n, -1.0, np.float32), Finish.stop, None, 0) for n in row]
            for row in lengths
        ],
        judgements_QG=[[Judgement(LETTERS[letter], "rule") for letter in g] for g in groups],
        texts_QG=[["x"] * len(g) for g in groups],
        version=0,
    )


def recipe_of(name: str, *overrides: str) -> Recipe:
    return build(load_config("relift", overrides=["sft.phase_steps=2", f"recipe={name}", *overrides]))


def updates_of(recipe: Recipe, answers: Answers, old: Any = None) -> list[Update]:
    assert recipe.rl is not None
    advantage_QG = advantages(answers.reward_QG, answers.decided_QG, kind=recipe.rl.advantage)
    return list(rl_updates(recipe.rl, answers, advantage_QG, old))


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


def test_undecided_leaves_the_group() -> None:
    """+-?? is +- with two attempts that were never made: mean .5, std (ddof 1) sqrt(.5)."""
    answers = answers_of("+-??", "?+?-")
    assert advantages(answers.reward_QG, answers.decided_QG, kind="mean").tolist() == [
        [0.5, -0.5, 0.0, 0.0],
        [0.0, 0.5, 0.0, -0.5],
    ]
    std = advantages(answers.reward_QG, answers.decided_QG, kind="std")[0, 0]
    assert std == pytest.approx(0.5 / (0.5**0.5 + 1e-6), rel=1e-15)


@pytest.mark.parametrize("kind", ["mean", "std"])
@pytest.mark.parametrize("group", ["++++", "----", "+???", "????", "?-?-"])
def test_no_signal_is_exactly_zero(group: str, kind: str) -> None:
    answers = answers_of(group)
    assert not advantages(answers.reward_QG, answers.decided_QG, kind=kind).any()


@pytest.mark.parametrize("kind", ["mean", "std"])
def test_group_of_one_is_zero(kind: str) -> None:
    assert advantages(np.array([[1.0]]), np.array([[True]]), kind=kind).tolist() == [[0.0]]


@pytest.mark.parametrize("kind", ["mean", "std"])
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
    kind=st.sampled_from(["mean", "std"]),
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


def test_denominators_from_counts() -> None:
    counts = Counts(n_tokens=120, n_sequences=7, n_groups=2, max_tokens=50)
    assert (tokens(counts), sequences(counts), sequences_times_max(counts)) == (120.0, 7.0, 350.0)


MIXED = ("+-", "++", "-?")  # signal; flat; one decided attempt, so flat too
LENGTHS = [[3, 5], [10, 20], [100, 1000]]


@pytest.mark.parametrize(
    ("recipe", "denominator"),
    [
        ("relift", 138.0),  # 3 + 5 + 10 + 20 + 100 tokens: flat groups count, the undecided 1000 were never sampled
        ("grpo", 5.0),  # sequences
        ("drgrpo", 5 * 8192.0),  # sequences x L_max
        ("dapo", 8.0),  # flat groups are dropped before counting: 3 + 5
        ("sft_rl", 138.0),
        ("hpt", 5 * 8192.0),
    ],
)
def test_what_the_denominator_counts(recipe: str, denominator: float) -> None:
    (update,) = updates_of(recipe_of(recipe, "rl.updates_per_batch=1"), answers_of(*MIXED, lengths=LENGTHS))
    (component,) = update.components
    assert component.denominator == denominator
    assert [s.attempt for s in component.sequences] == [(0, 0), (0, 1)]  # no forward pass without signal
    assert (update.kind, update.optimizer) == (UpdateKind.rl, "rl")


def test_an_entropy_bonus_needs_every_decided_attempt() -> None:
    recipe = recipe_of("relift", "rl.updates_per_batch=1", "rl.entropy_weight=0.001")
    (update,) = updates_of(recipe, answers_of(*MIXED, lengths=LENGTHS))
    assert [s.attempt for s in update.components[0].sequences] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert update.components[0].denominator == 138.0


@pytest.mark.parametrize("recipe", ["dapo", "grpo", "relift"])
def test_nothing_to_learn_is_an_empty_update(recipe: str) -> None:
    """A denominator of 0 would be NaN; with nothing in the sum any positive one gives exactly 0."""
    (update,) = updates_of(recipe_of(recipe, "rl.updates_per_batch=1"), answers_of("????", "????"))
    assert update.components[0].sequences == () and update.components[0].denominator == 1.0


def test_a_sequence_is_its_attempt() -> None:
    answers = answers_of("+-", lengths=[[3, 5]])
    (update,) = updates_of(recipe_of("relift", "rl.updates_per_batch=1"), answers)
    first, second = update.components[0].sequences
    assert first.prompt_ids == (100,) and first.completion_ids_T is answers.completions_QG[0][0].token_ids_T
    assert first.sampler_logprobs_T is answers.completions_QG[0][0].logprobs_T
    assert (first.advantage, second.advantage) == (0.5, -0.5)
    assert first.old_logprobs_T is None  # the first step on its batch: the ratio is 1


@pytest.mark.parametrize(
    ("recipe", "loss", "per_sequence"),
    [
        ("grpo", "ppo_clip", True),
        ("drgrpo", "ppo_clip", False),
        ("dapo", "ppo_clip", False),
        ("relift", "ppo_clip", False),
        ("hpt", "ratio", False),
    ],
)
def test_loss_of_a_recipe(recipe: str, loss: str, per_sequence: bool) -> None:  # noqa: FBT001
    part = recipe_of(recipe).rl
    assert part is not None
    assert (part.loss.name, part.loss.per_sequence_mean) == (loss, per_sequence)


# ---- several updates on one batch ------------------------------------------------------------------------------


def test_updates_per_batch_split_the_questions_in_order() -> None:
    """Four questions in two mini-batches: 1 + 2 and 3 + 4 tokens a pair, each with its own denominator."""
    answers = answers_of("+-", "+-", "+-", "+-", lengths=[[1, 1], [2, 2], [3, 3], [4, 4]])
    old = {(q, g): np.full(n, -0.1 * q, np.float32) for q, n in enumerate((1, 2, 3, 4)) for g in (0, 1)}
    first, second = updates_of(recipe_of("relift", "rl.updates_per_batch=2"), answers, old)
    assert [s.attempt for s in first.components[0].sequences] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [s.attempt for s in second.components[0].sequences] == [(2, 0), (2, 1), (3, 0), (3, 1)]
    assert (first.components[0].denominator, second.components[0].denominator) == (6.0, 14.0)
    for sequence in (*first.components[0].sequences, *second.components[0].sequences):
        assert sequence.attempt is not None
        assert sequence.old_logprobs_T is old[sequence.attempt]


# ---- demonstrations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "denominator"), [("tokens", 12.0), ("sequences", 2.0)])
def test_fine_tuning_update(mean: str, denominator: float) -> None:
    part = recipe_of("relift", f"sft.mean={mean}", "sft.loss_scale=0.5", "sft.entropy_weight=0.01").demo
    assert part is not None
    update = demo_update(part, [demo(0, 3), demo(4, 9)])
    (component,) = update.components
    assert (update.kind, update.optimizer, component.name) == (UpdateKind.sft, "sft", "demo")
    assert (component.denominator, component.scale, component.entropy_weight) == (denominator, 0.5, 0.01)
    assert component.loss.per_sequence_mean == (mean == "sequences")
    assert [(s.prompt_ids, len(s.completion_ids_T), s.attempt) for s in component.sequences] == [
        ((100,), 3, None),
        ((104,), 9, None),
    ]


def mixed(*groups: str, demos: list[Demo | None], updates_per_batch: int = 1) -> list[Update]:
    recipe = recipe_of("hpt", f"rl.updates_per_batch={updates_per_batch}", "sft.loss_scale=0.3")
    answers = answers_of(*groups)
    advantage_QG = advantages(answers.reward_QG, answers.decided_QG, kind="mean")
    return list(mixed_updates(recipe, answers, advantage_QG, demos, None))


def attempts(sequences: tuple[TrainSequence, ...]) -> list[tuple[int, int] | None]:
    return [s.attempt for s in sequences]


def test_hpt_replaces_the_rollouts_of_a_gated_question() -> None:
    """Question 0 and 2 by RL (4 sequences x 8192), question 1 by its demonstration of 3 tokens; one optimizer."""
    (update,) = mixed("+-", "--", "-+", demos=[None, demo(1), None])
    assert (update.kind, update.optimizer) == (UpdateKind.mixed, "rl")
    rl, sft = update.components
    assert attempts(rl.sequences) == [(0, 0), (0, 1), (2, 0), (2, 1)]
    assert (rl.denominator, rl.scale) == (4 * 8192.0, 1.0)
    assert attempts(sft.sequences) == [None] and sft.sequences[0].prompt_ids == (101,)
    assert (sft.denominator, sft.scale) == (3.0, 0.3)


def test_hpt_kinds() -> None:
    assert [u.kind for u in mixed("+-", "-+", demos=[None, None])] == [UpdateKind.rl]
    assert [u.kind for u in mixed("--", "--", demos=[demo(0), demo(1)])] == [UpdateKind.sft]
    both = mixed("--", "-+", demos=[demo(0), None], updates_per_batch=2)
    assert [(u.kind, u.optimizer) for u in both] == [(UpdateKind.sft, "rl"), (UpdateKind.rl, "rl")]


def test_hpt_trains_an_all_wrong_question_without_a_demonstration_by_rl() -> None:
    (update,) = mixed("--", "-+", demos=[None, None])
    assert update.components[0].denominator == 4 * 8192.0  # it counts, with nothing to learn from
    assert attempts(update.components[0].sequences) == [(1, 0), (1, 1)]


# ---- phases and optimizers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "gate", "optimizers", "phases"),
    [
        ("sft", "stream", ("sft",), [True, True, True, True]),
        ("sft_rl", "stream", ("rl", "sft"), [True, True, False, False]),  # phase_steps = 2
        ("grpo", "never", ("rl",), [False] * 4),
        ("drgrpo", "never", ("rl",), [False] * 4),
        ("dapo", "never", ("rl",), [False] * 4),
        ("relift", "buffer", ("rl", "sft"), [False] * 4),
        ("hpt", "now", ("rl",), [False] * 4),
    ],
)
def test_phases_and_optimizers(name: str, gate: str, optimizers: tuple[str, ...], phases: list[bool]) -> None:
    recipe = recipe_of(name)
    assert (recipe.name, recipe.gate, recipe.optimizers) == (name, gate, optimizers)
    assert [recipe.sft_phase(step) for step in (1, 2, 3, 4)] == phases


def test_every_recipe_is_listed() -> None:
    assert set(RECIPES) == {"sft", "sft_rl", "grpo", "drgrpo", "dapo", "relift", "hpt"}
