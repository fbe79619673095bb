"""Majority votes against all subsets, one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from relift.analysis.scores.votes import Votes, majority_at_k


def votes_of(questions: Sequence[Sequence[str | None]], *, gold: str) -> Votes:
    pairs = [(row, answer) for row, answers in enumerate(questions) for answer in answers if answer is not None]
    counts = Counter(pairs)
    return Votes(
        np.array([row for row, _ in counts], dtype=np.int64),
        np.array(list(counts.values()), dtype=np.int64),
        np.array([n * (answer == gold) for (_, answer), n in counts.items()], dtype=np.int64),
    )


def enumerated(answers: Sequence[str | None], *, gold: str, k: int) -> float:
    """Mean over all k-subsets of the share of right answers among the most frequent."""
    shares = []
    for subset in combinations(answers, k):
        counts = Counter(answer for answer in subset if answer is not None)
        top = [answer for answer, n in counts.items() if n == max(counts.values())]
        shares.append(sum(answer == gold for answer in top) / len(top) if top else 0.0)
    return sum(shares) / len(shares)


def test_small_cases_by_hand() -> None:
    # g g w of 2: {g,g} 1, {g,w} twice 1/2: 2/3. One g, one silent, of 2: g. Two silent: nothing.
    questions = [["g", "g", "w"], ["g", None, None]]
    np.testing.assert_allclose(majority_at_k(votes_of(questions, gold="g"), np.array([3, 3]), k=2), [2 / 3, 2 / 3])
    # all three: g wins by two; the silent do not vote
    np.testing.assert_allclose(majority_at_k(votes_of(questions, gold="g"), np.array([3, 3]), k=3), [1, 1])


@pytest.mark.parametrize("seed", range(6))
def test_equals_enumeration(seed: int) -> None:
    rng = np.random.default_rng(seed)
    questions = []
    for _ in range(5):
        given = rng.choice(["g", "a", "b", "c", "d", ""], size=8, p=rng.dirichlet(np.full(6, 0.7)))
        questions.append([answer or None for answer in given.tolist()])
    for k in range(1, 9):
        found = majority_at_k(votes_of(questions, gold="g"), np.full(5, 8), k=k)
        expected = [enumerated(answers, gold="g", k=k) for answers in questions]
        np.testing.assert_allclose(found, expected, atol=1e-12, err_msg=f"k = {k}")


def test_questions_with_different_numbers_of_attempts() -> None:
    questions = [["g", "w", "g", "w", "v"], ["w", "g", None], ["g", "g", "w", "w"]]
    n_decided = np.array([5, 3, 4])
    found = majority_at_k(votes_of(questions, gold="g"), n_decided, k=3)
    np.testing.assert_allclose(found, [enumerated(answers, gold="g", k=3) for answers in questions], atol=1e-12)
    with pytest.raises(ValueError, match="k = 4"):
        majority_at_k(votes_of(questions, gold="g"), n_decided, k=4)


def test_many_attempts_agree_with_sampled_subsets() -> None:
    rng = np.random.default_rng(1)
    answers = ["g"] * 20 + ["a"] * 18 + ["b"] * 10 + [str(i) for i in range(10)] + [None] * 6
    exact = majority_at_k(votes_of([answers], gold="g"), np.array([64]), k=16)[0]
    sampled = []
    for _ in range(4_000):
        subset = [answers[i] for i in rng.permutation(64)[:16]]
        sampled.append(enumerated(subset, gold="g", k=16))
    assert exact == pytest.approx(np.mean(sampled), abs=3 * np.std(sampled) / np.sqrt(4_000))


def test_an_answer_that_the_grader_split_counts_by_its_share() -> None:
    # the same text judged right twice and wrong once: the vote for it is right by 2/3
    votes = Votes(np.array([0]), np.array([3]), np.array([2]))
    np.testing.assert_allclose(majority_at_k(votes, np.array([3]), k=3), [2 / 3])
