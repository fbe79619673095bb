"""`record` wraps reward functions: rewards pass unchanged, names stay, and training is recorded, evaluation is not."""

from __future__ import annotations

import functools
import inspect
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from relift.errors import InputError
from relift.evaluate.run_settings import run_settings
from relift.integrations.trl import record
from relift.schema import RunStatus
from relift.store import RunReader, RunWriter, check_run
from tests.integrations.fake_trl import Trainer, accuracy, batch_of, grpo_args, short, slow_accuracy


class Judge:
    """A reward function that is an object."""

    def __call__(self, completions: list[Any], answer: list[str], **kwargs: Any) -> list[float]:
        return accuracy(completions, answer)


class AsyncJudge:
    """The same, async."""

    async def __call__(self, completions: list[Any], answer: list[str], **kwargs: Any) -> list[float]:
        return accuracy(completions, answer)


def test_every_rollout_is_recorded_by_question(tmp_path: Path) -> None:
    trainer = Trainer(record(accuracy, tmp_path / "run", strict=True))
    rewards = trainer.train(batch_of)
    assert rewards == [[[1.0, 0.0, 1.0, 0.0]]] * 3
    assert check_run(tmp_path / "run").problems == []
    reader = RunReader(tmp_path / "run")
    assert reader.run.status is RunStatus.done and reader.run.seed == 1
    assert reader.run.identity["config"]["learning_rate"] == 1e-3 and "output_dir" not in reader.run.identity["config"]
    assert reader.run.decodings["rollout"] == {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_tokens": 4}
    assert reader.run.graders == {"math": {"name": "accuracy", "threshold": 1.0}}
    assert reader.read("questions")["problem"].tolist() == ["1+1?", "0+2?", "1+2?", "2+2?"]
    assert reader.read("questions")["answer"].tolist() == ["2", "2", "3", "4"]
    rows = reader.read("attempts", origin="rollout", steps=[3])
    assert rows["question_ix"].tolist() == [0, 0, 3, 3]
    assert rows["verdict"].astype(str).tolist() == ["correct", "wrong", "correct", "wrong"]
    assert rows["verdict_rule"].astype(str).unique().tolist() == ["reward.accuracy"]
    assert rows["n_tokens"].tolist() == [3, 2, 4, 4]
    assert rows["finish"].astype(str).tolist() == ["stop", "stop", "stop", "length"]  # 4 tokens without an end
    assert rows["policy_version"].tolist() == [2] * 4 and rows["seed"].tolist() == [-1] * 4


@pytest.mark.parametrize(
    ("function", "name", "kind"),
    [
        (accuracy, "accuracy", "sync"),
        (slow_accuracy, "slow_accuracy", "async"),
        (functools.partial(accuracy), "accuracy", "sync"),
        (functools.partial(slow_accuracy), "slow_accuracy", "async"),
        (Judge(), "Judge", "sync"),
        (AsyncJudge(), "AsyncJudge", "async"),
    ],
)
def test_names_and_kinds_stay(tmp_path: Path, function: Any, name: str, kind: str) -> None:
    wrapped = record(function, tmp_path / "run", strict=True)
    assert wrapped.__name__ == name and inspect.iscoroutinefunction(wrapped) is (kind == "async")
    assert Trainer(wrapped).train(batch_of)[0] == [[1.0, 0.0, 1.0, 0.0]]
    assert len(RunReader(tmp_path / "run").read("attempts")) == 12


def test_several_functions_and_weights(tmp_path: Path) -> None:
    functions = record([short, slow_accuracy], tmp_path / "run", verdict="slow_accuracy", strict=True)
    args = grpo_args(reward_weights=[0.5, 2.0])
    Trainer(functions, args=args).train(batch_of, to_step=1)
    rows = RunReader(tmp_path / "run").read("attempts")
    # \boxed{2} has 9 characters: .5 / 9 + 2 * 1; "going on" has 8: .5 / 8 + 2 * 0
    assert rows["reward"].tolist()[0] == pytest.approx(0.5 / 9 + 2.0)
    assert rows["reward"].tolist()[3] == pytest.approx(0.5 / 8)
    assert json.loads(rows["rewards"][0]) == {"short": 1 / 9, "slow_accuracy": 1.0}
    assert rows["verdict"].astype(str).tolist() == ["correct", "wrong", "correct", "wrong"]


def test_a_reward_of_none_is_undecided(tmp_path: Path) -> None:
    def sometimes(completions: list[Any], **kwargs: Any) -> list[float | None]:
        return [1.0, None, float("nan"), 0.0]

    given = Trainer(record(sometimes, tmp_path / "run", strict=True)).train(batch_of, to_step=1)
    assert given[0][0][1] is None
    rows = RunReader(tmp_path / "run").read("attempts")
    assert rows["verdict"].astype(str).tolist() == ["correct", "undecided", "undecided", "wrong"]
    assert pd.isna(rows["reward"]).tolist() == [False, True, True, False]


def test_our_grader_can_judge(tmp_path: Path) -> None:
    Trainer(record(short, tmp_path / "run", verdict="grader", strict=True)).train(batch_of, to_step=1)
    reader = RunReader(tmp_path / "run")
    rows = reader.read("attempts")
    assert rows["verdict"].astype(str).tolist() == ["correct", "wrong", "correct", "wrong"]
    assert rows["verdict_rule"].astype(str)[0] == "box.text"  # a gold that is a number is graded exactly
    assert reader.run.graders == {"math": {"name": "relift"}}


def test_conversations_and_named_columns(tmp_path: Path) -> None:
    def batch(step: int) -> dict[str, Any]:
        made = batch_of(step)
        prompts = [[{"role": "system", "content": "s"}, {"role": "user", "content": p}] for p in made["prompts"]]
        said = [[{"role": "assistant", "content": text}] for text in made["completions"]]
        return {**made, "prompts": prompts, "completions": said, "task": ["A", "A", "B", "B"], "target": made["answer"]}

    wrapped = record(accuracy, tmp_path / "run", gold="target", problem="task", strict=True)
    Trainer(wrapped).train(batch, to_step=1)
    assert RunReader(tmp_path / "run").read("questions")[["problem", "answer"]].values.tolist() == [
        ["A", "2"],
        ["B", "2"],
    ]


def test_evaluation_is_not_recorded(tmp_path: Path) -> None:
    trainer = Trainer(record(accuracy, tmp_path / "run", strict=True))
    trainer.evaluate(batch_of(0))
    trainer.train(batch_of, to_step=2)
    trainer.evaluate(batch_of(7))
    assert RunReader(tmp_path / "run").steps("attempts") == [1, 2]
    assert len(RunReader(tmp_path / "run").read("attempts")) == 8


def test_a_step_of_two_generation_batches(tmp_path: Path) -> None:
    args = grpo_args(gradient_accumulation_steps=2)
    trainer = Trainer(record(accuracy, tmp_path / "run", strict=True), args=args)
    trainer.reward(**batch_of(0))
    assert not (tmp_path / "run" / "commits").exists()
    trainer.reward(**batch_of(0))  # the same step: its number has not moved
    trajectories = RunReader(tmp_path / "run").read("trajectories")
    assert trajectories["n_attempts"].tolist() == [4, 4]
    trainer.fire("on_train_end")


def test_resuming_continues_the_record(tmp_path: Path) -> None:
    Trainer(record(accuracy, tmp_path / "run", strict=True), args=grpo_args(max_steps=5)).train(batch_of, to_step=4)
    again = Trainer(record(accuracy, tmp_path / "run", strict=True), args=grpo_args(max_steps=5))
    again.train(batch_of, from_step=2, to_step=5)
    reader = RunReader(tmp_path / "run")
    assert reader.steps("attempts") == [1, 2, 3, 4, 5] and reader.run.status is RunStatus.done
    assert [start.from_step for start in reader.run.starts] == [None, 2]
    assert check_run(tmp_path / "run").problems == []


def test_masked_answers_are_not_used(tmp_path: Path) -> None:
    args = grpo_args(mask_truncated_completions=True)
    Trainer(record(accuracy, tmp_path / "run", strict=True), args=args).train(batch_of, to_step=1)
    assert RunReader(tmp_path / "run").read("attempts")["used_in_update"].tolist() == [True, True, True, False]


def test_rewards_that_can_be_read_once_reach_the_trainer(tmp_path: Path) -> None:
    def lazy(completions: list[Any], answer: list[str], **kwargs: Any) -> Any:
        return iter(accuracy(completions, answer))

    assert Trainer(record(lazy, tmp_path / "run", strict=True)).train(batch_of)[0] == [[1.0, 0.0, 1.0, 0.0]]


def test_an_error_of_the_function_is_its_own(tmp_path: Path) -> None:
    def broken(completions: list[Any], **kwargs: Any) -> list[float]:
        raise RuntimeError("mine")

    trainer = Trainer(record([accuracy, broken], tmp_path / "run", strict=True))
    with pytest.raises(RuntimeError, match="mine"):
        trainer.reward(**batch_of(0))
    assert not (tmp_path / "run" / "commits").exists()


def test_nothing_is_put_to_a_recorded_run_by_guess(tmp_path: Path) -> None:
    trainer = Trainer(record(accuracy, tmp_path / "run", strict=True))
    trainer.train(batch_of)
    with RunWriter(tmp_path / "run") as writer:  # as a probe beside it would leave it
        writer.update_run(decodings={**writer.run.decodings, "probe": {"max_tokens": 4}})
    with pytest.raises(InputError, match="so relift cannot put questions as that did"):
        run_settings(RunReader(tmp_path / "run"))


class RewardModel:
    """Looks like a reward model of torch."""

    def named_parameters(self) -> list[Any]:
        return []


def test_reward_models_pass_through(tmp_path: Path) -> None:
    model = RewardModel()
    wrapped = record([model, accuracy, "some/model"], tmp_path / "run")
    assert wrapped[0] is model and wrapped[2] == "some/model" and wrapped[1].__name__ == "accuracy"


@pytest.mark.parametrize(
    ("functions", "options", "said"),
    [
        ([accuracy], {"verdict": "acuracy"}, "no function is called so; nearest: accuracy"),
        ([RewardModel()], {}, "reward models alone"),
        ([3], {}, "3 is no reward function"),
    ],
)
def test_bad_input_is_refused_before_training(tmp_path: Path, functions: Any, options: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        record(functions, tmp_path / "run", **options)


def test_the_cell_of_a_notebook_can_be_run_again(tmp_path: Path) -> None:
    first = Trainer(record(accuracy, tmp_path / "run", strict=True))
    first.reward(**batch_of(0))  # interrupted by hand: the folder is still held
    Trainer(record(accuracy, tmp_path / "run", strict=True)).train(batch_of)
    assert RunReader(tmp_path / "run").steps("attempts") == [1, 2, 3]
