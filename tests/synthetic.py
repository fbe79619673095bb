"""Run folders of a simulated model whose true rates are known, written through relift.store.

Axes: Q questions, N attempts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift.run_record import parse_run
from relift.schema import demo_id_of, question_id_of
from relift.store import RunWriter, trajectories_of

ATTEMPTS = 8  # at each question, in probes and rollouts
ROLLOUT_QUESTIONS = 32  # of each training step
DEMO_LENGTH = 55
WORLD_SEED = 17  # true rates of the questions: the same in every run, so that runs can be compared


@dataclass(frozen=True)
class World:
    """Hold the truth: rate_Q at step 0, and question_ids, in an order that every run shares."""

    rate_Q: NDArray[np.float64]
    question_ids: list[str]


def make_world(n_questions: int, *, first_question: int = 0) -> World:
    """15 % of the questions cannot be solved, the others have p ~ Beta(.45, .9)."""
    rng = np.random.default_rng(WORLD_SEED)
    rate_Q = np.where(rng.random(n_questions) < 0.15, 0.0, rng.beta(0.45, 0.9, n_questions))
    return World(rate_Q, [question_id_of(_problem(first_question + i)) for i in range(n_questions)])


def rate_at(world: World, share: float, *, learn: float, lift_zero: float = 0.0) -> NDArray[np.float64]:
    """True rates after `share` of the training: solvable questions go `learn` of the way to 1, others `lift_zero`."""
    gain_Q = np.where(world.rate_Q > 0, learn, lift_zero) * share
    return world.rate_Q + gain_Q * (1 - world.rate_Q)


def write_run(
    folder: Path,
    *,
    n_questions: int,
    n_steps: int,
    learn: float,
    seed: int,
    name: str = "rl",
    lift_zero: float = 0.0,
    demos_per_step: int = 0,
    probe_every: int = 10,
    base_draws: int = 2,
    status: str = "done",
    first_question: int = 0,
    more: Mapping[str, object] | None = None,
) -> World:
    """A run: `base_draws` at step 0, a probe each `probe_every` steps, rollouts, updates, buffer, checkpoints.

    question_ix is permuted by `seed`. With `demos_per_step` every fourth step is a fine-tuning step. Runs with another
    `first_question` have other questions. `more`: fields of its record.
    """
    world, rng = make_world(n_questions, first_question=first_question), np.random.default_rng(seed)
    ix_Q = rng.permutation(n_questions).astype(np.int32)
    questions = pd.DataFrame(
        {
            "question_id": world.question_ids, "question_ix": ix_Q, "source": "synthetic", "split": "probe",
            "problem": [_problem(first_question + i) for i in range(n_questions)], "answer": "0",
            "answer_kind": "exact",
            "prompt_tokens": 9, "has_demo": demos_per_step > 0,
        }
    )  # fmt: skip
    demos = pd.DataFrame(
        {
            "demo_id": [demo_id_of(q, "worked") for q in world.question_ids], "question_ix": ix_Q,
            "source": "dataset", "text": "worked", "n_tokens": DEMO_LENGTH, "verified": True, "accepted": True,
        }
    )  # fmt: skip
    with RunWriter(folder) as writer:
        writer.start(
            parse_run(
                {"run_id": f"{name}-{seed}", "name": name, "seed": seed, "status": status, **(more or {})}, "test"
            ),
            config_toml="",
            questions=questions,
            demonstrations=demos if demos_per_step else None,
        )
        run = _Run(writer, world, ix_Q, demos["demo_id"].to_numpy(object), rng, n_questions)
        for draw in range(base_draws):
            run.attempts(0, rate_at(world, 0, learn=learn), np.arange(n_questions), origin="probe", draw=draw)
        writer.commit(0)
        for step in range(1, n_steps + 1):
            rate_Q = rate_at(world, step / n_steps, learn=learn, lift_zero=lift_zero)
            tuned = demos_per_step if step % 4 == 0 else 0
            run.train(step, rate_Q, tuned=tuned, enqueue=demos_per_step // 4)
            if step % probe_every == 0 or step == n_steps:
                run.attempts(step, rate_Q, np.arange(n_questions), origin="probe", draw=0)
                run.checkpoints.append(run.checkpoint(step))
            writer.commit(step)
        writer.write_whole("checkpoints", pd.DataFrame(run.checkpoints))
    return world


class _Run:
    def __init__(
        self,
        writer: RunWriter,
        world: World,
        ix_Q: NDArray[np.int32],
        demo_id_Q: NDArray[np.object_],
        rng: np.random.Generator,
        n_questions: int,
    ):
        self.writer, self.world, self.ix_Q, self.demo_id_Q, self.rng = writer, world, ix_Q, demo_id_Q, rng
        self.used_Q = np.zeros(n_questions, int)
        self.tuned_Q = np.zeros(n_questions, int)
        self.waiting: list[tuple[int, int]] = []  # (question, step it was enqueued), first in first out
        self.n_updates = self.n_events = 0
        self.checkpoints = [self.checkpoint(0)]

    def attempts(
        self, step: int, rate_Q: NDArray[np.float64], asked_Q: NDArray[np.int64], *, origin: str, draw: int = 0
    ) -> None:
        """Attempts at the questions asked, and their trajectories."""
        row_N = np.repeat(asked_Q, ATTEMPTS)
        correct_N = self.rng.random(len(row_N)) < rate_Q[row_N]
        frame = pd.DataFrame(
            {
                "run_id": self.writer.run.run_id, "origin": origin, "draw": draw, "step": step,
                "question_ix": self.ix_Q[row_N], "attempt": np.tile(np.arange(ATTEMPTS), len(asked_Q)),
                "verdict": np.where(correct_N, "correct", "wrong"), "verdict_rule": "box.number",
                "reward": correct_N.astype(float), "finish": "stop",
                "n_tokens": 24 + step // 5 + self.rng.integers(0, 9, len(row_N)) - 4 * correct_N,
                "answer": np.where(correct_N, "0", "1"), "mean_entropy": 0.07 * 0.98**step,
                "used_in_update": origin == "rollout", "policy_version": step, "decoding_id": origin, "seed": 0,
            }
        )  # fmt: skip
        self.writer.write("attempts", frame, step=step, origin=origin, draw=draw)
        waiting_Q = np.zeros(len(self.ix_Q), bool)
        waiting_Q[[question for question, _ in self.waiting]] = True
        by_ix = np.argsort(self.ix_Q)
        rows = trajectories_of(
            frame,
            rl_exposures=self.used_Q[by_ix],
            sft_exposures=self.tuned_Q[by_ix],
            in_buffer=waiting_Q[by_ix],
        )
        self.writer.write("trajectories", rows, step=step, origin=origin, draw=draw)

    def train(self, step: int, rate_Q: NDArray[np.float64], *, tuned: int, enqueue: int) -> None:
        """One step: rollouts, an RL update, demonstrations into the buffer, perhaps a fine-tuning update."""
        asked_Q = self.rng.choice(len(rate_Q), min(ROLLOUT_QUESTIONS, len(rate_Q)), replace=False)
        self.used_Q[asked_Q] += 1
        events = []
        for question in asked_Q[:enqueue]:
            self.waiting.append((int(question), step))
            events.append((int(question), "enqueue", len(self.waiting), 0))
        for _ in range(min(tuned, len(self.waiting))):
            question, since = self.waiting.pop(0)
            self.tuned_Q[question] += 1
            events.append((question, "train", len(self.waiting), step - since))
        self.attempts(step, rate_Q, asked_Q, origin="rollout")
        kinds = ["rl", "sft"] if tuned else ["rl"]
        updates = pd.DataFrame(
            {
                "update": self.n_updates + np.arange(len(kinds)), "kind": kinds, "optimizer": kinds, "loss": 0.1,
                "grad_norm": 0.5, "lr": 1e-4, "n_sequences": 256, "n_tokens": 6_000, "entropy": 0.07 * 0.98**step,
                "skipped": False, "seconds": 0.5,
            }
        )  # fmt: skip
        self.n_updates += len(kinds)
        self.writer.write("updates", updates, step=step)
        if events:
            self._write_events(step, events)

    def _write_events(self, step: int, events: list[tuple[int, str, int, int]]) -> None:
        question, kind, length, age = zip(*events, strict=True)
        frame = pd.DataFrame(
            {
                "event_ix": self.n_events + np.arange(len(events)), "demo_id": self.demo_id_Q[list(question)],
                "question_ix": self.ix_Q[list(question)], "event": kind, "buffer_len": length, "age_steps": age,
            }
        )  # fmt: skip
        self.n_events += len(events)
        self.writer.write("demo_events", frame, step=step)

    def checkpoint(self, step: int) -> dict[str, object]:
        """The row of `checkpoints` for the step."""
        return {
            "run_id": self.writer.run.run_id, "step": step, "kind": "train" if step else "base",
            "rl_updates": step, "sft_updates": int(self.tuned_Q.any()), "samples": step * 256,
            "generated_tokens": step * 6_000, "trained_tokens": step * 6_000,
            "demonstration_tokens": int(self.tuned_Q.sum()) * DEMO_LENGTH, "demonstrations": int(self.tuned_Q.sum()),
            "distinct_demonstrations": int((self.tuned_Q > 0).sum()), "wall_seconds": float(step),
        }  # fmt: skip


def _problem(number: int) -> str:
    return f"question {number}?"
