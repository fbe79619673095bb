"""Write down what the loop does: frames of `attempts`, `trajectories`, `updates`, `demo_events`, and running totals.

Axes: Q questions, G attempts at each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd

from relift.learner.update import Update, UpdateStats
from relift.schema import Origin, UpdateKind
from relift.store import RunWriter, split_responses, trajectories_of
from relift.store.rows import attempt_row
from relift.store.rows import attempts_frame as frame_of
from relift.trainer.answers import Answers
from relift.trainer.demos import DemoBuffer


@dataclass
class Totals:
    """Running counts of a run; a row of `checkpoints` but for step, kind and path."""

    rl_updates: int = 0
    sft_updates: int = 0
    samples: int = 0
    generated_tokens: int = 0
    trained_tokens: int = 0
    demonstration_tokens: int = 0
    demonstrations: int = 0
    distinct_demonstrations: int = 0
    wall_seconds: float = 0.0
    updates: int = 0  # optimizer steps of any kind: the next `update`
    events: int = 0  # the next `event_ix`

    ROW = ("rl_updates", "sft_updates", "samples", "generated_tokens", "trained_tokens", "demonstration_tokens",
           "demonstrations", "distinct_demonstrations", "wall_seconds")  # fmt: skip

    def row(self) -> dict[str, int | float]:
        """The columns of `checkpoints`."""
        return {name: getattr(self, name) for name in self.ROW}

    def used(self, *, n_parameters: int) -> dict[str, float]:
        """Give what a budget can limit (config section budget)."""
        per_parameter = 2 * self.generated_tokens + 6 * self.trained_tokens
        names = ("updates", "demonstrations", "generated_tokens")
        return {**{n: getattr(self, n) for n in names}, "flops": float(per_parameter) * n_parameters,
                "seconds": self.wall_seconds}  # fmt: skip

    @classmethod
    def load(cls, values: Mapping[str, object]) -> Totals:
        return cls(**{f.name: values[f.name] for f in fields(cls)})  # type: ignore[arg-type]


@dataclass
class Record:
    """Writes the tables of one run and keeps what they accumulate."""

    writer: RunWriter
    n_questions: int
    totals: Totals = field(default_factory=Totals)
    rl_exposures: np.ndarray = field(init=False)  # by question_ix
    sft_exposures: np.ndarray = field(init=False)
    base_gap_nats: float = 0.0
    base_gap_tokens: int = 0

    def __post_init__(self) -> None:
        self.rl_exposures = np.zeros(self.n_questions, dtype=np.int32)
        self.sft_exposures = np.zeros(self.n_questions, dtype=np.int32)

    def count_update(self, update: Update, stats: UpdateStats) -> None:
        """Add one optimizer step to the totals; a refused one counts as no update."""
        self.totals.updates += 1
        if stats.skipped:
            return
        demo = [s for c in update.components if c.name == "demo" for s in c.sequences]
        self.totals.sft_updates += bool(demo)
        self.totals.rl_updates += update.kind is not UpdateKind.sft
        self.totals.trained_tokens += stats.n_tokens
        self.totals.demonstration_tokens += sum(len(s.completion_ids_T) for s in demo)

    def write_updates(self, step: int, done: Sequence[tuple[Update, UpdateStats]]) -> None:
        """The optimizer steps of a step, in order; totals already count them."""
        first = self.totals.updates - len(done)
        rows = [
            {"update": first + i, "kind": str(u.kind), "optimizer": u.optimizer} | asdict(s)
            for i, (u, s) in enumerate(done)
        ]
        if rows:
            self.writer.write("updates", pd.DataFrame(rows), step=step)

    def write_demo_events(self, step: int, buffer: DemoBuffer) -> None:
        """The buffer's events since the last step."""
        events = [asdict(e) for e in buffer.take_events()]
        for event in events:
            if event["event"] == "train" and event["reason"] is None:
                self.sft_exposures[event["question_ix"]] += 1
        self.totals.demonstrations = sum(buffer.uses.values())
        self.totals.distinct_demonstrations = len(buffer.uses)
        if events:
            frame = pd.DataFrame(events)
            frame["event_ix"] = self.totals.events + np.arange(len(events))
            for name in ("reason", "age_steps", "n_correct", "n_attempts"):
                frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
            self.totals.events += len(events)
            self.writer.write("demo_events", frame, step=step)

    def write_rollouts(
        self,
        step: int,
        answers: Answers,
        done: Sequence[tuple[Update, UpdateStats]],
        *,
        texts: bool,
        waiting: Collection[int],
    ) -> None:
        """Write the training samples of a step and how they were used; the exposures count this step."""
        frame = attempts_frame(answers, decoding="rollout")
        advantage_QG, used_QG = uses_of(answers, done)
        rewarded_QG = answers.rewarded_QG
        frame["reward"] = np.where(rewarded_QG, answers.reward_QG, np.nan).ravel()
        if answers.round_Q is not None:
            frame["round"] = answers.round_Q.repeat(rewarded_QG.shape[1])
        if answers.weight_Q is not None:
            frame["draw_weight"] = answers.weight_Q.repeat(rewarded_QG.shape[1])
        frame["advantage"] = advantage_QG.ravel()
        frame["used_in_update"] = used_QG.ravel()
        self.totals.samples += len(frame)
        self.totals.generated_tokens += int(frame["n_tokens"].sum())
        self.rl_exposures[answers.question_ix_Q[used_QG.any(axis=1)]] += 1
        self.write_attempts(step, Origin.rollout, 0, frame, texts=texts, waiting=waiting)

    def note_kl_to_base(self, frame: pd.DataFrame) -> None:
        """Add probe answers, scored under policy and base, to the estimate of the step's KL(policy || base)."""
        self.base_gap_nats += float((frame["sum_logprob"] - frame["sum_logprob_base"]).sum())
        self.base_gap_tokens += int(frame["n_tokens"].sum())

    def forget_kl_to_base(self) -> None:
        """Begin the estimate of another step."""
        self.base_gap_nats, self.base_gap_tokens = 0.0, 0

    @property
    def kl_to_base(self) -> float | None:
        """Mean over tokens of log p_policy - log p_base on this step's probe answers, nats; None without a probe."""
        return self.base_gap_nats / self.base_gap_tokens if self.base_gap_tokens else None

    def write_attempts(
        self, step: int, origin: Origin, draw: int, frame: pd.DataFrame, *, texts: bool, waiting: Collection[int] = ()
    ) -> None:
        """Attempts, the texts that are kept, and the trajectories they make. `waiting`: questions in the buffer."""
        attempts, responses = split_responses(frame if texts else frame.assign(text=None))
        place: dict[str, Any] = {"step": step, "origin": str(origin), "draw": draw}
        if texts:
            self.writer.write("responses", responses, **place)
        self.writer.write("attempts", attempts, **place)
        in_buffer = np.zeros(self.n_questions, dtype=bool)
        in_buffer[list(waiting)] = True
        trajectories = trajectories_of(
            attempts.assign(**place),
            rl_exposures=self.rl_exposures,
            sft_exposures=self.sft_exposures,
            in_buffer=in_buffer,
        )
        self.writer.write("trajectories", trajectories, **place)


def uses_of(answers: Answers, done: Sequence[tuple[Update, UpdateStats]]) -> tuple[np.ndarray, np.ndarray]:
    """Find (advantage_QG, used_QG): each attempt's mean advantage, and whether an optimizer step was made with it.

    An attempt that no update took had nothing to teach: advantage 0. Null where there was none: without a reward,
    masked, or beyond what a refilled step trains on.
    """
    advantage_QG = np.where(answers.counted_QG, 0.0, np.nan)
    advantage_QG[sorted(answers.surplus)] = np.nan
    used_QG = np.zeros(answers.decided_QG.shape, dtype=bool)
    for update, stats in done:
        for sequence in (s for component in update.components for s in component.sequences if s.attempt):
            advantage_T = sequence.columns.get("advantage")  # absent: a teacher's words alone are trained on
            if advantage_T is not None:
                advantage_QG[sequence.attempt] = advantage_T.mean(dtype=np.float64) if len(advantage_T) else 0.0
            used_QG[sequence.attempt] |= not stats.skipped
    return advantage_QG, used_QG


def attempts_frame(answers: Answers, *, decoding: str) -> pd.DataFrame:
    """A row per attempt: the columns of `attempts` that sampling and grading give, and `text`."""
    rows = [
        attempt_row(
            question_ix=int(question_ix),
            attempt=int(first) + g,
            assistance=assistance,
            verdict=judgement.verdict,
            rule=judgement.rule,
            answer=judgement.answer,
            finish=completion.finish,
            n_tokens=len(completion.token_ids_T),
            policy_version=answers.version,
            decoding_id=decoding,
            seed=completion.seed,
            text=text,
            sum_logprob=float(np.sum(completion.logprobs_T, dtype=np.float64)),
            mean_entropy=completion.mean_entropy,
        )
        for question_ix, first, *row in zip(
            answers.question_ix_Q,
            np.zeros(len(answers), np.int32) if answers.first_Q is None else answers.first_Q,
            answers.completions_QG,
            answers.judgements_QG,
            answers.texts_QG,
            answers.assistance_QG,
            strict=True,
        )
        for g, (completion, judgement, text, assistance) in enumerate(zip(*row, strict=True))
    ]
    return frame_of(rows)
