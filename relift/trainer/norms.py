"""Say how much a token counts in its component's loss, from counts alone. NORMS is the table of what may be named.

Axes: S sequences that count, also those that skip the forward pass because nothing is to be learned from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Counts:
    """Count what an average may depend on: global counts, known before the forward pass."""

    length_S: np.ndarray  # int64, completion tokens
    group_S: np.ndarray  # int64, the question of each sequence
    n_questions: int  # questions of the update, whichever component trains on them
    max_tokens: int  # the longest completion allowed


# (N, values per sequence or None): a token of sequence s counts value_S[s] / N, or 1 / N
Average = tuple[float, np.ndarray | None]
Norm = Callable[[Counts], Average]


def tokens(counts: Counts) -> Average:
    """Average over all tokens of the component (DAPO, arXiv 2503.14476)."""
    return _positive(counts.length_S.sum()), None


def sequences(counts: Counts) -> Average:
    """Average over sequences, of their token means (GRPO, arXiv 2402.03300)."""
    return _positive(len(counts.length_S)), 1 / np.maximum(counts.length_S, 1)


def max_tokens(counts: Counts) -> Average:
    """Divide the sum over tokens by sequences x L_max: no bias towards long wrong answers (arXiv 2503.20783)."""
    return _positive(len(counts.length_S) * counts.max_tokens), None


def group_tokens(counts: Counts) -> Average:
    """Average over questions, of the token means of their groups (ReLIFT's paper: 1 / sum of |o_i| per question)."""
    _, place_S, _ = _groups(counts)
    tokens_Q = np.bincount(place_S, weights=counts.length_S)
    return _positive(len(tokens_Q)), 1 / np.maximum(tokens_Q[place_S], 1)


def questions(counts: Counts) -> Average:
    """Average over the update's questions, of their sequences, of the token means: a question weighs the same
    whichever component trains on it."""
    _, place_S, n_Q = _groups(counts)
    return _positive(counts.n_questions), 1 / (n_Q[place_S] * np.maximum(counts.length_S, 1))


def questions_max_tokens(counts: Counts) -> Average:
    """Average over the update's questions, of their sequences, of the sums over tokens / L_max."""
    _, place_S, n_Q = _groups(counts)
    return _positive(counts.n_questions * counts.max_tokens), 1 / n_Q[place_S]


NORMS: dict[str, Norm] = {
    "tokens": tokens,
    "sequences": sequences,
    "max_tokens": max_tokens,
    "group_tokens": group_tokens,
    "questions": questions,
    "questions_max_tokens": questions_max_tokens,
}
PER_SEQUENCE = ("sequences", "questions")  # norms that average within each sequence


def _groups(counts: Counts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.unique(counts.group_S, return_inverse=True, return_counts=True)


def _positive(n: float) -> float:
    """Avoid dividing by 0: the sum over nothing is 0 whatever divides it."""
    return float(max(n, 1))
