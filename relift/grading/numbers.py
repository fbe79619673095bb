"""Numbers against numbers: exact, rounded, percentages, infinities, with a base, with a colon."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from relift.grading.decisions import Decision, no, unsure, yes
from relift.grading.trees import Apply, Colon, Name, Number, Tree, Unreadable, is_decimal, symbols
from relift.grading.values import Value, evaluate, same_value, within

ROUNDING = Fraction(1, 10**6)  # a decimal agrees with a value g within ROUNDING * min(1, |g|)
MAX_BASE = 36

_BASED = re.compile(r"\(?([0-9A-Z]{1,256})\)?_(?:\{\(?([0-9]{1,2})\)?\}|([0-9]))", re.ASCII)
_DIGITS = re.compile(r"[0-9A-Z]{1,256}", re.ASCII)


@lru_cache(maxsize=20_000)
def number_of(tree: Tree) -> Value | None:
    """The value of an expression without variables; None where it has none."""
    if symbols(tree):
        return None
    try:
        return evaluate(tree)
    except Unreadable:
        return None


def same_number(gold: Tree, answer: Tree, tolerance: Fraction | None) -> Decision | None:
    """Compare two expressions without variables."""
    g, a = number_of(gold), number_of(answer)
    if g is None or a is None:
        return _same_infinity(gold, answer)
    both_exact = isinstance(g, Fraction) and isinstance(a, Fraction)
    if tolerance is not None:
        bound = abs(g) * tolerance if isinstance(g, Fraction) else abs(g) * float(tolerance)
        return Decision(within(g, a, bound), "approx")
    if (is_decimal(gold) or is_decimal(answer)) and not (both_exact and _terminates(g) and _terminates(a)):
        return Decision(within(g, a, _rounding(g)), "approx")
    same = same_value(g, a)
    return None if same is None else Decision(same, "number" if both_exact else "value")


def _rounding(value: Value) -> Value:
    if abs(value) >= 1:
        return ROUNDING
    return abs(value) * (ROUNDING if isinstance(value, Fraction) else 1e-6)


def _terminates(value: Fraction) -> bool:
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _same_infinity(gold: Tree, answer: Tree) -> Decision | None:
    signs = [_infinity(tree) for tree in (gold, answer)]
    if signs[0] and signs[1]:
        return Decision(signs[0] == signs[1], "value")
    numbers = [number_of(tree) for tree in (gold, answer)]
    if any(signs) and any(n is not None for n in numbers):
        return no("value")
    return None


def _infinity(tree: Tree) -> int:
    if isinstance(tree, Apply) and tree.operation == "neg":
        return -_infinity(tree.arguments[0])
    return int(tree == Name("inf", is_constant=True))


def same_percent(gold: Tree, answer: Tree, tolerance: Fraction | None) -> Decision | None:
    """Compare where one side or both are percentages: p% is p or p/100 and nothing else."""
    percents = [isinstance(tree, Apply) and tree.operation == "%" for tree in (gold, answer)]
    trees = zip((gold, answer), percents, strict=True)
    values = [tree.arguments[0] if p and isinstance(tree, Apply) else tree for tree, p in trees]
    if symbols(values[0]) or symbols(values[1]):
        return None
    plain = same_number(values[0], values[1], tolerance)
    if plain is not None and plain.equal and percents == [False, True] and _below_one(values[0]):
        return unsure("percent")  # 0.28% for 0.28: its value is 0.0028
    if plain is None or plain.equal or all(percents):
        return plain and Decision(plain.equal, "percent")
    hundredth = _same_hundredth(values, percents.index(True))
    return None if hundredth is None else Decision(hundredth, "percent")


def _below_one(tree: Tree) -> bool:
    value = number_of(tree)
    return value is not None and value != 0 and bool(abs(value) < 1)


def _same_hundredth(values: Sequence[Tree], which: int) -> bool | None:
    """Compare the numbers with the percentage divided by 100; a rounded percentage stays a rounded number."""
    g, a = number_of(values[0]), number_of(values[1])
    if g is None or a is None:
        return None
    if which == 0:
        g = g / 100
    else:
        a = a / 100
    exact = isinstance(g, Fraction) and isinstance(a, Fraction)
    if any(is_decimal(value) for value in values) and not (exact and _terminates(g) and _terminates(a)):
        return within(g, a, _rounding(g))
    return same_value(g, a)


def same_in_base(gold: str, answer: str) -> Decision | None:
    """Compare numbers with a base, 2516_8: a missing base is accepted, another one is not."""
    g, a = _BASED.fullmatch(gold), _BASED.fullmatch(answer)
    if g is None and a is None:
        return None
    digits = [match[1] if match else text for match, text in ((g, gold), (a, answer))]
    bases = [int(match[2] or match[3]) if match else None for match in (g, a)]
    if any(base is not None and not 2 <= base <= MAX_BASE for base in bases):
        return None
    if not all(_DIGITS.fullmatch(text) and any(c.isdigit() for c in text) for text in digits):
        return None
    equal = digits[0].lstrip("0") == digits[1].lstrip("0") and (None in bases or bases[0] == bases[1])
    return Decision(equal, "base")


def same_colon(gold: Colon, answer: Colon) -> Decision:
    """Compare ratios and times of day: part by part, then ratios as quotients where no part looks like minutes."""
    g, a = ([part.value for part in side.parts] for side in (gold, answer))
    if len(g) != len(a):
        return no("colon")
    if g == a:
        return yes("colon")
    proportional = all(x * a[0] == y * g[0] for x, y in zip(g, a, strict=True)) and 0 not in (g[0], a[0])
    if not proportional or 0 in (*g[1:], *a[1:]):  # 7:00 and 8:00 are no ratios
        return no("colon")
    clock = any(len(side) in (2, 3) and _looks_like_minutes(side[1]) and side[0] < 25 for side in (g, a))
    return Decision(None if clock else True, "colon")


def _looks_like_minutes(value: Fraction) -> bool:
    return value.denominator == 1 and (10 <= value < 60 or value == 0)


def ratio_of(colon: Colon) -> Tree | None:
    """The quotient that a ratio of two numbers stands for; None for times of day and longer ratios."""
    if len(colon.parts) != 2 or colon.parts[1].value == 0 or _looks_like_minutes(colon.parts[1].value):
        return None
    return Number(colon.parts[0].value / colon.parts[1].value)
