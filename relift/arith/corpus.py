r"""Draw the text that the base model is pretrained on: chains worked out with the slips that people make.

Three kinds, in the proportions of CorpusSpec:
short     `=55-5=50\boxed{50}`: the chain that is left, rewritten at each step
careful   the teacher's style (relift.arith.world), chains only
sequence  the side skill: `n29,38,47?` gives `+9=56\boxed{56}`

Slips are where difficulty comes from. At temperature 1 the model writes as the corpus does, slips included, so a
chain is as hard as it has carries and borrows. No product ever occurs, nor a question that a test set could hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relift.arith.world import (
    HIGHEST,
    LOWEST,
    Chain,
    QuestionKind,
    careful,
    draw_question,
    is_shown_in_pretraining,
    parse_chain,
)


@dataclass(frozen=True)
class CorpusSpec:
    """Set the weights of the three kinds of text (of their sum), and the probability of a slip at one step.

    A slip is ten off: a carry or borrow forgotten, or one made where there is none.
    """

    short: float = 0.63
    careful: float = 0.22
    sequence: float = 0.12
    slip_carry: float = 0.30
    slip_borrow: float = 0.45
    slip_plus: float = 0.02  # without a carry
    slip_minus: float = 0.04  # without a borrow
    careful_slips: float = 0.5  # of these, in careful texts


@dataclass(frozen=True)
class Text:
    """Hold one text of the corpus: the question and what follows it, without the end token."""

    problem: str
    completion: str


def draw_text(rng: np.random.Generator, spec: CorpusSpec, *, terms: Sequence[int]) -> Text:
    """Draw one text; chains have one of these numbers of terms, each as often."""
    kinds = ("short", "careful", "sequence")
    weights = np.array([spec.short, spec.careful, spec.sequence])
    kind = kinds[int(np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(), side="right"))]
    asked = (
        QuestionKind("sequence", 3)
        if kind == "sequence"
        else QuestionKind("chain", terms[int(rng.integers(len(terms)))])
    )
    while not is_shown_in_pretraining((question := draw_question(rng, asked, split="pretraining")).problem):
        pass
    if kind == "sequence":
        return Text(question.problem, _continue(rng, spec, question.problem))
    chain = parse_chain(question.problem)
    results = results_with_slips(rng, spec, chain, scale=spec.careful_slips if kind == "careful" else 1.0)
    return Text(question.problem, (careful if kind == "careful" else _short)(chain, results))


def results_with_slips(rng: np.random.Generator, spec: CorpusSpec, chain: Chain, *, scale: float) -> list[int]:
    """Compute the totals after each term as a writer who slips and goes on from there.

    A slip that would drive a later total out of LOWEST..HIGHEST is not made: every text stays a text of the world.
    """
    total, results = chain.start, []
    for i, term in enumerate(chain.terms):
        right, slip = _slip(spec, total, term.value)
        chance = scale * slip[0]
        if rng.random() < chance and Chain(right + slip[1], chain.terms[i + 1 :]).in_range():
            total = right + slip[1]
        else:
            total = right
        results.append(total)
    return results


def _slip(spec: CorpusSpec, total: int, value: int) -> tuple[int, tuple[float, int]]:
    """Return (right result, (probability of a slip, by how much it is off)) of adding a digit with a sign."""
    unit = total % 10 + value
    if value > 0:
        return total + value, (spec.slip_carry, -10) if unit >= 10 else (spec.slip_plus, 10)
    return total + value, (spec.slip_borrow, 10) if unit < 0 else (spec.slip_minus, -10)


def _short(chain: Chain, results: Sequence[int]) -> str:
    r"""Write the short style: `47+8-5` gives `=55-5=50\boxed{50}`, after each term its result and the rest."""
    left = [f"={result}{''.join(map(str, chain.terms[i + 1 :]))}" for i, result in enumerate(results)]
    return f"{''.join(left)}\\boxed{{{results[-1]}}}"


def _continue(rng: np.random.Generator, spec: CorpusSpec, problem: str) -> str:
    """Write the difference and the next term of a sequence, with the same slips."""
    *_, before, last = (int(x) for x in problem[1:-1].split(","))
    right, (chance, off) = _slip(spec, last, last - before)
    slipped = rng.random() < chance and LOWEST <= right + off <= HIGHEST
    result = right + off if slipped else right
    return f"+{last - before}={result}\\boxed{{{result}}}"
