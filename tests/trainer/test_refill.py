"""Refill a step until enough groups carry signal: which questions are asked, trained on and recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relift.errors import InputError
from relift.store import RunReader, check_run
from relift.trainer.configuration import load_config
from relift.trainer.draws import Draws
from relift.trainer.refill import round_size
from relift.trainer.run import Run
from relift.trainer.stream import order_of
from tests.trainer.scripted import ScriptedLearner, scripted_run, train

Q, G, N = 2, 2, 12


def config(**rollout: Any) -> dict[str, Any]:
    """Two questions a step of twelve, two attempts at each, at most three further rounds."""
    return {
        "recipe": "dapo",
        "steps": 2,
        "rollout": {"questions_per_step": Q, "attempts_per_question": G, "max_tokens": 50, "refill": 3, **rollout},
    }


def half(*mixed: int) -> Callable[[int, int], int]:
    """One of two attempts right at these questions, none at the others."""
    return lambda ix, version: int(ix in mixed)


def trained(run: Run) -> RunReader:
    try:
        train(run)
    finally:
        run.record.writer.close()
    assert check_run(run.record.writer.folder).problems == []
    return RunReader(run.record.writer.folder)


ORDER = order_of(N, seed=0, purpose="questions", epoch=0).tolist()


def test_a_step_asks_until_enough_groups_carry_signal(tmp_path: Path) -> None:
    """The 4th and 5th questions carry signal. Round 0 asks 2 and finds none, round 1 asks 2 (no share is known) and
    finds one; round 2 asks for one more at a share of 1/4: 4, at most the batch, 2. The step trains on both."""
    learner, warnings = ScriptedLearner(), list[str]()
    parts = {"learner": learner, "warn": warnings.append}
    values = config() | {"steps": 1}
    run = scripted_run(tmp_path / "run", values, n_train=N, n_right=half(*ORDER[3:5]), **parts)
    reader = trained(run)
    frame = reader.read("attempts", origin="rollout").drop_duplicates("question_ix").set_index("question_ix")
    assert frame.loc[ORDER[:6], "round"].tolist() == [0, 0, 1, 1, 2, 2] and len(frame) == 6
    assert frame.loc[ORDER[:6], "used_in_update"].tolist() == [False, False, False, True, True, False]
    assert run.record.totals.samples == 6 * G
    assert run.record.totals.generated_tokens == 12 * 14 - 2 * 4  # two right answers, each 4 tokens shorter
    (update,) = learner.updates
    assert len(update.components[0].sequences) == 4 and warnings == []
    assert update.components[0].terms[0].denominator == 2 * (10 + 14)


def test_what_is_beyond_the_batch_is_recorded_and_not_trained_on(tmp_path: Path) -> None:
    """Round 0 finds 1 of 2, so round 1 asks for 1 / (1/2) = 2 and finds both: three groups, the last one too many."""
    learner = ScriptedLearner()
    values = config() | {"steps": 1}
    run = scripted_run(tmp_path / "run", values, n_train=N, n_right=half(*ORDER[1:4]), learner=learner)
    frame = trained(run).read("attempts", origin="rollout").set_index("question_ix")
    assert frame.loc[ORDER[3], "advantage"].isna().all() and not frame.loc[ORDER[3], "used_in_update"].any()
    assert frame.loc[ORDER[0], "advantage"].tolist() == [0.0, 0.0]  # no signal: nothing to teach
    assert frame.loc[ORDER[1:3], "used_in_update"].all()
    assert len(learner.updates[0].components[0].sequences) == 2 * G


def test_a_cap_and_the_end_of_the_questions_end_a_step(tmp_path: Path) -> None:
    """No group carries signal: 1 + 3 rounds of two in each step, no optimizer step, one warning for both steps. The
    second step draws what is left of the epoch, four questions, and goes on in the next, less what it has had."""
    learner, warnings = ScriptedLearner(), list[str]()
    run = scripted_run(tmp_path / "a", config(), n_train=N, learner=learner, warn=warnings.append)
    frame = trained(run).read("attempts", origin="rollout")
    assert frame.groupby("step")["question_ix"].nunique().tolist() == [8, 8]
    assert learner.updates == [] and run.record.totals.rl_updates == 0
    (line,) = warnings
    assert line.startswith("after 3 further rounds 0 of 2 groups carry signal, of 8 questions asked")
    assert run.draws is not None and run.draws.epoch == 1
    few = scripted_run(tmp_path / "b", config(refill=9) | {"steps": 1}, n_train=3, warn=warnings.append)
    frame = trained(few).read("attempts", origin="rollout")
    assert frame["question_ix"].nunique() == 3  # every question once, then the step ends


def test_the_buffer_sees_every_question_that_was_asked(tmp_path: Path) -> None:
    """ReLIFT with a refill: all-wrong questions of all rounds wait."""
    values = config() | {"recipe": "relift", "steps": 1, "rl": {"drop_flat_groups": True}, "sft": {"batch": 9}}
    run = scripted_run(tmp_path / "run", values, n_train=N, n_right=half(*ORDER[3:5]), with_demo=range(N))
    trained(run)
    assert run.buffer.waiting == {ORDER[0], ORDER[1], ORDER[2], ORDER[5]}


@pytest.mark.parametrize(
    ("missing", "wanted", "n_asked", "size"),
    [(4, 4, 8, 4), (1, 4, 4, 2), (1, 4, 100, 4), (2, 4, 4, 4), (1, 8, 8, 2)],  # 1 / (3/4) = 1.3 -> 2; 1 / (7/8) -> 2
)
def test_size_of_a_round(missing: int, wanted: int, n_asked: int, size: int) -> None:
    assert round_size(missing, wanted=wanted, n_asked=n_asked) == size


@settings(max_examples=200, deadline=None)
@given(
    n=st.integers(1, 20),
    asked=st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=4), min_size=1, max_size=8),
    stop=st.integers(0, 7),
)
def test_draws(n: int, asked: list[list[int]], stop: int) -> None:
    """None twice in a step, as many as asked for while there are any, each question its turn; taken up again from the
    state at any step's beginning, the same questions follow."""

    def step(draws: Draws, number: int) -> list[int]:
        drawn = list(draws.begin(number, asked[number][0]))
        assert draws.begin(number, asked[number][0]) == drawn[: asked[number][0]]
        for size in asked[number][1:]:
            drawn += draws.more(size)
        return drawn

    draws, taken, states = Draws(n, seed=3, purpose="questions"), [], []
    for number, sizes in enumerate(asked):
        states.append(json.loads(json.dumps(draws.state_dict())))
        taken.append(step(draws, number))
        assert len(taken[-1]) == len(set(taken[-1])) == min(n, sum(sizes))
    counts = np.bincount([q for drawn in taken for q in drawn], minlength=n)
    assert counts.sum() == sum(map(len, taken)) and counts.max() - counts.min() <= 2  # one may wait for its next step
    stop = min(stop, len(asked) - 1)
    again = Draws(n, seed=3, purpose="questions")
    again.begin(99, 1)  # what it had drawn in the meantime is forgotten
    again.load_state_dict(states[stop])
    assert [step(again, number) for number in range(stop, len(asked))] == taken[stop:]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["recipe=grpo", "rollout.refill=3"], "set rl.drop_flat_groups = true"),
        (["recipe=prefix_rl", "rollout.refill=3", "rl.drop_flat_groups=true"], "recipe prefix_rl learns from more"),
        (["recipe=hpt", "rollout.refill=3", "rl.drop_flat_groups=true"], "recipe hpt learns from more"),
        (["recipe=dapo", "rl.overlong_tokens=9000"], "more than rollout.max_tokens = 8192"),
        (["recipe=dapo", "rl.advantage=over_mean"], "rl.advantage = over_mean knows rewards of 1 and 0 alone"),
    ],
)
def test_what_does_not_fit_is_refused(overrides: list[str], line: str) -> None:
    with pytest.raises(InputError, match=line):
        load_config("relift", overrides=overrides)


def test_another_recipe_over_dapo_refills_nothing() -> None:
    """A layer that changes the recipe leaves nothing of the one before."""
    assert load_config("relift", overrides=["recipe=dapo"]).rollout.refill == 9
    assert load_config("relift", overrides=["recipe=grpo"]).rollout.refill == 0
