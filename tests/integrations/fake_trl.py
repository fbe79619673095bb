"""A hand-made trainer that calls reward functions and callbacks as TRL 1.16 and transformers do.

tests/peers/test_trl_record.py compares what it hands over with what the real GRPOTrainer does.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

END, PAD = 0, 1


class Args(SimpleNamespace):
    """Arguments with the names of GRPOConfig that the recorder reads."""

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


def grpo_args(**changes: Any) -> Args:
    values = {
        "seed": 1, "learning_rate": 1e-3, "output_dir": "out", "max_steps": 3, "max_completion_length": 4,
        "temperature": 1.0, "top_p": 1.0, "top_k": 0, "gradient_accumulation_steps": 1, "steps_per_generation": 1,
        "reward_weights": None, "mask_truncated_completions": False, "chat_template_kwargs": {}, "logging_steps": 1,
    }  # fmt: skip
    return Args(**{**values, **changes})


class Model:
    """Stands for a model that is training or not."""

    def __init__(self) -> None:
        self.training = True
        self.config = SimpleNamespace(_name_or_path="tiny", model_type="llama")
        self.generation_config = SimpleNamespace(eos_token_id=END)

    def parameters(self) -> list[Any]:
        return [SimpleNamespace(numel=lambda: 7)]


class Trainer:
    """Calls reward functions on batches that are given: prompts and completions by step."""

    def __init__(self, reward_funcs: Any, *, args: Args | None = None, callbacks: Sequence[Any] = ()) -> None:
        self.reward_funcs = reward_funcs if isinstance(reward_funcs, list) else [reward_funcs]
        self.args = args or grpo_args()
        self.model = Model()
        self.processing_class = SimpleNamespace(eos_token_id=END, pad_token_id=PAD)
        self.state = SimpleNamespace(global_step=0, max_steps=self.args.max_steps)
        self.callbacks = list(callbacks)
        self.logged: list[tuple[str, Any]] = []

    def add_callback(self, callback: Any) -> None:
        self.callbacks.append(callback)

    def _log_completion_extra(self, column: str, values: list[Any]) -> None:
        self.logged.append((column, values))

    def _log_metric(self, name: str, value: float) -> None:
        self.logged.append((name, value))

    def reward(self, prompts: list[Any], completions: list[Any], ids: list[list[int]], **columns: Any) -> list[Any]:
        """Give the rewards of each function, as `_calculate_rewards` gets them: sync ones first, then async ones."""
        kwargs = {
            "prompts": prompts, "completions": completions, "completion_ids": ids, **columns,
            "trainer_state": self.state, "log_extra": self._log_completion_extra, "log_metric": self._log_metric,
        }  # fmt: skip
        given: list[Any] = [None] * len(self.reward_funcs)
        waiting = []
        for i, function in enumerate(self.reward_funcs):
            if inspect.iscoroutinefunction(function):
                waiting.append((i, function))
            else:
                given[i] = list(function(**kwargs))

        async def gather() -> list[Any]:
            return await asyncio.gather(*(function(**kwargs) for _, function in waiting))

        if waiting:
            for (i, _), rewards in zip(waiting, asyncio.run(gather()), strict=True):
                given[i] = list(rewards)
        return given

    def fire(self, event: str) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(
                self.args, self.state, SimpleNamespace(), model=self.model, processing_class=self.processing_class
            )

    def train(self, batch_of: Callable[[int], dict[str, Any]], *, from_step: int = 0, to_step: int = 3) -> list[Any]:
        """Train from one step to another; returns the rewards of each step."""
        self.state.global_step = from_step
        self.fire("on_train_begin")
        seen = []
        for step in range(from_step, to_step):
            self.model.training = True
            seen.append(self.reward(**batch_of(step)))
            self.state.global_step = step + 1
            self.fire("on_step_end")
        self.fire("on_train_end")
        return seen

    def evaluate(self, batch: dict[str, Any]) -> list[Any]:
        self.model.training = False
        try:
            return self.reward(**batch)
        finally:
            self.model.training = True


def batch_of(step: int) -> dict[str, Any]:
    """Two questions, two answers each; the last answer is cut off at four tokens."""
    return {
        "prompts": ["1+1?", "1+1?", f"{step}+2?", f"{step}+2?"],
        "completions": ["\\boxed{2}", "\\boxed{3}", f"\\boxed{{{step + 2}}}", "going on"],
        "ids": [[5, 6, END], [5, END], [5, 6, 7, END], [5, 6, 7, 8]],
        "answer": ["2", "2", str(step + 2), str(step + 2)],
    }


def accuracy(completions: list[Any], answer: list[str], **kwargs: Any) -> list[float]:
    return [float(f"\\boxed{{{gold}}}" in str(text)) for text, gold in zip(completions, answer, strict=True)]


def short(completions: list[Any], **kwargs: Any) -> list[float]:
    return [1.0 / len(str(text)) for text in completions]


async def slow_accuracy(completions: list[Any], answer: list[str], **kwargs: Any) -> list[float]:
    await asyncio.sleep(0)
    return accuracy(completions, answer)
