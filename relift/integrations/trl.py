"""Record a run of TRL as a run folder, by wrapping its reward functions.

    from relift.integrations.trl import ProbeCallback, record

    trainer = GRPOTrainer(
        ...,
        reward_funcs=record(accuracy_reward, "runs/mine"),
        callbacks=[ProbeCallback(questions, "runs/mine", attempts=8, every=50)],
    )

Made for GRPOTrainer and RLOOTrainer of TRL 1.16 (docs/audit.md). A reward function is told prompts, completions, their
tokens, the columns of the data, the trainer's state, and `log_extra`, which is a method of the trainer: through it the
recorder sees whether the model is training, and the trainer's arguments. It changes no argument and no reward.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from relift.errors import InputError
from relift.grading import Grader, Submission
from relift.grading.gold_check import kind_of_golds
from relift.integrations.answers import (
    Answered,
    final_answer,
    gold_column,
    plain_gold,
    plain_rewards,
    problem_of,
    text_of,
    verdict_of,
)
from relift.integrations.facts import facts_of_trainer
from relift.integrations.probe_callback import ProbeCallback
from relift.integrations.recorder import CORRECT_FROM, Recorder, share
from relift.schema import Finish
from relift.suggest import hint

__all__ = ["GRADER", "ProbeCallback", "record"]

GRADER = "grader"  # instead of a reward function's name: verdicts of relift's own grader
RewardFunction = Callable[..., Any]
Wrapped = TypeVar("Wrapped", RewardFunction, list[Any])


def record(
    reward_funcs: Wrapped,
    folder: str | Path,
    *,
    verdict: str | None = None,
    threshold: float = CORRECT_FROM,
    gold: str | None = None,
    problem: str | None = None,
    name: str | None = None,
    texts: bool = True,
    strict: bool = False,
) -> Wrapped:
    """Wrap reward functions so that all they judge in training is recorded in `folder`; give them to the trainer.

    A list gives a list: sync and async functions are wrapped, reward models are passed through and not recorded.
    verdict: name of the function whose reward says what is correct, from `threshold` on (default: the first one), or
    "grader": our grader, by the gold answers. gold, problem: columns of the data with the gold answer (default: answer,
    solution, ground_truth, ...) and the question (default: the prompt, of messages what the user says).
    name: label in figures (default: the folder's name). texts: keep the answers. strict: raise errors of the recorder,
    for tests.

    What TRL evaluates is not recorded: ProbeCallback probes. Raises InputError for a folder that holds something else,
    a verdict that names no function, and what is no function.
    """
    given = reward_funcs if isinstance(reward_funcs, list) else [reward_funcs]
    functions = {i: function for i, function in enumerate(given) if not _is_model(function)}
    for function in functions.values():
        if not callable(function):
            raise InputError(f"record: {function!r} is no reward function")
    names = {i: _name_of(function) for i, function in functions.items()}
    if not functions:
        raise InputError(
            "record: reward models alone cannot be recorded; add a reward function that says what is right"
        )
    judge = next(iter(functions))
    if verdict is not None and verdict != GRADER:
        if verdict not in names.values():
            raise InputError(f"record: verdict = {verdict!r}: no function is called so{hint(verdict, names.values())}")
        judge = next(i for i, called in names.items() if called == verdict)
    recorder = Recorder(folder, name=name, threshold=threshold, texts=texts, strict=strict)
    collector = _Collector(
        share(recorder), functions=functions, names=names, judge=judge, by_grader=verdict == GRADER, gold=gold,
        problem=problem,
    )  # fmt: skip
    said = {"name": "relift"} if verdict == GRADER else {"name": names[judge], "threshold": threshold}
    recorder.facts = replace(recorder.facts, judge=said)
    recorder.judge = collector.judge_function
    wrapped = [collector.wrap(i) if i in functions else one for i, one in enumerate(given)]
    return cast(Wrapped, wrapped if isinstance(reward_funcs, list) else wrapped[0])


def _is_model(function: Any) -> bool:
    """Tell a reward model, or the name of one, from a function."""
    return isinstance(function, str) or hasattr(function, "named_parameters")


def _name_of(function: Any) -> str:
    """Name a function as TRL does: partials by what they wrap, objects by their class."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def _is_async(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


@dataclass
class _Batch:
    """Hold the rewards of one generation batch until every function has given its own."""

    rewards: dict[int, Sequence[Any]] = field(default_factory=dict)  # by place of the function


@dataclass
class _Collector:
    """Collect what the functions of one trainer give, and record a batch when all have."""

    recorder: Recorder
    functions: Mapping[int, RewardFunction]
    names: Mapping[int, str]
    judge: int
    by_grader: bool
    gold: str | None
    problem: str | None
    batch: _Batch = field(default_factory=_Batch)
    batches_of_step: int = 0
    step: int = 0
    grader: Grader | None = None

    @property
    def judge_function(self) -> RewardFunction | None:
        """Give the function whose reward is the verdict; None where the grader's is."""
        return None if self.by_grader else self.functions[self.judge]

    def wrap(self, place: int) -> RewardFunction:
        """Wrap the function of this place in the list; TRL sees its name and whether it is async."""
        function = self.functions[place]
        if _is_async(function):

            async def recorded_async(*args: Any, **kwargs: Any) -> Any:
                return self.note(place, await function(*args, **kwargs), kwargs)

            return self._named(recorded_async, place)

        def recorded(*args: Any, **kwargs: Any) -> Any:
            return self.note(place, function(*args, **kwargs), kwargs)

        return self._named(recorded, place)

    def _named(self, wrapper: Any, place: int) -> RewardFunction:
        try:
            functools.update_wrapper(wrapper, self.functions[place])
        except (AttributeError, TypeError):  # a callable object with odd attributes: only the name matters
            pass
        wrapper.__name__ = self.names[place]
        return wrapper

    def note(self, place: int, given: Any, kwargs: Mapping[str, Any]) -> Any:
        """Keep what one function gave; returns it as it was, or the same values where they can be read only once."""
        given = list(given) if isinstance(given, Iterator) else given
        self.recorder.safely(lambda: self._note(place, given, kwargs))
        return given

    def _note(self, place: int, given: Any, kwargs: Mapping[str, Any]) -> None:
        trainer = getattr(kwargs.get("log_extra"), "__self__", None)
        if trainer is None or "trainer_state" not in kwargs:
            raise InputError(
                "this trainer does not tell reward functions who calls them (log_extra, trainer_state), so training "
                "and evaluation cannot be told apart: use relift.integrations.recorder.Recorder in your own function"
            )
        if not trainer.model.training:  # what the trainer itself goes by
            self.batch = _Batch()
            return
        if place in self.batch.rewards:  # the batch before was not finished: a function raised
            self.batch = _Batch()
        self.batch.rewards[place] = given.tolist() if hasattr(given, "tolist") else list(given)
        if len(self.batch.rewards) == len(self.functions):
            rewards, self.batch = self.batch.rewards, _Batch()
            self._record(trainer, rewards, kwargs)

    def _record(self, trainer: Any, rewards: Mapping[int, Sequence[Any]], kwargs: Mapping[str, Any]) -> None:
        args, step = trainer.args, int(kwargs["trainer_state"].global_step) + 1
        if not self.recorder.begun:
            self._begin(trainer, step - 1)
        answers = self._answers(args, rewards, kwargs, ends=_end_tokens(trainer))
        self.batches_of_step = self.batches_of_step + 1 if step == self.step else 1
        self.step = step
        per_step = max(1, -(-args.gradient_accumulation_steps // args.steps_per_generation))
        self.recorder.add_rollouts(step, answers, whole=self.batches_of_step >= per_step)

    def _begin(self, trainer: Any, step: int) -> None:
        """Tell the recorder what run this is, and have it told when training ends."""
        self.recorder.describe(facts_of_trainer(trainer.args, trainer.model))
        self.recorder.go_on_from(step)
        trainer.add_callback(_ending_callback(self.recorder))

    def _answers(
        self, args: Any, rewards: Mapping[int, Sequence[Any]], kwargs: Mapping[str, Any], *, ends: frozenset[int]
    ) -> list[Answered]:
        prompts, completions, ids = kwargs["prompts"], kwargs["completions"], kwargs["completion_ids"]
        columns = {name: kwargs[name] for name in kwargs if name not in _NO_COLUMNS}
        gold = gold_column(columns, self.gold)
        if self.problem is not None and self.problem not in columns:
            raise InputError(f"problem = {self.problem!r}: the data has no such column{hint(self.problem, columns)}")
        golds = [""] * len(prompts) if gold is None else [plain_gold(value) for value in columns[gold]]
        problems = [problem_of(p) for p in (prompts if self.problem is None else columns[self.problem])]
        texts = [text_of(completion) for completion in completions]
        truncated = [len(one) >= args.max_completion_length and int(one[-1]) not in ends for one in ids]
        read = {place: plain_rewards(values) for place, values in rewards.items()}
        weights = dict(enumerate(args.reward_weights or [1.0] * (1 + max(read))))
        judged = self._judged(problems, golds, texts, truncated, read[self.judge])
        masked = getattr(args, "mask_truncated_completions", False)
        answers = []
        for i, (verdict, rule, final) in enumerate(judged):
            each = {self.names[place]: values[i] for place, values in read.items()}
            known = [weights[place] * value for place, values in read.items() if (value := values[i]) is not None]
            answers.append(
                Answered(
                    problem=problems[i],
                    gold=golds[i],
                    text=texts[i],
                    n_tokens=len(ids[i]),
                    truncated=truncated[i],
                    verdict=verdict,
                    rule=rule,
                    final=final,
                    reward=sum(known) if known else None,
                    rewards=each if len(read) > 1 else None,
                    used=not (masked and truncated[i]),
                )
            )
        return answers

    def _judged(
        self,
        problems: Sequence[str],
        golds: Sequence[str],
        texts: Sequence[str],
        truncated: Sequence[bool],
        rewards: Sequence[float | None],
    ) -> list[tuple[Any, str, str | None]]:
        if not self.by_grader:
            rule = f"reward.{self.names[self.judge]}"
            return [
                (verdict_of(reward, threshold=self.recorder.threshold), rule, final_answer(text, truncated=cut))
                for reward, text, cut in zip(rewards, texts, truncated, strict=True)
            ]
        if self.grader is None:
            self.grader = Grader(workers=1)
        kind = kind_of_golds(golds)
        finishes = [Finish.length if cut else Finish.stop for cut in truncated]
        found = self.grader.judge(
            [Submission(g, t, f, kind=kind) for g, t, f in zip(golds, texts, finishes, strict=True)]
        )
        return [(one.verdict, one.rule, one.answer) for one in found]


# What TRL hands to reward functions beside the columns of the data.
_NO_COLUMNS = frozenset(
    ("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric", "environments")
)


def _end_tokens(trainer: Any) -> frozenset[int]:
    """List the tokens that end an answer, as the trainer's tokenizer and generation settings name them."""
    tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
    declared = getattr(trainer.model, "generation_config", None)
    found = [tokenizer.eos_token_id, tokenizer.pad_token_id, getattr(declared, "eos_token_id", None)]
    flat = [one for each in found for one in (each if isinstance(each, list | tuple) else [each])]
    return frozenset(int(one) for one in flat if one is not None)


def _ending_callback(recorder: Recorder) -> Any:
    from transformers import TrainerCallback

    class Ending(TrainerCallback):
        """Close the record when training ends."""

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            recorder.finish(done=state.global_step >= state.max_steps)

    return Ending()
