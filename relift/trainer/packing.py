"""From sequences to micro-batches: length-sorted, laid end to end, bounded by a token budget. Numpy only.

Nothing that a loss sees depends on what is decided here; only rounding does.

Axes: S sequences of a micro-batch, N their input tokens laid end to end, C their completion tokens likewise.
A sequence of P prompt and T completion tokens takes P + T - 1 input tokens: its last token predicts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relift.errors import InputError
from relift.trainer.batch import TrainSequence


@dataclass(frozen=True)
class MicroBatch:
    """Sequences laid end to end, longest first. `index_S` are their places in the list that was packed."""

    index_S: np.ndarray  # int64
    input_ids_N: np.ndarray  # int64
    position_N: np.ndarray  # int64, restarts at 0 with every sequence
    length_S: np.ndarray  # int64, input tokens of each sequence; N is their sum
    predictor_C: np.ndarray  # int64, place in N of the token whose output predicts completion token c
    target_C: np.ndarray  # int64, the completion tokens
    completion_S: np.ndarray  # int64, completion tokens of each sequence; C is their sum

    @property
    def sequence_C(self) -> np.ndarray:
        """Which of the S sequences a completion token belongs to."""
        return np.repeat(np.arange(len(self.completion_S)), self.completion_S)


def input_length(sequence: TrainSequence) -> int:
    """Tokens of a sequence that enter the model."""
    return len(sequence.prompt_ids) + len(sequence.completion_ids_T) - 1


def plan(length_S: Sequence[int], token_budget: int, *, multiple_of: int = 1) -> list[list[int]]:
    """Which sequences share a micro-batch: a list of indices for each, sorted by length, longest first.

    Equal input, equal plan. Micro-batches are of about equal size and within `token_budget`, except that a longer
    sequence stands alone. Their number is a multiple of `multiple_of` (processes); the last ones may be empty.
    """
    order = sorted(range(len(length_S)), key=lambda s: (-length_S[s], s))
    total = sum(length_S)
    least = -(-total // token_budget) if total else 0
    least = -(-least // multiple_of) * multiple_of
    target = total / least if least else 0.0
    batches: list[list[int]] = []
    used, filled = 0, 0  # tokens of the open micro-batch; of all before it
    for s in order:
        over_budget = used + length_S[s] > token_budget
        share_done = filled + used >= target * len(batches)
        if not batches or (used and (over_budget or share_done)):
            filled, used = filled + used, 0
            batches.append([])
        batches[-1].append(s)
        used += length_S[s]
    return batches + [[] for _ in range(-len(batches) % multiple_of)]


def lay_out(sequences: Sequence[TrainSequence], index_S: Sequence[int]) -> MicroBatch:
    """The micro-batch of these sequences, in this order. Raises InputError for a sequence without a prompt."""
    prompt_S = np.array([len(sequences[s].prompt_ids) for s in index_S], np.int64)
    completion_S = np.array([len(sequences[s].completion_ids_T) for s in index_S], np.int64)
    if (prompt_S == 0).any():
        raise InputError("a sequence has no prompt: its first token has no predecessor; begin it with a start token")
    length_S = prompt_S + completion_S - 1
    start_S = np.cumsum(length_S) - length_S
    parts = [part for s in index_S for part in (sequences[s].prompt_ids, sequences[s].completion_ids_T[:-1])]
    targets = [sequences[s].completion_ids_T for s in index_S]
    return MicroBatch(
        index_S=np.array(index_S, np.int64),
        input_ids_N=_join(parts),
        position_N=_ranges(length_S),
        length_S=length_S,
        predictor_C=np.repeat(start_S + prompt_S - 1, completion_S) + _ranges(completion_S),
        target_C=_join(targets),
        completion_S=completion_S,
    )


def _ranges(length_S: np.ndarray) -> np.ndarray:
    """0 .. n-1 for each n, end to end."""
    start_S = np.cumsum(length_S) - length_S
    return np.arange(int(length_S.sum())) - np.repeat(start_S, length_S)


def _join(parts: Sequence[Sequence[int] | np.ndarray]) -> np.ndarray:
    return np.concatenate([np.asarray(part, np.int64) for part in parts]) if parts else np.zeros(0, np.int64)


_NONE = np.zeros(0, np.int64)
EMPTY = MicroBatch(_NONE, np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1, np.int64), _NONE, _NONE, _NONE)
"""No sequence, but one token, since a model cannot run on none."""
