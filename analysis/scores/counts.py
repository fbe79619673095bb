"""Count the attempts of an evaluated run by benchmark and question, and by distinct answer.

Axes: Q questions of one benchmark that have any attempt, V pairs of question and distinct answer. Top-ups (draws from
2 on) never enter: they were chosen by outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift.analysis.runs.panel import RATE_DRAWS
from relift.analysis.runs.read import RunPath
from relift.analysis.scores.votes import Votes
from relift.errors import InputError
from relift.schema import Assistance, Finish, Origin, Verdict
from relift.stats import Ints
from relift.store import RunReader

Run = RunPath | RunReader

_COLUMNS = ("question_ix", "attempt", "verdict", "finish", "answer", "assistance")


@dataclass(frozen=True)
class Counts:
    """Hold one benchmark at one step. `samples`: attempts declared for each question (of a run that declares none: the
    most that a question has); `n_declared`: questions of the benchmark, attempted or not."""

    benchmark: str
    step: int
    samples: int
    n_declared: int
    out_of_distribution: bool
    question_ix_Q: Ints
    n_attempts_Q: Ints
    n_correct_Q: Ints
    n_undecided_Q: Ints
    n_truncated_Q: Ints  # cut off at max_tokens, with or without an answer before
    n_unanswered_Q: Ints  # decided, without a final answer
    n_unfinished_Q: Ints  # cut off, decided, and without a final answer
    n_refused_Q: Ints  # withheld or broken off by a server
    votes: Votes

    @property
    def n_decided_Q(self) -> Ints:
        return self.n_attempts_Q - self.n_undecided_Q


@dataclass(frozen=True)
class Benchmark:
    """Hold what a run declares of a benchmark it has sampled."""

    name: str
    question_ixs: Ints
    samples: int | None = None
    out_of_distribution: bool = False


def open_run(run: Run) -> RunReader:
    """Open the run: the reader given, or one of the folder. InputError if the folder holds none."""
    return run if isinstance(run, RunReader) else RunReader(Path(run))


def benchmarks_of(reader: RunReader) -> list[Benchmark]:
    """Return the benchmarks that run.json declares; of a run that declares none, its questions by split. A sample of
    a benchmark (--limit) is left out where the whole of it was sampled since."""
    declared = {name: of for name, of in reader.run.benchmarks.items() if of.sample_of not in reader.run.benchmarks}
    if declared:
        return [
            Benchmark(
                name,
                np.asarray(of.question_ixs, np.int64),
                samples=of.samples,
                out_of_distribution=of.out_of_distribution,
            )
            for name, of in declared.items()
        ]
    questions = reader.read("questions", columns=["question_ix", "split"])
    groups = questions.groupby(questions["split"].astype(str), sort=False)["question_ix"]
    return [Benchmark(str(split), ixs.to_numpy(np.int64)) for split, ixs in groups]


def count_attempts(reader: RunReader, *, origin: str = Origin.benchmark) -> list[Counts]:
    """Count every step and benchmark that has attempts, steps rising, benchmarks in the order declared.

    A question of two benchmarks was sampled once and counts in both; attempts beyond a benchmark's declared samples
    belong to the other one. InputError if the run has no attempt of this origin.
    """
    benchmarks = benchmarks_of(reader)
    found = []
    for step in reader.steps("attempts", origin=origin):
        draws = range(RATE_DRAWS)
        attempts = reader.read("attempts", columns=_COLUMNS, origin=origin, draws=draws, steps=[step])
        attempts = attempts[attempts["assistance"] == Assistance.none.value]
        if len(attempts):
            arrays = _Arrays.of(attempts)
            counts = (_counts(arrays, benchmark, step) for benchmark in benchmarks)
            found += [one for one in counts if len(one.question_ix_Q)]
    if not found:
        raise InputError(f"{reader.folder}: no answers of origin {origin} there yet")
    return found


@dataclass(frozen=True)
class _Arrays:
    """Hold columns of attempts as arrays; answer_N is a code, -1 where there is no final answer."""

    question_ix_N: Ints
    attempt_N: Ints
    correct_N: NDArray[np.bool_]
    undecided_N: NDArray[np.bool_]
    truncated_N: NDArray[np.bool_]
    refused_N: NDArray[np.bool_]
    answer_N: Ints
    n_answers: int

    @classmethod
    def of(cls, attempts: pd.DataFrame) -> _Arrays:
        answer_N, answers = pd.factorize(attempts["answer"])
        return cls(
            attempts["question_ix"].to_numpy(np.int64),
            attempts["attempt"].to_numpy(np.int64),
            (attempts["verdict"] == str(Verdict.correct)).to_numpy(bool),
            (attempts["verdict"] == str(Verdict.undecided)).to_numpy(bool),
            (attempts["finish"] == str(Finish.length)).to_numpy(bool),
            (attempts["finish"] == str(Finish.refused)).to_numpy(bool),
            answer_N.astype(np.int64),
            len(answers),
        )


def _counts(arrays: _Arrays, benchmark: Benchmark, step: int) -> Counts:
    """Count the attempts of one benchmark; questions in its own order, those without an attempt left out."""
    size = 1 + max(int(arrays.question_ix_N.max(initial=-1)), int(benchmark.question_ixs.max(initial=-1)))
    member = np.zeros(size, bool)
    member[benchmark.question_ixs] = True
    kept = member[arrays.question_ix_N]
    if benchmark.samples is not None:
        kept &= arrays.attempt_N < benchmark.samples
    attempted = np.bincount(arrays.question_ix_N[kept], minlength=size) > 0
    question_ix_Q = benchmark.question_ixs[attempted[benchmark.question_ixs]]
    row_of = np.full(size, -1)
    row_of[question_ix_Q] = np.arange(len(question_ix_Q))
    row = row_of[arrays.question_ix_N[kept]]
    correct, undecided, truncated = (x[kept] for x in (arrays.correct_N, arrays.undecided_N, arrays.truncated_N))
    answer = arrays.answer_N[kept]
    unanswered = ~undecided & (answer < 0)

    def per_question(marked: NDArray[np.bool_]) -> Ints:
        return np.bincount(row[marked], minlength=len(question_ix_Q))

    everyone = np.ones(len(row), bool)
    n_attempts_Q = per_question(everyone)
    return Counts(
        benchmark.name, step, benchmark.samples or int(n_attempts_Q.max(initial=0)), len(benchmark.question_ixs),
        benchmark.out_of_distribution, question_ix_Q, n_attempts_Q, per_question(correct), per_question(undecided),
        per_question(truncated), per_question(unanswered), per_question(unanswered & truncated),
        per_question(arrays.refused_N[kept]),
        _votes(row, answer, voting=~undecided & (answer >= 0), correct=correct, n_answers=arrays.n_answers),
    )  # fmt: skip


def _votes(row: Ints, answer: Ints, *, voting: NDArray[np.bool_], correct: NDArray[np.bool_], n_answers: int) -> Votes:
    pair = row[voting] * max(n_answers, 1) + answer[voting]
    pairs, where, count_V = np.unique(pair, return_inverse=True, return_counts=True)
    right_V = np.bincount(where, weights=correct[voting], minlength=len(pairs)).astype(np.int64)
    return Votes(pairs // max(n_answers, 1), count_V, right_V)
