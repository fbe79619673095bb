"""Commit graded answers as part files of a run: a committed answer is never asked for again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from relift.engines.texts import Reply
from relift.evaluate.plan import Destination, PlannedAttempt
from relift.grading import Judgement
from relift.schema import Origin
from relift.store import RunReader, RunWriter, split_responses, trajectories_of
from relift.store.rows import attempt_row, attempts_frame
from relift.store.trajectories import Exposures

COMMITTED = ("question_ix", "attempt", "verdict", "finish", "n_tokens", "answer")


def committed_attempts(reader: RunReader, destination: Destination) -> pd.DataFrame:
    """Read the columns COMMITTED of the attempts that are there."""
    return reader.read(
        "attempts",
        columns=COMMITTED,
        origin=str(destination.origin),
        draws=[destination.draw],
        steps=[destination.step],
    ).astype({"verdict": str, "finish": str})


def next_part(reader: RunReader, destination: Destination) -> int:
    """Find the first free part number."""
    files = reader.files("attempts", origin=str(destination.origin), draws=[destination.draw], steps=[destination.step])
    return 1 + max((-1 if file.part is None else file.part for file in files), default=-1)


def answer_row(
    planned: PlannedAttempt, reply: Reply, judgement: Judgement, destination: Destination, *, agrees: bool | None = None
) -> dict[str, Any]:
    """Make a row of `attempts`, with `text`, of an answer and its verdict."""
    return attempt_row(
        question_ix=planned.question.question_ix,
        attempt=planned.attempt,
        verdict=judgement.verdict,
        rule=judgement.rule,
        answer=judgement.answer,
        finish=reply.finish,
        n_tokens=reply.n_tokens,
        policy_version=destination.policy_version,
        decoding_id=destination.decoding_id,
        seed=planned.request.seed,
        text=reply.text,
        sum_logprob=reply.sum_logprob,
        mean_entropy=reply.mean_entropy,
        grader_agrees=agrees,
    )


@dataclass
class PartWriter:
    """Take rows as they come and commit them in parts.

    Probes have a row of `trajectories` for every question, made from all its attempts; so of them only questions
    that are complete are committed: `samples` says by question_ix when that is. `exposures`: rl, sft, in buffer.
    """

    writer: RunWriter
    destination: Destination
    part: int
    samples: Mapping[int, int] = field(default_factory=dict)
    exposures: tuple[Exposures, Exposures, Exposures] = ({}, {}, {})
    n_committed: int = 0
    _rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """Number of rows that are not committed yet."""
        return len(self._rows)

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        self._rows.extend(rows)

    def commit(self) -> int:
        """Commit the rows that have come as one part, and return their number. Raises StoreError."""
        to = self.destination
        rows, rest = self._complete() if to.origin is Origin.probe else (self._rows, [])
        if not rows:
            return 0
        files: dict[str, Any] = {"step": to.step, "origin": str(to.origin), "draw": to.draw, "part": self.part}
        attempts, responses = split_responses(attempts_frame(rows))
        self.writer.write("responses", responses, **files)
        self.writer.write("attempts", attempts, **files)
        if to.origin is Origin.probe:
            rl, sft, in_buffer = self.exposures
            rows_Q = trajectories_of(
                attempts.assign(step=to.step, origin=files["origin"], draw=to.draw),
                rl_exposures=rl, sft_exposures=sft, in_buffer=in_buffer,
            )  # fmt: skip
            self.writer.write("trajectories", rows_Q, **files)
        self.writer.commit(to.step, suffix=f".{to.origin}-d{to.draw}-p{self.part:04d}")
        self.part += 1
        self._rows = rest
        self.n_committed += len(rows)
        return len(rows)

    def _complete(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Part the rows of complete questions from the others."""
        counts = Counter(row["question_ix"] for row in self._rows)
        complete = {question_ix for question_ix, n in counts.items() if n == self.samples[question_ix]}
        rows: list[dict[str, Any]] = []
        rest: list[dict[str, Any]] = []
        for row in self._rows:
            (rows if row["question_ix"] in complete else rest).append(row)
        return rows, rest
