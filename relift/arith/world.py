r"""Make the embedded world: chains of additions and subtractions, their careful solutions, and a side skill.

A question is a chain such as `47+3*8-5?`, its answer `\boxed{66}`. The running total stays within 10..99. Three
kinds of question are never mixed up (`Question.subject`):

chain     a two-digit number and terms of one digit: `47+8-5?`
product   the same with one term m*d, an operator that the base model has never seen
sequence  the next term of a sequence, `n29,38,47?`: a side skill that no training data touches

Which split a question may stand in is decided by a hash of the question itself, so the splits are disjoint for every
seed and size, and what pretraining may show is disjoint from every test set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from relift.errors import InputError
from relift.schema import Demonstration, Question, demo_id_of, question_id_of, seed_of

LOWEST, HIGHEST = 10, 99  # of every running total
TRAIN_TERMS = (1, 2, 3, 4)  # lengths of the chains trained on
LONGER_TERMS = (5, 6)  # seen in pretraining, never in training
PRODUCT_SHARE = 0.30
# 2*3 is left out, for 2+3 is one off it; so is -2*4: with the sign on the 2 alone and one slip it comes out right.
PRODUCTS = tuple((m, d) for m in (2, 3) for d in range(3, 10) if (m, d) != (2, 3))
SLIP_BY_LUCK = (-1, 2, 4)


@dataclass(frozen=True)
class Term:
    """Hold one term of a chain: sign * factor * digit, a factor of 1 not written. Term(1, 3, 8) is `+3*8`."""

    sign: int
    factor: int
    digit: int

    def __str__(self) -> str:
        return f"{'+' if self.sign > 0 else '-'}{'' if self.factor == 1 else f'{self.factor}*'}{self.digit}"

    @property
    def value(self) -> int:
        """Return the signed value."""
        return self.sign * self.factor * self.digit


@dataclass(frozen=True)
class Chain:
    """Hold a start and its terms. Example: Chain(47, (Term(1, 3, 8), Term(-1, 1, 5))) is `47+3*8-5`, 66."""

    start: int
    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return f"{self.start}{''.join(map(str, self.terms))}"

    @property
    def total(self) -> int:
        """Return the value of the chain."""
        return self.start + sum(t.value for t in self.terms)

    def expanded(self) -> Chain:
        """Return the same chain with every product as repeated addition (or subtraction)."""
        terms = [Term(t.sign, 1, t.digit) for t in self.terms for _ in range(t.factor)]
        return Chain(self.start, tuple(terms))

    def in_range(self) -> bool:
        """Tell whether every running total stays within LOWEST..HIGHEST, those inside a product included."""
        totals = list(accumulate([t.value for t in self.terms], initial=self.start))  # a product only moves one way
        return LOWEST <= min(totals) and max(totals) <= HIGHEST


_TERM = re.compile(r"([+-])(?:([23])\*)?([1-9])")
_CHAIN = re.compile(rf"([1-9][0-9])((?:{_TERM.pattern})+)\?")


def parse_chain(problem: str) -> Chain:
    """Read the chain of a problem such as `47+3*8-5?`. Raises InputError for another text."""
    match = _CHAIN.fullmatch(problem)
    if match is None:
        raise InputError(f"{problem[:80]!r} is no question of the arithmetic world; one looks like '47+3*8-5?'")
    terms = [Term(1 if s == "+" else -1, int(m or 1), int(d)) for s, m, d in _TERM.findall(match[2])]
    return Chain(int(match[1]), tuple(terms))


def draw_chain(rng: np.random.Generator, *, n_terms: int, n_products: int = 0) -> Chain:
    """Draw a chain in range, uniform over those with this many terms and products (by rejection)."""
    while True:
        product_at = set(rng.permutation(n_terms)[:n_products].tolist()) if n_products else set()
        terms = []
        for i in range(n_terms):
            sign = 1 if rng.random() < 0.5 else -1
            factor, digit = PRODUCTS[rng.integers(len(PRODUCTS))] if i in product_at else (1, int(rng.integers(1, 10)))
            terms.append(Term(sign, factor, digit))
        chain = Chain(int(rng.integers(LOWEST, HIGHEST + 1)), tuple(terms))
        if chain.in_range() and all((t.sign, t.factor, t.digit) != SLIP_BY_LUCK for t in terms):
            return chain


def draw_sequence(rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Draw four numbers that grow by 1..9 a step, all within LOWEST..HIGHEST; the last one is asked for."""
    while True:
        start, step = int(rng.integers(LOWEST, HIGHEST + 1)), int(rng.integers(1, 10))
        if start + 3 * step <= HIGHEST:
            return (start, start + step, start + 2 * step, start + 3 * step)


@dataclass(frozen=True)
class QuestionKind:
    """State what a question asks: subject, number of terms, number of products."""

    subject: str
    n_terms: int
    n_products: int = 0


def draw_question(rng: np.random.Generator, kind: QuestionKind, *, split: str) -> Question:
    """Draw one question of this kind; its hash says to which split it belongs, `split` is written into it."""
    if kind.subject == "sequence":
        *shown, asked = draw_sequence(rng)
        problem, answer = f"n{','.join(map(str, shown))}?", asked
    else:
        chain = draw_chain(rng, n_terms=kind.n_terms, n_products=kind.n_products)
        problem, answer = f"{chain}?", chain.total
    return Question(
        question_id=question_id_of(problem),
        problem=problem,
        answer=str(answer),
        source="arith",
        split=split,
        subject=kind.subject,
        level=str(kind.n_terms),
    )


def _mixed(n: int) -> list[QuestionKind]:
    """List training's mixture, exactly: 30 % with one product, lengths in equal parts."""
    n_products = round(PRODUCT_SHARE * n)
    parts = [("product", 1, n_products), ("chain", 0, n - n_products)]
    return [QuestionKind(s, TRAIN_TERMS[i % len(TRAIN_TERMS)], p) for s, p, count in parts for i in range(count)]


def _longer(n: int) -> list[QuestionKind]:
    return [QuestionKind("chain", LONGER_TERMS[i % len(LONGER_TERMS)]) for i in range(n)]


# split -> (sixteenths of the hash that belong to it, what it asks). The last three ask what no other split asks, so
# they may stand in all that is held out.
_TRAIN, _DEV, _PROBE, _TEST, _HELD_OUT = range(0, 10), range(10, 12), range(12, 14), range(14, 16), range(10, 16)
SPLITS: dict[str, tuple[range, Callable[[int], list[QuestionKind]]]] = {
    "train": (_TRAIN, _mixed),
    "dev": (_DEV, _mixed),  # where settings are chosen
    "probe": (_PROBE, _mixed),
    "test": (_TEST, _mixed),
    "longer": (_HELD_OUT, _longer),
    "two_products": (_HELD_OUT, lambda n: [QuestionKind("product", 2, 2)] * n),
    "sequence": (_HELD_OUT, lambda n: [QuestionKind("sequence", 3)] * n),
}
TRIES_PER_QUESTION = 400  # a split holds at least one question in sixteen of its kind


def is_shown_in_pretraining(problem: str) -> bool:
    """Tell whether pretraining may show this problem: those that dev, probe and test sets could hold are kept out."""
    return _sixteenth(question_id_of(problem)) in _TRAIN


def _sixteenth(question_id: str) -> int:
    return int(question_id[-1], 16)


def make_questions(split: str, n: int, *, seed: int) -> list[Question]:
    """Make n different questions of a split (see SPLITS), the same for the same arguments.

    train, dev, probe and test are one distribution: 30 % with one product, 1 to 4 terms in equal parts. `longer` has
    5 and 6 terms, `two_products` two products in two terms, `sequence` the side skill.
    Raises InputError for an unknown split and when the world does not hold n different questions of it.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r} of the arithmetic world; known: {', '.join(SPLITS)}")
    part, kinds_of = SPLITS[split]
    rng = np.random.default_rng(seed_of(seed, "arith.questions", 0, 0, split, 0))
    questions: dict[str, Question] = {}
    for kind in kinds_of(n):
        for _ in range(TRIES_PER_QUESTION):
            question = draw_question(rng, kind, split=split)
            if _sixteenth(question.question_id) in part and question.question_id not in questions:
                questions[question.question_id] = question
                break
        else:
            raise InputError(f"split {split!r} of the arithmetic world has no {n} different questions; ask for fewer")
    listed = list(questions.values())
    return [listed[i] for i in rng.permutation(len(listed))]


def careful(chain: Chain, results: Sequence[int]) -> str:
    r"""Write the teacher's style: restate with products expanded, one line a step with the units shown, then the box.

    `results` are the totals after each term of the expanded chain, right or wrong.
    `55-5` gives `:55-5;55-5=(5-5)50;\boxed{50}`.
    """
    plain = chain.expanded()
    lines, total = [str(plain)], plain.start
    for term, result in zip(plain.terms, results, strict=True):
        lines.append(f"{total}{term}=({total % 10}{term}){result}")
        total = result
    return f":{';'.join(lines)};\\boxed{{{total}}}"


def right_results(chain: Chain) -> list[int]:
    """Compute the totals after each term of the expanded chain."""
    return list(accumulate([t.value for t in chain.expanded().terms], initial=chain.start))[1:]


def make_demonstrations(
    questions: Sequence[Question], *, seed: int = 0, limit: int | None = None, error_rate: float = 0.0
) -> list[Demonstration]:
    """Write the teacher's demonstration of every chain and product among the questions, in their order.

    limit: so many of them, of questions drawn at random; None for all.
    error_rate: the share of an imperfect teacher's demonstrations (drawn at random) that hold a wrong result, ten off
    at one step and carried on to the end, so that the final answer is wrong too.
    """
    rng = np.random.default_rng(seed_of(seed, "arith.demonstrations", 0, 0, "", 0))
    asked = [q for q in questions if q.subject != "sequence"]
    if limit is not None:
        asked = [asked[i] for i in sorted(rng.permutation(len(asked))[:limit].tolist())]
    demonstrations = []
    for question in asked:
        chain = parse_chain(question.problem)
        results = right_results(chain)
        if rng.random() < error_rate:
            first, off = int(rng.integers(len(results))), 10 if rng.random() < 0.5 else -10
            results = results[:first] + [r + off for r in results[first:]]
        text = careful(chain, results)
        demo_id = demo_id_of(question.question_id, text)
        demonstrations.append(Demonstration(demo_id=demo_id, question_id=question.question_id, text=text))
    return demonstrations
