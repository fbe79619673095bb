"""Trajectories from attempts: one row per question at a step. The same function writes them and checks them.

Axes: N attempts, Q questions asked at this step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from relift.schema import Assistance, Finish, Verdict
from relift.store.tables import unassisted

Exposures = Mapping[int, int] | np.ndarray  # by question_ix; questions that a mapping lacks count 0
_CONSTANT = ("origin", "draw", "step")


# Longer than 60 lines: half are its promises, and the columns are best read one below the other.
def trajectories_of(
    attempts: pd.DataFrame | pa.Table, *, rl_exposures: Exposures, sft_exposures: Exposures, in_buffer: Exposures
) -> pd.DataFrame:
    """Rows of `trajectories` (without run_id) from the attempts of one origin, draw and step, by question_ix.

    origin, draw and step are passed on if the attempts have them. rl_exposures: steps up to this one with a rollout
    attempt at the question that was used in an update; sft_exposures: demonstrations of it trained on so far;
    in_buffer: one waits after this step. Assisted attempts count nowhere. n_distinct_answers counts answers that were
    found. Means are taken in float64 in order of attempt, so rows rebuilt from the file are equal to those computed
    before it was written.
    Raises ValueError if the attempts are of several origins, draws or steps.
    """
    if isinstance(attempts, pa.Table):
        attempts = unassisted(attempts)
    elif "assistance" in attempts:
        attempts = attempts[attempts["assistance"].astype(str) == Assistance.none.value]
    columns = {name: _column(attempts, name) for name in _needed(attempts)}
    constants: dict[str, Any] = {}
    for name in _CONSTANT:
        if name in columns:
            values = pc.unique(columns[name])
            if len(values) > 1:
                raise ValueError(f"attempts of several values of {name}: {values.to_pylist()[:5]}")
            constants[name] = values[0].as_py() if len(values) else None
    question_N = columns["question_ix"].to_numpy(zero_copy_only=False)
    order = np.lexsort((columns["attempt"].to_numpy(zero_copy_only=False), question_N))
    question_N = question_N[order]
    question_Q, row_N = np.unique(question_N, return_inverse=True)
    n_questions = len(question_Q)

    def count(mask_N: np.ndarray) -> np.ndarray:
        return np.bincount(row_N[mask_N], minlength=n_questions)

    def mean(value_N: np.ndarray, mask_N: np.ndarray) -> np.ndarray:
        """float32 [Q], NaN where no attempt is in the mask."""
        total_Q = np.bincount(row_N[mask_N], weights=value_N[mask_N], minlength=n_questions)
        n_Q = count(mask_N)
        return np.where(n_Q > 0, total_Q / np.maximum(n_Q, 1), np.nan).astype(np.float32)

    everyone_N = np.ones(len(order), bool)
    correct_N = _equals(columns["verdict"], Verdict.correct)[order]
    tokens_N = columns["n_tokens"].cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)[order]
    counted_N = columns["n_tokens"].is_valid().to_numpy(zero_copy_only=False)[order]
    entropy = columns["mean_entropy"].cast(pa.float64())
    frame = {
        **{name: np.repeat(value, n_questions) for name, value in constants.items()},
        "question_ix": question_Q.astype(np.int32),
        "n_attempts": count(everyone_N).astype(np.int32),
        "n_correct": count(correct_N).astype(np.int32),
        "n_undecided": count(_equals(columns["verdict"], Verdict.undecided)[order]).astype(np.int32),
        "n_truncated": count(_equals(columns["finish"], Finish.length)[order]).astype(np.int32),
        "n_distinct_answers": _distinct(columns["answer"], order, row_N, n_questions).astype(np.int32),
        "mean_tokens": mean(tokens_N, counted_N),
        "mean_tokens_correct": mean(tokens_N, correct_N & counted_N),
        "mean_entropy": mean(
            entropy.fill_null(0.0).to_numpy(zero_copy_only=False)[order],
            entropy.is_valid().to_numpy(zero_copy_only=False)[order],
        ),
        "rl_exposures": _looked_up(rl_exposures, question_Q).astype(np.int32),
        "sft_exposures": _looked_up(sft_exposures, question_Q).astype(np.int32),
        "in_buffer": _looked_up(in_buffer, question_Q).astype(bool),
    }
    return pd.DataFrame(frame)


def _needed(attempts: pd.DataFrame | pa.Table) -> list[str]:
    names = ["question_ix", "attempt", "verdict", "finish", "n_tokens", "answer", "mean_entropy"]
    present = attempts.column_names if isinstance(attempts, pa.Table) else attempts.columns
    return names + [name for name in _CONSTANT if name in present]


def _column(attempts: pd.DataFrame | pa.Table, name: str) -> pa.Array:
    present = attempts.column_names if isinstance(attempts, pa.Table) else attempts.columns
    if name not in present and name in ("answer", "mean_entropy"):  # nullable: absent is null, as for the writer
        return pa.nulls(len(attempts), pa.string() if name == "answer" else pa.float64())
    if isinstance(attempts, pa.Table):
        array = attempts.column(name).combine_chunks()
    else:
        array = pa.array(attempts[name], from_pandas=True)
    array = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
    if name == "mean_entropy":
        array = array.cast(pa.float32())  # as the file keeps it
    return array


def _equals(values: pa.Array, word: str) -> np.ndarray:
    if pa.types.is_null(values.type):  # no rows: pandas has no type for them
        return np.zeros(len(values), bool)
    return np.asarray(pc.equal(values, pa.scalar(str(word))).to_numpy(zero_copy_only=False), bool)


def _distinct(answers: pa.Array, order: np.ndarray, row_N: np.ndarray, n_questions: int) -> np.ndarray:
    codes = answers.cast(pa.string()).dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)[order]
    found_N = codes >= 0
    pairs = np.unique(np.stack([row_N[found_N], codes[found_N]]), axis=1)
    return np.bincount(pairs[0], minlength=n_questions)


def _looked_up(values: Exposures, question_Q: np.ndarray) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return values[question_Q]
    return np.array([values.get(int(question), 0) for question in question_Q], dtype=np.int64)
