"""A small run whose every answer text is given, to be written step by step, as a live run is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from relift.run_record import RunRecord
from relift.schema import RunStatus, demo_id_of, question_id_of
from relift.store import RunWriter, trajectories_of

ATTEMPTS = 4


class WrittenRun:
    """Questions with their answers: `verdicts` at a step are one string per question, c correct, w wrong, u undecided.

    The first attempt's text is exactly the question's own in `texts`, the others' begin with number and verdict.
    """

    def __init__(
        self, folder: Path, problems: Sequence[str], texts: Sequence[str], *, name: str = "rl", status: str = "done",
        seed: int = 1, demonstrations: Mapping[str, str] | None = None,
        origin: str = "probe",
    ):  # fmt: skip
        self.problems, self.texts, self.origin = list(problems), list(texts), origin
        self.ids = [question_id_of(problem) for problem in problems]
        self.ix_Q = np.arange(len(problems), dtype=np.int32)
        questions = pd.DataFrame(
            {
                "question_id": self.ids, "question_ix": self.ix_Q, "source": "written", "split": "probe",
                "problem": self.problems, "answer": "42", "answer_kind": "exact", "prompt_tokens": 9,
                "has_demo": bool(demonstrations),
            }
        )  # fmt: skip
        demos = None
        if demonstrations:
            known = [(i, demonstrations[p]) for i, p in enumerate(self.problems) if p in demonstrations]
            demos = pd.DataFrame(
                {
                    "demo_id": [demo_id_of(self.ids[i], text) for i, text in known],
                    "question_ix": np.array([i for i, _ in known], np.int32), "source": "dataset",
                    "text": [text for _, text in known], "n_tokens": 5, "verified": True, "accepted": True,
                }
            )  # fmt: skip
        self.demo_of = {} if demos is None else dict(zip(demos["question_ix"], demos["demo_id"], strict=True))
        self.writer = RunWriter(folder).__enter__()
        self.folder = folder
        self.writer.start(
            RunRecord(run_id=f"{name}-{seed}", name=name, seed=seed, status=RunStatus(status)),
            config_toml="", questions=questions, demonstrations=demos,
        )  # fmt: skip

    def step(
        self, step: int, verdicts: Sequence[str], *, draws: int = 1, events: Sequence[tuple[int, str]] = ()
    ) -> None:
        """One committed step with a probe of every question, and events (question, kind) of demonstrations."""
        for draw in range(draws):
            self._probe(step, verdicts, draw)
        if events:
            frame = pd.DataFrame(
                {
                    "event_ix": 100 * step + np.arange(len(events)),
                    "demo_id": [self.demo_of[question] for question, _ in events],
                    "question_ix": np.array([question for question, _ in events], np.int32),
                    "event": [kind for _, kind in events], "buffer_len": 1, "age_steps": 0,
                }
            )  # fmt: skip
            self.writer.write("demo_events", frame, step=step)
        self.writer.commit(step)

    def _probe(self, step: int, verdicts: Sequence[str], draw: int) -> None:
        words = {"c": "correct", "w": "wrong", "u": "undecided"}
        letters = [letter for of in verdicts for letter in of]
        row_N = np.repeat(np.arange(len(self.ids)), [len(of) for of in verdicts])
        attempt_N = np.concatenate([np.arange(len(of)) for of in verdicts])
        verdict_N = [words[letter] for letter in letters]
        attempts = pd.DataFrame(
            {
                "run_id": self.writer.run.run_id, "origin": self.origin, "draw": draw, "step": step,
                "question_ix": self.ix_Q[row_N], "attempt": attempt_N, "verdict": verdict_N,
                "verdict_rule": "box.text", "finish": "stop", "n_tokens": 7,
                "answer": ["42" if word == "correct" else "41" for word in verdict_N], "policy_version": step,
                "decoding_id": self.origin, "seed": 0, "response_id": np.arange(len(row_N)),
            }
        )  # fmt: skip
        texts = [
            self.texts[row] if attempt == 0 else f"attempt {attempt}, {verdict}: {self.texts[row][:200]}"
            for row, attempt, verdict in zip(row_N, attempt_N, verdict_N, strict=True)
        ]
        self.writer.write("attempts", attempts, step=step, origin=self.origin, draw=draw)
        zeros = np.zeros(len(self.ids), int)
        rows = trajectories_of(attempts, rl_exposures=zeros, sft_exposures=zeros, in_buffer=zeros.astype(bool))
        if self.origin != "benchmark":  # evaluations keep none
            self.writer.write("trajectories", rows, step=step, origin=self.origin, draw=draw)
        keys = attempts[["response_id", "question_ix", "attempt"]]
        self.writer.write("responses", keys.assign(text=texts), step=step, origin=self.origin, draw=draw)

    def close(self) -> None:
        """Lets go of the folder."""
        self.writer.close()
