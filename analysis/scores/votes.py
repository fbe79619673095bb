"""Take majority votes: the share of k-subsets of a question's attempts whose most frequent answer is right.

Axes: Q questions, A distinct answers of a question (padded with counts of 0), V pairs of question and answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy.special import binom

from relift.stats import Floats, Ints


@dataclass(frozen=True)
class Votes:
    """Count how often each distinct answer was given, decided attempts only; `row_V` is the question's row."""

    row_V: Ints
    count_V: Ints
    correct_V: Ints  # of these, judged correct: all or none, unless the grader looked at more than the answer

    def only(self, kept_Q: NDArray[np.bool_]) -> Votes:
        """Select the votes of these questions, whose rows are counted anew."""
        inside = kept_Q[self.row_V]
        row_of_Q = np.cumsum(kept_Q) - 1
        return Votes(row_of_Q[self.row_V[inside]], self.count_V[inside], self.correct_V[inside])


def majority_at_k(votes: Votes, n_decided_Q: Ints, *, k: int) -> Floats:
    """Average, over all subsets of k of n decided attempts, "the most frequent answer is right": per question.

    The unanswered do not vote; a tie counts the share of its answers that are right; a subset without any answer
    counts 0. Exact, not sampled. Raises ValueError if any n < k.
    """
    if k < 1 or (n_decided_Q < k).any():
        raise ValueError(f"majority_at_k: k = {k} needs that many decided attempts")
    if not len(n_decided_Q):
        return np.zeros(0)
    count_QA, right_QA, silent_Q = _laid_out(votes, n_decided_Q)
    # questions with the same counts have the same answer; widest first, so that loops over A can stop early
    keys = np.column_stack([count_QA, right_QA, silent_Q])
    distinct, where = np.unique(keys, axis=0, return_inverse=True)
    width = count_QA.shape[1]
    order = np.argsort(-(distinct[:, :width] > 0).sum(axis=1), kind="stable")
    counts, right, silent = (distinct[order, :width], distinct[order, width:-1], distinct[order, -1])
    found = np.empty(len(distinct))
    found[order] = _share_right(counts, np.divide(right, np.maximum(counts, 1)), silent, k=k)
    return found[where.ravel()]


def _laid_out(votes: Votes, n_decided_Q: Ints) -> tuple[Floats, Floats, Floats]:
    """Lay out counts (Q, A) falling along A, how many of each are right, and how many gave no answer (Q)."""
    n_questions = len(n_decided_Q)
    order = np.lexsort((-votes.correct_V, -votes.count_V, votes.row_V))
    row, count, right = votes.row_V[order], votes.count_V[order], votes.correct_V[order]
    n_answers_Q = np.bincount(row, minlength=n_questions)
    place = np.arange(len(row)) - np.repeat(np.cumsum(n_answers_Q) - n_answers_Q, n_answers_Q)
    shape = (n_questions, int(n_answers_Q.max(initial=0)))
    count_QA, right_QA = np.zeros(shape), np.zeros(shape)
    count_QA[row, place], right_QA[row, place] = count, right
    return count_QA, right_QA, n_decided_Q - count_QA.sum(axis=1)


def _share_right(count_QA: Floats, rate_QA: Floats, silent_Q: Floats, *, k: int) -> Floats:
    """Compute the share of k-subsets won by a right answer, by the number j of votes that win."""
    n_Q = count_QA.sum(axis=1) + silent_Q
    if (n_Q == k).all():  # one subset: all attempts
        winner_QA = (count_QA > 0) & (count_QA == count_QA.max(axis=1, initial=0, keepdims=True))
        return (rate_QA * winner_QA).sum(axis=1) / np.maximum(winner_QA.sum(axis=1), 1)
    won_Q = np.zeros(len(n_Q))
    for j in range(1, min(k, int(count_QA.max(initial=0))) + 1):
        if 2 * j > k:  # no other answer can have as many
            won_Q += (rate_QA * binom(count_QA, j) * binom(n_Q[:, None] - count_QA, k - j)).sum(axis=1)
        else:
            won_Q += _won_with(j, count_QA, rate_QA, silent_Q, k=k)
    return won_Q / binom(n_Q, k)


def _won_with(j: int, count_QA: Floats, rate_QA: Floats, silent_Q: Floats, *, k: int) -> Floats:
    """Count subsets of k in which j votes win, a tie of t answers counted by the share of them that is right.

    Subsets are coefficients of x^k: an answer given n times contributes sum_{d < j} C(n, d) x^d + y C(n, j) x^j, y
    marking the answers with j votes. A right one of them wins 1 / (its number of rivals + 1), which is the integral of
    y^rivals over [0, 1]; that polynomial in y is integrated exactly by Gauss-Legendre.
    """
    degree = k // j - 1
    nodes, weights = leggauss(degree // 2 + 1)
    total_Q = np.zeros(len(count_QA))
    term_QD = np.stack([binom(count_QA, d) for d in range(j + 1)], axis=-1)  # (Q, A, j + 1)
    silent_QK = np.stack([binom(silent_Q, d) for d in range(k + 1)], axis=-1)
    answers = (count_QA > 0).sum(axis=1)  # falling
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        # subsets so far (all), and those in which a right answer among the first is chosen as the winner (marked)
        all_QK, marked_QK = silent_QK.copy(), np.zeros_like(silent_QK)
        for a in range(count_QA.shape[1]):
            rows = slice(0, int(np.searchsorted(-answers, -a)))  # those with more than a answers
            term = term_QD[rows, a]
            before, marked = all_QK[rows], marked_QK[rows]
            factor = np.concatenate([term[:, :j], node * term[:, j:]], axis=1)
            marked_QK[rows] = _product(marked, factor)
            marked_QK[rows, j:] += (rate_QA[rows, a] * term[:, j])[:, None] * before[:, : k + 1 - j]
            all_QK[rows] = _product(before, factor)
        total_Q += weight * marked_QK[:, k]
    return total_Q


def _product(polynomial_QK: Floats, factor_QD: Floats) -> Floats:
    """Multiply polynomials, cut at the degree of the first."""
    k = polynomial_QK.shape[1]
    product = factor_QD[:, :1] * polynomial_QK
    for d in range(1, min(factor_QD.shape[1], k)):
        product[:, d:] += factor_QD[:, d : d + 1] * polynomial_QK[:, : k - d]
    return product
