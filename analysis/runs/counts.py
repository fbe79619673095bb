"""Hold counts of many probes in small arrays, a question by probe, for tables too big to hold as rows.

Axes: Q questions, P probes (run, step, draw), T steps.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from relift.analysis.runs.read import Runs, label_of, open_runs, question_index
from relift.errors import InputError
from relift.schema import Verdict
from relift.store import unassisted

Source = Literal["trajectories", "attempts"]
COLUMNS = {
    "trajectories": ["question_ix", "n_attempts", "n_correct", "n_undecided"],
    "attempts": ["question_ix", "verdict", "assistance"],
}
NAMES = ("n_attempts", "n_correct", "n_undecided")


@dataclass(frozen=True)
class Counts:
    """Hold n_attempts, n_correct, n_undecided of each question and probe, all 0 where it was not asked.

    `probes` has run_id, run, step, draw, a row per column of the arrays. Takes the place of a trajectories frame in
    `assign_bands`, `band_accuracy` and `band_transitions`.
    """

    question_ids: pd.Index
    probes: pd.DataFrame
    origin: str
    count_QP: dict[str, NDArray[np.int16]]

    def select(self, keep_P: NDArray[np.bool_]) -> Counts:
        """Select these probes alone."""
        kept = {name: count[:, keep_P] for name, count in self.count_QP.items()}
        return Counts(self.question_ids, self.probes[keep_P].reset_index(drop=True), self.origin, kept)

    def rows(self, keep_P: NDArray[np.bool_]) -> pd.DataFrame:
        """List question_id and the counts of these probes, a row per question that was asked."""
        parts = []
        for probe in np.flatnonzero(keep_P):
            asked_Q = self.count_QP["n_attempts"][:, probe] > 0
            counts = {name: count_QP[asked_Q, probe] for name, count_QP in self.count_QP.items()}
            parts.append(pd.DataFrame({"question_id": self.question_ids[asked_Q], **counts}))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["question_id", *NAMES])


def read_counts(
    runs: Runs,
    *,
    origin: str = "probe",
    source: Source = "trajectories",
    steps: Collection[int] | None = None,
    draws: Collection[int] | None = None,
) -> Counts:
    """Count several runs, joined on question_id, file by file: only the counts themselves are held in memory.

    `source`: the rows of `trajectories`, or `attempts`, counted anew. InputError if there is no such probe.
    """
    readers = open_runs(runs)
    ids = [question_index(reader) for reader in readers]
    question_ids = ids[0] if len(ids) == 1 else pd.Index(np.unique(np.concatenate([i.to_numpy() for i in ids])))
    probes, columns = [], []
    for reader, own in zip(readers, ids, strict=True):
        row_of_ix = None if own is question_ids else question_ids.get_indexer(own)
        counted: dict[tuple[int, int], NDArray[np.int16]] = {}
        tables = reader.iter_tables(source, columns=COLUMNS[source], origin=origin, steps=steps, draws=draws)
        for file, table in tables:
            count_3Q = count_rows(table, len(own), source)
            key = (file.step, file.draw or 0)
            counted[key] = counted[key] + count_3Q if key in counted else count_3Q  # evaluations come in parts
        for (step, draw), count_3Q in counted.items():
            probes.append((reader.run_id, label_of(reader), step, draw))
            columns.append(count_3Q if row_of_ix is None else _placed(count_3Q, row_of_ix, len(question_ids)))
    if not columns:
        raise InputError(f"no {source} of origin {origin} in these runs")
    counts = {}
    for i, name in enumerate(NAMES):
        counts[name] = np.empty((len(columns), len(question_ids)), np.int16)
        for p, count_3Q in enumerate(columns):
            counts[name][p] = count_3Q[i]
    frame = pd.DataFrame(probes, columns=["run_id", "run", "step", "draw"])
    return Counts(question_ids, frame, origin, {name: count.T for name, count in counts.items()})


def _placed(count_3Q: NDArray[np.int16], row_Q: NDArray[np.intp], n: int) -> NDArray[np.int16]:
    placed = np.zeros((len(NAMES), n), np.int16)
    placed[:, row_Q] = count_3Q
    return placed


def count_rows(table: pa.Table, n_questions: int, source: Source) -> NDArray[np.int16]:
    """Count the rows of one file: NAMES by question_ix, [3, Q], int16."""
    table = unassisted(table)
    ix_N = table["question_ix"].to_numpy()
    if source == "trajectories":
        rows = [table[name].to_numpy() for name in NAMES]
        if (
            len(ix_N) == n_questions and ix_N[0] == 0 and ix_N[-1] == n_questions - 1
        ):  # sorted and distinct: all of them
            return np.stack(rows)
        return _placed(np.stack(rows), ix_N, n_questions)
    verdict = table["verdict"].combine_chunks()
    words = verdict.dictionary.to_pylist()
    kind_of = np.array([1 if w == Verdict.correct else 2 if w == Verdict.undecided else 0 for w in words] or [0])
    # one pass: question and verdict packed into one number, three of them per question
    packed_N = ix_N * 3 + kind_of[verdict.indices.to_numpy()].astype(ix_N.dtype)
    count_Q3 = np.bincount(packed_N, minlength=3 * n_questions).reshape(n_questions, 3)
    return np.stack([count_Q3.sum(axis=1), count_Q3[:, 1], count_Q3[:, 2]]).astype(np.int16)


@dataclass(frozen=True)
class Cube:
    """Hold counts of one run and draw, Q questions by T steps; n_decided 0 where a question was not probed."""

    n_correct_QT: NDArray[np.int16]
    n_decided_QT: NDArray[np.int16]
    step_T: NDArray[np.int64]
    question_ix_Q: NDArray[np.int64]
