"""A run without torch: answers from a table, a learner that only takes notes, the real grader, a real run folder.

Token ids are code points, so a text and its tokens are the same thing to the eye.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w

from relift.config import Config, to_toml
from relift.engines.tokens import Completion, Request, Sampling
from relift.grading import Grader, Scorer
from relift.learner.update import TrainSequence, Update, UpdateStats
from relift.run_record import RunRecord
from relift.schema import Finish, Question, demo_id_of, question_id_of
from relift.store import RunWriter
from relift.store.rows import question_row
from relift.trainer.configuration import load_config
from relift.trainer.curriculum import Curriculum
from relift.trainer.demos import Demo, DemoBuffer
from relift.trainer.draws import Draws
from relift.trainer.loop import Interrupted, train
from relift.trainer.recipe import Demonstrations
from relift.trainer.recipes import build
from relift.trainer.record import Record
from relift.trainer.rewards import Rewarding
from relift.trainer.run import Run
from relift.trainer.step import Item
from relift.trainer.stream import Stream

__all__ = ["Interrupted", "ScriptedEngine", "ScriptedLearner", "items", "scripted_run", "train"]

END = 0  # the end token


def tokens(text: str) -> np.ndarray:
    """Code points and the end token, int32 [T]."""
    return np.array([*map(ord, text), END], dtype=np.int32)


def right(answer: str) -> str:
    return rf"\boxed{{{answer}}}"  # 10 tokens with the end token


def wrong(answer: str) -> str:
    return rf"hm \boxed{{-{answer}}}"  # 14 tokens


def items(n: int) -> list[Item]:
    """n questions with answers 1, 2, ... (one digit each); the prompt is the problem's text."""
    made = []
    for ix in range(n):
        problem, answer = f"question {ix}?", str(ix % 9 + 1)
        question = Question(question_id_of(problem), problem, answer, source="scripted", split="train")
        made.append(Item(question, ix, tuple(map(ord, problem))))
    return made


class ScriptedEngine:
    """Answers right as often as `n_right(question_ix, version)` says: the first so many attempts."""

    def __init__(self, asked: Sequence[Item], n_right: Callable[[int, int], int]) -> None:
        self.policy_version = -1
        self.calls: list[list[Request]] = []
        self.published: list[int] = []
        self._by_prompt = {item.prompt_ids: item for item in asked}
        self._n_right = n_right

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, *, on_progress: Callable[[int, int], None] | None = None
    ) -> list[list[Completion]]:
        self.calls.append(list(requests))
        return [[self._answer(request, g) for g in range(len(request.seeds))] for request in requests]

    def _answer(self, request: Request, g: int) -> Completion:
        item = next(i for p, i in self._by_prompt.items() if request.prompt_ids[: len(p)] == p)  # a prefix may follow
        good = g < self._n_right(item.question_ix, self.policy_version)
        ids_T = tokens((right if good else wrong)(item.question.answer))
        return Completion(ids_T, np.full(len(ids_T), -0.5, np.float32), Finish.stop, 0.25, request.seeds[g])

    def publish(self, state_dict: object, *, version: int) -> None:
        self.policy_version = version
        self.published.append(version)

    def describe(self) -> dict[str, object]:
        return {"name": "scripted"}


class ScriptedLearner:
    """Keeps every update it is given; `refuses` are the optimizer steps (from 0) whose loss is not finite."""

    def __init__(self, refuses: Collection[int] = ()) -> None:
        self.updates: list[Update] = []
        self.stepped: list[str] = []  # names of the optimizers, in order
        self.scored: list[int] = []  # sequences of each call of score
        self._refuses = refuses

    def score(self, sequences: Sequence[TrainSequence], *, temperature: float) -> list[np.ndarray]:
        self.scored.append(len(sequences))
        return [np.full(len(s.completion_ids_T), -0.5, np.float32) for s in sequences]

    def score_reference(self, sequences: Sequence[TrainSequence], *, temperature: float) -> list[np.ndarray]:
        """A quarter of a nat a token below what the policy gives."""
        return [np.full(len(s.completion_ids_T), -0.75, np.float32) for s in sequences]

    def forward_backward(self, update: Update) -> None:
        self.updates.append(update)

    def optim_step(self, optimizer: str, *, run_steps: int | None = None) -> UpdateStats:
        skipped = sum("forgot" not in s for s in self.stepped) in self._refuses
        self.stepped.append(optimizer)
        trained = [s for c in self.updates[-1].components for s in c.sequences]
        return UpdateStats(
            loss=math.nan if skipped else 1.0,
            grad_norm=math.nan if skipped else 0.5,
            lr=1e-3,
            n_sequences=len(trained),
            n_tokens=sum(len(s.completion_ids_T) for s in trained),
            entropy=None,
            sampler_kl=None,
            n_sampled_tokens=None,
            sampler_gap=None,
            sampler_gap_p99=None,
            effective_tokens=None,
            clip_fraction=None,
            skipped=skipped,
            seconds=0.0,
        )

    def reset_optimizer(self, name: str) -> None:
        self.stepped.append(f"forgot {name}")

    def model_state_dict(self) -> Any:
        return {}


def scripted_run(
    folder: Path,
    values: Mapping[str, Any] | Config,
    *,
    n_train: int = 4,
    n_probe: int = 0,
    n_ends: int = 0,
    with_demo: Sequence[int] = (),
    n_right: Callable[[int, int], int] = lambda question_ix, version: 0,
    refuses: Collection[int] = (),
    grader: Scorer | None = None,
    saved: list[tuple[int | None, str | None]] | None = None,
    **parts: Any,
) -> Run:
    """A new run in an empty folder. Questions 0 .. n_train-1 are trained on, the next are probed, the last at the ends.

    The caller closes `run.record.writer`. `saved` takes (step, kind) of every checkpoint; `parts` are fields of Run.
    """
    config = values if isinstance(values, Config) else config_of(folder.with_suffix(".toml"), values)
    recipe = build(config)
    asked = items(n_train + n_probe + n_ends)
    train_items, probe_items = asked[:n_train], asked[n_train : n_train + n_probe]
    demos = [demo_of(asked[ix]) for ix in with_demo]
    writer = RunWriter(folder)
    writer.start(
        RunRecord(run_id="scripted"),
        config_toml=to_toml(config),
        questions=questions_frame(asked, with_demo),
        demonstrations=demonstrations_frame(asked, with_demo) if with_demo else None,
    )
    saved = [] if saved is None else saved
    per_step, batch = config.rollout.questions_per_step, config.sft.batch
    fields: dict[str, Any] = {
        "config": config,
        "recipe": recipe,
        "train_items": train_items,
        "probe_items": probe_items,
        "ends_items": asked[n_train + n_probe :],
        "demos": demos,
        "question_stream": Stream(n_train, per_batch=per_step, seed=config.seed, purpose="questions")
        if recipe.rl
        else None,
        "demo_stream": Stream(len(demos), per_batch=batch, seed=config.seed, purpose="demonstrations")
        if recipe.method.demonstrations in (Demonstrations.stream, Demonstrations.beside)
        else None,
        "engine": ScriptedEngine(asked, n_right),
        "draws": Curriculum(config.curriculum, range(n_train), seed=config.seed)
        if config.curriculum.order == "accuracy"
        else Draws(n_train, seed=config.seed, purpose="questions")
        if config.rollout.refill
        else None,
        "rewards": Rewarding(config, None, parts.get("warn", print)),
        "grader": Grader(warn=parts.get("warn", print), scorers={} if grader is None else {"exact": grader}),
        "learner": ScriptedLearner(refuses),
        "decode": lambda rows: ["".join(map(chr, row[:-1])) for row in rows],
        "stop_token_ids": (END,),
        "record": Record(writer, len(asked)),
        "buffer": DemoBuffer(config.buffer, demos, batch=batch, seed=config.seed, online=config.teacher.online.source),
        "arrivals": None,
        "hinted": lambda item, given: (*item.prompt_ids, 1, *given),
        "score_teacher": lambda sequences, temperature: [
            np.full(len(s.completion_ids_T), -0.25, np.float32) for s in sequences
        ],
        "save": lambda run, kind: saved.append((run.step, kind)),
    }
    return Run(**{**fields, **parts})


def config_of(path: Path, values: Mapping[str, Any]) -> Config:
    """Read values as `relift train` does, the recipe's numbers beneath them."""
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return load_config(path)


def demo_of(item: Item) -> Demo:
    text = demo_text(item)
    return Demo(demo_id_of(item.question.question_id, text), item.question_ix, item.prompt_ids, tokens(text))


def demo_text(item: Item) -> str:
    return f"see {right(item.question.answer)}"  # 14 tokens


def questions_frame(asked: Sequence[Item], with_demo: Sequence[int]) -> pd.DataFrame:
    rows = [
        question_row(
            item.question,
            item.question_ix,
            prompt_tokens=len(item.prompt_ids),
            has_demo=item.question_ix in with_demo,
        )
        for item in asked
    ]
    return pd.DataFrame(rows)


def demonstrations_frame(asked: Sequence[Item], with_demo: Sequence[int]) -> pd.DataFrame:
    rows = [
        {
            "demo_id": demo_of(asked[ix]).demo_id,
            "question_ix": ix,
            "source": "dataset",
            "text": demo_text(asked[ix]),
            "n_tokens": len(tokens(demo_text(asked[ix]))),
            "verified": True,
            "accepted": True,
        }
        for ix in with_demo
    ]
    return pd.DataFrame(rows)
