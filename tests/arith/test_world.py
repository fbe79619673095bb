import re
from itertools import combinations

import numpy as np
import pytest

from relift.arith.world import (
    HIGHEST,
    LOWEST,
    PRODUCTS,
    SLIP_BY_LUCK,
    SPLITS,
    Chain,
    Term,
    careful,
    is_shown_in_pretraining,
    make_demonstrations,
    make_questions,
    parse_chain,
    right_results,
)
from relift.errors import InputError
from relift.grading import Submission
from relift.grading.exact import ExactScorer
from relift.schema import Verdict, question_id_of

EXAMPLE = Chain(47, (Term(1, 3, 8), Term(-1, 1, 5)))


def test_a_chain_and_its_text() -> None:
    assert str(EXAMPLE) == "47+3*8-5"
    assert parse_chain("47+3*8-5?") == EXAMPLE
    assert EXAMPLE.total == 66  # 47 + 24 - 5
    assert str(EXAMPLE.expanded()) == "47+8+8+8-5"
    assert right_results(EXAMPLE) == [55, 63, 71, 66]


def test_the_teacher_writes_one_line_a_step() -> None:
    assert careful(Chain(55, (Term(-1, 1, 5),)), [50]) == r":55-5;55-5=(5-5)50;\boxed{50}"
    assert careful(EXAMPLE, right_results(EXAMPLE)) == (
        r":47+8+8+8-5;47+8=(7+8)55;55+8=(5+8)63;63+8=(3+8)71;71-5=(1-5)66;\boxed{66}"
    )


def test_totals_inside_a_product_count_too() -> None:
    assert not Chain(90, (Term(1, 2, 8), Term(-1, 1, 9))).in_range()  # 98, 106
    assert Chain(90, (Term(1, 1, 8),)).in_range()


@pytest.mark.parametrize("text", ["47+3*8-5", "7+1?", "47+0?", "47?", "47+4*8?", "47+3*8-5? ", "n1,2,3?"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="no question of the arithmetic world"):
        parse_chain(text)


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_holds_what_it_says(split: str) -> None:
    n = 200 if split == "sequence" else 400
    questions = make_questions(split, n, seed=3)
    assert len({q.question_id for q in questions}) == n
    assert {q.split for q in questions} == {split}
    assert all(q.question_id == question_id_of(q.problem) for q in questions)
    assert questions == make_questions(split, n, seed=3) != make_questions(split, n, seed=4)
    if split == "sequence":
        return
    chains = [parse_chain(q.problem) for q in questions]
    assert all(str(c.total) == q.answer and c.in_range() for c, q in zip(chains, questions, strict=True))
    lengths = np.bincount([len(c.terms) for c in chains], minlength=7)
    products = np.bincount([sum(t.factor > 1 for t in c.terms) for c in chains], minlength=3)
    if split == "longer":
        assert lengths.tolist() == [0, 0, 0, 0, 0, 200, 200] and products.tolist() == [400, 0, 0]
    elif split == "two_products":
        assert lengths.tolist() == [0, 0, 400, 0, 0, 0, 0] and products.tolist() == [0, 0, 400]
    else:  # 30 % of 400, and a quarter of the questions at each length
        assert lengths.tolist() == [0, 100, 100, 100, 100, 0, 0] and products.tolist() == [280, 120, 0]


def test_sequences_have_one_difference() -> None:
    for question in make_questions("sequence", 200, seed=0):
        numbers = [int(x) for x in re.findall(r"\d+", question.problem)] + [int(question.answer)]
        assert (
            len(set(np.diff(numbers))) == 1
            and 1 <= numbers[1] - numbers[0] <= 9
            and all(LOWEST <= x <= HIGHEST for x in numbers)
        )


def test_splits_are_disjoint_for_any_seed() -> None:
    ids = {s: {q.question_id for seed in (0, 1) for q in make_questions(s, 200, seed=seed)} for s in SPLITS}
    for one, other in combinations(SPLITS, 2):
        assert not ids[one] & ids[other], (one, other)


def test_pretraining_may_show_nothing_that_is_held_out() -> None:
    for split in SPLITS:
        shown = [is_shown_in_pretraining(q.problem) for q in make_questions(split, 100, seed=0)]
        assert all(shown) if split == "train" else not any(shown)


def test_a_term_that_luck_could_solve_is_never_asked() -> None:
    questions = make_questions("two_products", 600, seed=0)  # 1,200 terms, 25 kinds of them: 48 expected of each
    terms = {(t.sign, t.factor, t.digit) for q in questions for t in parse_chain(q.problem).terms}
    assert len(terms) == 25 and SLIP_BY_LUCK not in terms


def test_reading_a_product_as_a_sum_and_slipping_once_is_never_right() -> None:
    signed = [(sign, m, d) for m, d in PRODUCTS for sign in (1, -1) if (sign, m, d) != SLIP_BY_LUCK]
    assert len(signed) == 25  # (2 * 7 - 1) pairs, two signs, one left out
    for sign, m, d in signed:
        for misread in (sign * (m + d), sign * m + d):
            assert misread - sign * m * d not in (-10, 0, 10), (sign, m, d)


def test_a_demonstration_for_every_question_and_each_is_right() -> None:
    questions = make_questions("train", 400, seed=0)
    demonstrations = make_demonstrations(questions)
    assert [d.question_id for d in demonstrations] == [q.question_id for q in questions]
    rows = [Submission(q.answer, d.text) for q, d in zip(questions, demonstrations, strict=True)]
    assert {j.verdict for j in ExactScorer().judge(rows)} == {Verdict.correct}
    assert not any("*" in d.text for d in demonstrations)


def test_an_imperfect_teacher_and_few_demonstrations() -> None:
    questions = make_questions("train", 400, seed=0)
    gold = {q.question_id: q.answer for q in questions}
    few = make_demonstrations(questions, seed=1, limit=100, error_rate=0.25)
    assert len(few) == len({d.question_id for d in few}) == 100
    wrong = [d for d in few if not d.text.endswith(f"{{{gold[d.question_id]}}}")]
    assert 10 <= len(wrong) <= 40  # 25 expected, sd 4.3
    assert few == make_demonstrations(questions, seed=1, limit=100, error_rate=0.25)
    assert not make_demonstrations(make_questions("sequence", 5, seed=0))


def test_asking_for_too_much_or_for_nonsense() -> None:
    with pytest.raises(InputError, match="'sequence'.*no 5000 different questions"):
        make_questions("sequence", 5_000, seed=0)
    with pytest.raises(InputError, match="unknown split 'training'.*known: train, dev"):
        make_questions("training", 5, seed=0)
