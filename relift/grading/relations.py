"""Equations, inequalities and intervals against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from relift.grading.decisions import Decision, no, unsure, yes
from relift.grading.numbers import number_of
from relift.grading.reader import plain_sides
from relift.grading.trees import (
    Answer,
    Apply,
    Equation,
    Group,
    Inequality,
    Name,
    Number,
    Tree,
    counted,
    operations,
    symbols,
)
from relift.grading.values import (
    POINTS,
    Value,
    equal_where_both_are,
    mp,
    point,
    real,
    same_function,
    same_value,
    value_at,
)

_REVERSED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}
_INFINITY = Name("inf", is_constant=True)


@dataclass(frozen=True)
class Range:
    """The numbers between two ends, each with whether it belongs to them; `name` of the variable, None if unnamed."""

    low: Tree
    high: Tree
    has_low: bool
    has_high: bool
    name: str | None = None


def range_of(answer: Answer) -> Range | None:
    """Read an interval, or an inequality of one variable between numbers, as a range; None for others."""
    if isinstance(answer, Group):
        if answer.opening not in ("(", "[") or len(answer.elements) != 2:
            return None
        low, high = answer.elements
        if not (_is_end(low) and _is_end(high)):
            return None
        return Range(low, high, answer.opening == "[", answer.closing == "]")  # type: ignore[arg-type]
    if not isinstance(answer, Inequality) or "!=" in answer.signs:
        return None
    sides, signs = answer.sides, answer.signs
    if signs[0] in (">", ">="):
        sides, signs = sides[::-1], tuple(_REVERSED[sign] for sign in signs[::-1])
    if any(sign in (">", ">=") for sign in signs):
        return None
    names = [place for place, side in enumerate(sides) if isinstance(side, Name) and not side.is_constant]
    if len(names) != 1 or not all(_is_end(side) for place, side in enumerate(sides) if place != names[0]):
        return None
    middle = names[0]
    name = sides[middle].name  # type: ignore[union-attr]
    if len(sides) == 3 and middle == 1:
        return Range(sides[0], sides[2], signs[0] == "<=", signs[1] == "<=", name)
    if len(sides) == 2 and middle == 0:
        return Range(Apply("neg", (_INFINITY,)), sides[1], has_low=False, has_high=signs[0] == "<=", name=name)
    if len(sides) == 2:
        return Range(sides[0], _INFINITY, has_low=signs[0] == "<=", has_high=False, name=name)
    return None


def _is_end(side: Answer) -> bool:
    if side in (_INFINITY, Apply("neg", (_INFINITY,))):
        return True
    return isinstance(side, (Number, Name, Apply)) and number_of(side) is not None


def is_proper(side: Range) -> bool:
    """Say whether the low end is below the high one, so that brackets with two numbers may be an interval."""
    ends = number_of(side.low), number_of(side.high)
    if ends[0] is None or ends[1] is None:
        return True
    return bool(ends[0] < ends[1]) if not any(_is_complex(end) for end in ends) else False


def _is_complex(value: Value) -> bool:
    return hasattr(value, "imag") and not isinstance(value, Fraction) and value.imag != 0


def same_inequality(gold: Inequality, answer: Inequality) -> Decision | None:
    """Compare two inequalities: read from either side, multiplied by a positive number; None where not known."""
    if len(gold.sides) != 2 or len(answer.sides) != 2:
        return None
    differences, strict = [], []
    for side in (gold, answer):
        left, right = side.sides
        if side.signs[0] in (">", ">="):
            left, right = right, left
        differences.append(Apply("-", (left, right)))
        strict.append(side.signs[0].rstrip("="))
    is_unequal = [side.signs[0] == "!=" for side in (gold, answer)]
    if is_unequal[0] != is_unequal[1]:
        return no("relation")
    ratio = constant_ratio(differences[0], differences[1])
    if ratio is None:
        return None
    same_strictness = ("=" in gold.signs[0]) == ("=" in answer.signs[0])
    if is_unequal[0]:
        return yes("relation")
    return Decision(bool(ratio > 0) and same_strictness, "relation")


def constant_ratio(gold: Tree, answer: Tree) -> Value | None:
    """The number by which one expression is a multiple of the other; None where it is none, or not known."""
    names = symbols(gold) | symbols(answer)
    if symbols(gold) != symbols(answer):
        return None
    whole = counted(gold) | counted(answer)
    ratio: Value = None
    for signs in POINTS:
        at = point(names, signs, whole=whole)
        g, a = value_at(gold, at), value_at(answer, at)
        if g is None or a is None or g == 0 or a == 0:
            return None
        here = g / a
        if _is_complex(here) or (ratio is not None and not same_value(ratio, here)):
            return None
        ratio = here
    return ratio


def same_curve(gold: Equation, answer: Equation) -> Decision | None:
    """Compare two equations: equal when one is a multiple of the other, different when a point of one is not on the
    other; None where neither is known."""
    sides = plain_sides(gold), plain_sides(answer)
    if sides[0] is None or sides[1] is None:
        return None
    if sides[0][0] == sides[1][0]:  # one left side: the right ones decide
        return same_expression(sides[0][1], sides[1][1])
    differences = [Apply("-", side) for side in sides if side is not None]
    if constant_ratio(*differences) is not None:
        return yes("value")
    if any("index" in operations(side) for side in differences):
        return unsure("recurrence")  # a_{n+1} = 2a_n says the same as a_n = 2a_{n-1}
    for first, second in (differences, differences[::-1]):
        if _leaves(first, second):
            return no("value")
    return None


def _leaves(curve: Tree, other: Tree) -> bool:
    """Say whether a point of one curve is clearly not on the other; looked for where a variable is squared at most."""
    names = symbols(curve) | symbols(other)
    if counted(curve) or counted(other):
        return False
    for name in sorted(symbols(curve)):
        for signs in POINTS:
            at = point(names, signs)
            root = _root(curve, at, name)
            if root is None:
                break
            there = value_at(other, {**at, name: root})
            if there is not None and same_value(there, Fraction(0)) is False:
                return True
    return False


def _root(curve: Tree, at: Mapping[str, Fraction], name: str) -> Value | None:
    """Solve for one variable where it enters linearly or squared; None where it enters otherwise."""
    values = [value_at(curve, {**at, name: Fraction(x)}) for x in (0, 1, -1, 3)]
    constant, one, minus_one, three = values
    if constant is None or one is None or minus_one is None or three is None:
        return None
    square, linear = (one + minus_one) / 2 - constant, (one - minus_one) / 2
    if not same_value(three, 9 * square + 3 * linear + constant):
        return None
    try:
        if same_value(square + 1, Fraction(1)):
            return -constant / linear
        return (mp.sqrt(real(linear * linear - 4 * square * constant)) - real(linear)) / (2 * real(square))
    except (ArithmeticError, ValueError):
        return None


def same_expression(gold: Tree, answer: Tree) -> Decision | None:
    """Compare two expressions, at least one with variables, as functions."""
    same = same_function(gold, answer)
    if same is None and equal_where_both_are(gold, answer):
        return unsure("domain")
    return None if same is None else Decision(same, "value")
