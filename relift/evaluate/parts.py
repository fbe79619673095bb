"""Graded answers as part files of a run: what is committed is never asked again, what is not does not exist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from relift.engines.texts import Reply
from relift.evaluate.plan import AskOf, Place
from relift.grading import Judgement
from relift.schema import Origin, Verdict
from relift.store import RunReader, RunWriter, split_responses, trajectories_of
from relift.store.trajectories import Exposures

COMMITTED = ("question_ix", "attempt", "verdict", "finish", "n_tokens", "answer")


def committed_attempts(reader: RunReader, place: Place) -> pd.DataFrame:
    """The attempts that stand at this place: the columns of COMMITTED."""
    return reader.read(
        "attempts", columns=COMMITTED, origin=str(place.origin), draws=[place.draw], steps=[place.step]
    ).astype({"verdict": str, "finish": str})


def next_part(reader: RunReader, place: Place) -> int:
    """The first free part number of this place."""
    files = reader.files("attempts", origin=str(place.origin), draws=[place.draw], steps=[place.step])
    return 1 + max((-1 if file.part is None else file.part for file in files), default=-1)


def attempt_row(
    of: AskOf, reply: Reply, judgement: Judgement, place: Place, *, agrees: bool | None = None
) -> dict[str, Any]:
    """A row of `attempts`, and `text`."""
    decided = judgement.verdict is not Verdict.undecided
    return {
        "question_ix": of.item.question_ix,
        "attempt": of.attempt,
        "verdict": str(judgement.verdict),
        "verdict_rule": judgement.rule,
        "reward": float(judgement.verdict is Verdict.correct) if decided else None,
        "finish": str(reply.finish),
        "n_tokens": reply.n_tokens,
        "answer": judgement.answer,
        "sum_logprob": reply.sum_logprob,
        "mean_entropy": reply.mean_entropy,
        "policy_version": place.policy_version,
        "decoding_id": place.decoding_id,
        "grader_agrees": agrees,
        "seed": of.ask.seed,
        "text": reply.text,
    }


@dataclass
class PartWriter:
    """Takes rows as they come and commits them in parts.

    Probes have a row of `trajectories` for every question, made from all its attempts; so of them only questions
    that are complete are committed: `samples` says by question_ix when that is. `exposures`: rl, sft, in buffer.
    """

    writer: RunWriter
    place: Place
    part: int
    samples: Mapping[int, int] = field(default_factory=dict)
    exposures: tuple[Exposures, Exposures, Exposures] = ({}, {}, {})
    n_committed: int = 0
    _rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """Rows that are not committed yet."""
        return len(self._rows)

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        self._rows.extend(rows)

    def commit(self) -> int:
        """Commit what has come, one part; its number of rows. Raises StoreError."""
        rows, rest = self._complete() if self.place.origin is Origin.probe else (self._rows, [])
        if not rows:
            return 0
        place = self.place
        files: dict[str, Any] = {"origin": str(self.place.origin), "draw": self.place.draw, "part": self.part}
        frame = pd.DataFrame(rows)
        for name in ("reward", "answer", "sum_logprob", "mean_entropy", "grader_agrees"):
            frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
        attempts, responses = split_responses(frame)
        self.writer.write("responses", responses, step=place.step, **files)
        self.writer.write("attempts", attempts, step=place.step, **files)
        if place.origin is Origin.probe:
            rl, sft, in_buffer = self.exposures
            rows_Q = trajectories_of(
                attempts.assign(step=place.step, origin=files["origin"], draw=place.draw),
                rl_exposures=rl, sft_exposures=sft, in_buffer=in_buffer,
            )  # fmt: skip
            self.writer.write("trajectories", rows_Q, step=place.step, **files)
        self.writer.commit(place.step, suffix=f".{place.origin}-d{place.draw}-p{self.part:04d}")
        self.part += 1
        self._rows = rest
        self.n_committed += len(rows)
        return len(rows)

    def _complete(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Rows of the questions that are complete, and the others."""
        counts = Counter(row["question_ix"] for row in self._rows)
        complete = {question_ix for question_ix, n in counts.items() if n == self.samples[question_ix]}
        rows: list[dict[str, Any]] = []
        rest: list[dict[str, Any]] = []
        for row in self._rows:
            (rows if row["question_ix"] in complete else rest).append(row)
        return rows, rest
