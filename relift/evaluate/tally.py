"""Running counts of an evaluation, by benchmark: what a progress display shows and what the sentences after it say.

Axes: Q questions of a benchmark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from relift.schema import Finish, Verdict
from relift.stats import mean_over_questions


@dataclass(frozen=True)
class Standing:
    """One benchmark so far. `mean` over its questions with a decided attempt; `standard_error` is of these questions
    (SE_a): (1/Q) sqrt(sum p (1 - p) / (k - 1)), None unless every one of them has two decided attempts and some vary.
    `low`, `high`: 95 % interval of the mean for questions like these."""

    name: str
    total: int  # answers wanted
    done: int
    n_questions: int
    n_seen: int  # questions with a decided attempt
    n_correct: int
    n_undecided: int
    n_truncated: int
    n_truncated_unanswered: int  # cut off before a final answer
    n_refused: int  # withheld or broken off by a server
    n_tokens: int
    mean: float | None
    standard_error: float | None
    low: float | None
    high: float | None


class Tally:
    """Counts attempts. `members`: by benchmark the question_ix of its questions, and attempts wanted at each; an
    attempt beyond that number belongs to another benchmark with the same question, and is not counted."""

    def __init__(self, members: Mapping[str, tuple[Sequence[int], int]]) -> None:
        self._samples = {name: samples for name, (_, samples) in members.items()}
        self._row: dict[int, list[tuple[str, int]]] = {}
        self._correct_Q: dict[str, np.ndarray] = {}
        self._decided_Q: dict[str, np.ndarray] = {}
        self._counts = {name: np.zeros(6, dtype=np.int64) for name in members}  # in the order of `_standing`
        for name, (question_ixs, _) in members.items():
            self._correct_Q[name] = np.zeros(len(question_ixs), dtype=np.int64)
            self._decided_Q[name] = np.zeros(len(question_ixs), dtype=np.int64)
            for row, question_ix in enumerate(question_ixs):
                self._row.setdefault(question_ix, []).append((name, row))
        self.answers = 0  # of all benchmarks, each once
        self.undecided = 0
        self.tokens = 0

    def add(self, question_ix: int, attempt: int, *, verdict: str, finish: str, n_tokens: int, answered: bool) -> None:
        """Count one attempt."""
        undecided = verdict == Verdict.undecided
        truncated = finish == Finish.length
        self.answers += 1
        self.undecided += undecided
        self.tokens += n_tokens
        for name, row in self._row.get(question_ix, ()):
            if attempt < self._samples[name]:
                self._correct_Q[name][row] += verdict == Verdict.correct
                self._decided_Q[name][row] += not undecided
                self._counts[name] += (
                    1, undecided, truncated, truncated and not answered, finish == Finish.refused, n_tokens,
                )  # fmt: skip

    def add_frame(self, attempts: pd.DataFrame) -> None:
        """Count rows of `attempts`."""
        columns = ("question_ix", "attempt", "verdict", "finish", "n_tokens")
        answered = attempts["answer"].notna().tolist()
        rows = zip(*(attempts[name].tolist() for name in columns), answered, strict=True)
        for question_ix, attempt, verdict, finish, n_tokens, has_answer in rows:
            self.add(question_ix, attempt, verdict=verdict, finish=finish, n_tokens=n_tokens, answered=has_answer)

    def standings(self) -> list[Standing]:
        """Every benchmark as it stands."""
        return [self._standing(name) for name in self._samples]

    def _standing(self, name: str) -> Standing:
        correct_Q, decided_Q = self._correct_Q[name], self._decided_Q[name]
        seen_Q = decided_Q > 0
        p_Q = correct_Q[seen_Q] / np.maximum(decided_Q[seen_Q], 1)
        spare_Q = decided_Q[seen_Q] - 1
        mean = float(p_Q.mean()) if len(p_Q) else None
        error = low = high = None
        if len(p_Q):
            estimate = mean_over_questions(correct_Q, decided_Q)
            low, high = estimate.low, estimate.high
            variance = (p_Q * (1 - p_Q) / np.maximum(spare_Q, 1)).sum()
            if (spare_Q > 0).all() and variance > 0:  # an error of 0 would claim what nobody knows
                error = float(np.sqrt(variance) / len(p_Q))
        done, undecided, truncated, unanswered, refused, tokens = (int(n) for n in self._counts[name])
        return Standing(
            name, len(correct_Q) * self._samples[name], done, len(correct_Q), int(seen_Q.sum()), int(correct_Q.sum()),
            undecided, truncated, unanswered, refused, tokens, mean, error, low, high,
        )  # fmt: skip
