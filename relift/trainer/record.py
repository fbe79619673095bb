"""What the loop writes down: frames of `attempts`, `trajectories`, `updates`, `demo_events`, and running totals.

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

    def updates(self, step: int, done: Sequence[tuple[Update, UpdateStats]]) -> None:
        """The optimizer steps of a step, in order; totals already count them."""
        first = self.totals.updates - len(done)
        rows = [
            {"update": first + i, "kind": str(u.kind), "optimizer": u.optimizer} | asdict(s)
            for i, (u, s) in enumerate(done)
        ]
        if rows:
            self.writer.write("updates", pd.DataFrame(rows), step=step)

    def demo_events(self, step: int, buffer: DemoBuffer) -> None:
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

    def rollouts(
        self,
        step: int,
        answers: Answers,
        *,
        advantage_QG: np.ndarray,
        used_QG: np.ndarray,
        texts: bool,
        waiting: Collection[int],
    ) -> None:
        """The training samples of a step and how they were used; the exposures count this step."""
        frame = attempts_frame(answers, decoding="rollout")
        frame["advantage"] = np.where(answers.decided_QG, advantage_QG, np.nan).ravel()
        frame["used_in_update"] = used_QG.ravel()
        self.totals.samples += len(frame)
        self.totals.generated_tokens += int(frame["n_tokens"].sum())
        self.rl_exposures[answers.question_ix_Q[used_QG.any(axis=1)]] += 1
        self.write_attempts(step, Origin.rollout, 0, frame, texts=texts, waiting=waiting)

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


def attempts_frame(answers: Answers, *, decoding: str) -> pd.DataFrame:
    """A row per attempt: the columns of `attempts` that sampling and grading give, and `text`."""
    rows = [
        attempt_row(
            question_ix=int(question_ix),
            attempt=g,
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
        for question_ix, completions, judgements, texts in zip(
            answers.question_ix_Q, answers.completions_QG, answers.judgements_QG, answers.texts_QG, strict=True
        )
        for g, (completion, judgement, text) in enumerate(zip(completions, judgements, texts, strict=True))
    ]
    return frame_of(rows)
