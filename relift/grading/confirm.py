"""Whether a yes of math-verify holds without its rounding: values again, to 40 digits, at irregular points.

math-verify compares numbers rounded to six decimals, so that 1/2004! and 1/2006! are both 0. This runs in the workers
alone, under their clock and their limit on memory: sympy is bounded by nothing else.
"""

from __future__ import annotations

from typing import Any

DIGITS = 40
SAME, ROUNDED = 1e-25, 1e-6  # relative; ROUNDED where one side is written with a decimal point
MAX_SYMBOLS = 12


def confirmed(golds: list[Any], answers: list[Any]) -> bool:
    """Say whether one of the readings of the gold answer equals one of the answer's, exactly or as a text."""
    texts = {item.strip() for item in golds if isinstance(item, str)}
    if any(isinstance(item, str) and item.strip() in texts for item in answers):
        return True
    return any(
        _equal(gold, answer) is not False
        for gold in golds
        for answer in answers
        if not isinstance(gold, str) and not isinstance(answer, str)
    )


def _equal(gold: Any, answer: Any) -> bool | None:
    """Compare two objects of sympy; None for kinds that math-verify does not round."""
    from sympy import Expr, FiniteSet, Interval, MatrixBase, Tuple  # type: ignore[import-untyped]
    from sympy.core.relational import Equality  # type: ignore[import-untyped]

    if isinstance(gold, Equality) != isinstance(answer, Equality):
        gold, answer = (side.rhs if isinstance(side, Equality) else side for side in (gold, answer))
    if isinstance(gold, Interval) and isinstance(answer, Interval):
        ends = _equal(gold.start, answer.start), _equal(gold.end, answer.end)
        return False if False in ends else None
    if isinstance(gold, MatrixBase) and isinstance(answer, MatrixBase):
        return _all_equal(list(gold), list(answer))
    if isinstance(gold, Tuple) and isinstance(answer, Tuple):
        return _all_equal(list(gold), list(answer))
    if isinstance(gold, FiniteSet) and isinstance(answer, FiniteSet):
        return _match(list(gold), list(answer)) and _match(list(answer), list(gold))
    if isinstance(gold, (FiniteSet, Tuple)) and isinstance(answer, (FiniteSet, Tuple)):
        return _match(list(gold), list(answer)) and _match(list(answer), list(gold))
    if isinstance(gold, Expr) and isinstance(answer, Expr):
        return _same_expression(gold, answer)
    return None


def _all_equal(golds: list[Any], answers: list[Any]) -> bool:
    return len(golds) == len(answers) and all(_equal(g, a) is not False for g, a in zip(golds, answers, strict=True))


def _match(golds: list[Any], answers: list[Any]) -> bool:
    return all(any(_equal(gold, answer) is not False for answer in answers) for gold in golds)


def _same_expression(gold: Any, answer: Any) -> bool | None:
    from sympy import Float, Rational

    if gold == answer:
        return True
    names = sorted(gold.free_symbols | answer.free_symbols, key=str)
    if len(names) > MAX_SYMBOLS:
        return None
    bound = ROUNDED if gold.has(Float) or answer.has(Float) else SAME
    for start in (7, 11):
        at = {name: Rational(start * 13 + 17 * place, 59 + place) for place, name in enumerate(names)}
        values = [side.subs(at).evalf(DIGITS) for side in (gold, answer)]
        if not all(value.is_number and value.is_finite for value in values):
            return None
        size = max(abs(value) for value in values)
        if abs(values[0] - values[1]) > bound * size:
            return False
    return True
