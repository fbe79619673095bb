"""From sequences to micro-batches: laid end to end, within a token budget, equal prompts laid once. Numpy only.

Nothing that a loss sees depends on what is decided here; only rounding does.

Axes: S sequences of a micro-batch, N its input tokens, R the rows: each sequence's input tokens end to end, as indices
into N, C the completion tokens end to end. A sequence of P prompt and T completion tokens has a row of P + T - 1: its
last token predicts nothing. Without shared prompts R and N are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relift.errors import InputError
from relift.learner.update import TrainSequence


@dataclass(frozen=True)
class MicroBatch:
    """Sequences laid end to end, longest first. `index_S` are their places in the list that was packed."""

    index_S: np.ndarray  # int64
    input_ids_N: np.ndarray  # int64
    position_N: np.ndarray  # int64, counts from the beginning of the token's sequence
    length_S: np.ndarray  # int64, length of each row; R is their sum
    token_R: np.ndarray  # int64, place in N
    predictor_C: np.ndarray  # int64, place in N of the token whose output predicts completion token c
    target_C: np.ndarray  # int64, the completion tokens
    completion_S: np.ndarray  # int64, completion tokens of each sequence; C is their sum


def plan(
    sequences: Sequence[TrainSequence], token_budget: int, *, multiple_of: int = 1, share_prompts: bool = True
) -> list[list[int]]:
    """Choose the sequences of each micro-batch, as lists of indices. Longest first; equal prompts stay together.

    Equal input, equal plan. Micro-batches are of about equal size and within `token_budget` input tokens, except that
    a longer sequence stands alone. Their number is a multiple of `multiple_of` (processes); the last may be empty.
    """
    length_S = [len(s.prompt_ids) + len(s.completion_ids_T) - 1 for s in sequences]
    group_S = _groups(sequences, share_prompts=share_prompts)
    longest = np.zeros(max(group_S, default=-1) + 1, np.int64)
    np.maximum.at(longest, group_S, length_S)
    order = sorted(range(len(length_S)), key=lambda s: (-longest[group_S[s]], group_S[s], -length_S[s], s))
    prompts = {g: len(sequences[s].prompt_ids) for s, g in enumerate(group_S)}
    total = sum(length_S) - sum(len(s.prompt_ids) for s in sequences) + sum(prompts.values())
    least = -(-total // token_budget)
    least = -(-least // multiple_of) * multiple_of
    target = total / least if least else 0.0
    batches: list[list[int]] = []
    used, filled, last_group = 0, 0, -1  # tokens of the open micro-batch; of all before it
    for s in order:
        more = length_S[s] - (prompts[group_S[s]] if group_S[s] == last_group else 0)
        over_budget = used + more > token_budget
        share_done = group_S[s] != last_group and len(batches) < least and filled + used >= target * len(batches)
        if not batches or (used and (over_budget or share_done)):
            filled, used, more = filled + used, 0, length_S[s]
            batches.append([])
        batches[-1].append(s)
        used, last_group = used + more, group_S[s]
    return batches + [[] for _ in range(-len(batches) % multiple_of)]


def lay_out(sequences: Sequence[TrainSequence], index_S: Sequence[int], *, share_prompts: bool = True) -> MicroBatch:
    """The micro-batch of these sequences. Raises InputError for a sequence without a prompt."""
    chosen = [sequences[s] for s in index_S]
    prompt_S = np.array([len(s.prompt_ids) for s in chosen], np.int64)
    completion_S = np.array([len(s.completion_ids_T) for s in chosen], np.int64)
    if (prompt_S == 0).any():
        raise InputError("a sequence has no prompt: its first token has no predecessor; begin it with a start token")
    order = np.argsort(-(prompt_S + completion_S), kind="stable")
    chosen, prompt_S, completion_S = [chosen[s] for s in order], prompt_S[order], completion_S[order]
    own_S = completion_S - 1
    group_S = np.array(_groups(chosen, share_prompts=share_prompts), np.int64)
    first_of_group = np.unique(group_S, return_index=True)[1]
    is_first_S = np.isin(np.arange(len(chosen)), first_of_group)
    laid_S = own_S + np.where(is_first_S, prompt_S, 0)  # tokens that each sequence adds to N
    start_S = np.cumsum(laid_S) - laid_S
    prompt_start_S = start_S[first_of_group][group_S]
    own_start_S = start_S + laid_S - own_S
    length_S = prompt_S + own_S
    in_prompt_R = _ranges(length_S) < np.repeat(prompt_S, length_S)
    start_R = np.where(in_prompt_R, np.repeat(prompt_start_S, length_S), np.repeat(own_start_S - prompt_S, length_S))
    token_R = start_R + _ranges(length_S)
    ids = [s.prompt_ids + tuple(s.completion_ids_T[:-1].tolist()) for s in chosen]
    input_ids_N, position_N = np.zeros((2, int(laid_S.sum())), np.int64)
    input_ids_N[token_R] = _join(ids)
    position_N[token_R] = _ranges(length_S)
    row_start_S = np.cumsum(length_S) - length_S
    return MicroBatch(
        index_S=np.array(index_S, np.int64)[order],
        input_ids_N=input_ids_N,
        position_N=position_N,
        length_S=length_S,
        token_R=token_R,
        predictor_C=token_R[np.repeat(row_start_S + prompt_S - 1, completion_S) + _ranges(completion_S)],
        target_C=_join([s.completion_ids_T for s in chosen]),
        completion_S=completion_S,
    )


def _groups(sequences: Sequence[TrainSequence], *, share_prompts: bool) -> list[int]:
    """Number of each sequence's group, from 0 in order of appearance: equal prompts, or each sequence alone."""
    if not share_prompts:
        return list(range(len(sequences)))
    number: dict[tuple[int, ...], int] = {}
    return [number.setdefault(s.prompt_ids, len(number)) for s in sequences]


def _ranges(length_S: np.ndarray) -> np.ndarray:
    """0 .. n-1 for each n, end to end."""
    start_S = np.cumsum(length_S) - length_S
    return np.arange(int(length_S.sum())) - np.repeat(start_S, length_S)


def _join(parts: Sequence[Sequence[int] | np.ndarray]) -> np.ndarray:
    return np.concatenate([np.asarray(part, np.int64) for part in parts]) if parts else np.zeros(0, np.int64)


_NONE, _ZERO = np.zeros(0, np.int64), np.zeros(1, np.int64)
EMPTY = MicroBatch(_NONE, _ZERO, _ZERO, np.ones(1, np.int64), _ZERO, _NONE, _NONE, _NONE)
"""No sequence, but one token, since a model cannot run on none."""
