"""Values of trees: exact fractions as long as possible, 50 digits after that, and comparison of two values.

Nothing here runs unbounded: every number is checked for its size before it is used, and one evaluation has a budget.
A comparison says True or False where it is certain and None where it is not. Expressions with variables are compared
at fixed irregular points: two that differ clearly at one of them are different functions; two that agree to
30 digits at all of them are taken for the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from math import comb, factorial
from typing import Any, TypeAlias

from mpmath import MPContext  # type: ignore[import-untyped]
from mpmath.libmp import NoConvergence  # type: ignore[import-untyped]

from relift.grading.trees import GREAT, Apply, Name, Number, Tree, Unreadable, counted, symbols

Value: TypeAlias = Any  # Fraction, or a real or complex number of the context below

DIGITS = 50
MAX_EXPONENT = 20_000
MAX_BITS = 80_000  # of a fraction's numerator and denominator together
MAX_MAGNITUDE = 4_000  # binary exponent of an inexact number, either way; of a function's argument:
MAX_ARGUMENT_MAGNITUDE = 200
MAX_FACTORIAL = 5_000
MAX_TERMS = 200  # of a sum
STEP = 2_000  # bits that one operation costs at least, whatever it does
MAX_COST = 60e9  # bits squared, over one evaluation: about a tenth of a second
SAME, DIFFERENT = Fraction(1, 10**30), Fraction(1, 10**10)  # relative; between them nothing is said
POINTS = ((1,), (-1,), (1, -1), (-1, 1))  # signs of the variables, by their rank in the alphabet

mp = MPContext()
mp.dps = DIGITS

_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "cot": mp.cot, "sec": mp.sec, "csc": mp.csc, "arcsin": mp.asin,
    "arccos": mp.acos, "arctan": mp.atan, "exp": mp.exp, "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh,
}  # fmt: skip
_EXPONENTIAL = frozenset(("exp", "sinh", "cosh", "tanh"))


class _Budget:
    """The work that one evaluation may still do, in squared bits."""

    def __init__(self) -> None:
        self.left = MAX_COST

    def spend(self, bits: int) -> None:
        self.left -= float(bits) * bits
        if self.left < 0:
            raise Unreadable("more arithmetic than an answer needs")


def evaluate(tree: Tree, at: Mapping[str, Fraction] | None = None) -> Value:
    """Compute the value of a tree at a point. Raises Unreadable where it has none, several, or one out of bounds."""
    try:
        return _evaluate(tree, at or {}, _Budget())
    except (ArithmeticError, ValueError, NoConvergence, OverflowError, TypeError) as error:
        raise Unreadable(f"no value: {error}") from None


def _evaluate(tree: Tree, at: Mapping[str, Fraction], budget: _Budget) -> Value:
    if isinstance(tree, Number):
        return tree.value
    if isinstance(tree, Name):
        return _constant(tree.name) if tree.is_constant else at[tree.name]
    budget.spend(STEP)
    if tree.operation in GREAT:
        return _bounded(_great(tree, at, budget))
    if tree.operation == "index":
        sequence, place = tree.arguments
        index = _evaluate(place, at, budget)
        if not isinstance(sequence, Name) or not isinstance(index, Fraction):
            raise Unreadable("an index that is no number")
        return coordinate(f"{sequence.name}[{index}]")
    values = [_evaluate(argument, at, budget) for argument in tree.arguments]
    return _bounded(_applied(tree.operation, values, budget))


def _great(tree: Apply, at: Mapping[str, Fraction], budget: _Budget) -> Value:
    """Add or multiply the terms of a sum or product one by one."""
    variable, first, last, term = tree.arguments
    low, high = (_evaluate(end, at, budget) for end in (first, last))
    if not all(isinstance(end, Fraction) and end.denominator == 1 for end in (low, high)) or high - low > MAX_TERMS:
        raise Unreadable("a sum without whole ends, or a long one")
    assert isinstance(variable, Name)
    total: Value = Fraction(0 if tree.operation == "sum" else 1)
    for k in range(int(low), int(high) + 1):
        value = _evaluate(term, {**at, variable.name: Fraction(k)}, budget)
        total = _bounded(_arithmetic("+" if tree.operation == "sum" else "*", total, value, budget))
    return total


def _applied(operation: str, values: list[Value], budget: _Budget) -> Value:
    if operation in ("+", "-", "*", "/"):
        return _arithmetic(operation, values[0], values[1], budget)
    if operation == "neg":
        return -values[0]
    if operation == "^":
        return _power(values[0], values[1], budget)
    if operation == "root":
        index = _whole(values[0], least=1)
        if values[1] == 0:
            return Fraction(0)
        return _power(values[1], 1 / index, budget)
    if operation in ("!", "!!"):
        n = int(_whole(values[0], most=MAX_FACTORIAL))
        budget.spend(16 * n)
        return Fraction(factorial(n) if operation == "!" else _double_factorial(n))
    if operation == "binom":
        n, k = (int(_whole(value, most=MAX_FACTORIAL)) for value in values)
        budget.spend(16 * n)
        return Fraction(comb(n, k))
    if operation == "log":
        return mp.log(_positive(values[1])) / mp.log(_positive(values[0]))
    if operation == "ln":
        return mp.ln(_positive(values[0]))
    if operation in _FUNCTIONS:
        argument = real(values[0])
        if mp.mag(argument) > (11 if operation in _EXPONENTIAL else MAX_ARGUMENT_MAGNITUDE):
            raise Unreadable("a large argument")
        return _FUNCTIONS[operation](argument)
    raise Unreadable(operation)


def _arithmetic(operation: str, a: Value, b: Value, budget: _Budget) -> Value:
    if operation == "/" and b == 0:
        raise Unreadable("division by zero")
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        bits = _bits(a) + _bits(b)
        if bits > MAX_BITS:
            raise Unreadable("a large number")
        budget.spend(bits)
    else:
        a, b = real(a), real(b)
    return a + b if operation == "+" else a - b if operation == "-" else a * b if operation == "*" else a / b


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _bounded(value: Value) -> Value:
    """The value itself; Unreadable for one that is infinite, undefined, or so large or small that it is no answer."""
    if isinstance(value, Fraction):
        if _bits(value) > MAX_BITS:
            raise Unreadable("a large number")
        return value
    parts = (value.real, value.imag) if isinstance(value, mp.mpc) else (value,)
    for part in parts:
        if not mp.isfinite(part) or (part != 0 and abs(mp.mag(part)) > MAX_MAGNITUDE):
            raise Unreadable("a number without bounds")
    return value


def _double_factorial(n: int) -> int:
    product = 1
    for factor in range(n, 1, -2):
        product *= factor
    return product


def _constant(name: str) -> Value:
    if name == "pi":
        return +mp.pi
    if name == "e":
        return +mp.e
    if name == "i":
        return mp.mpc(0, 1)
    raise Unreadable(f"{name} is no number")


def real(value: Value) -> Value:
    """Write a fraction with 50 digits; other values as they are."""
    return mp.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def _whole(value: Value, *, least: int = 0, most: int = MAX_EXPONENT) -> Fraction:
    if not isinstance(value, Fraction) or value.denominator != 1 or not least <= value <= most:
        raise Unreadable("not a whole number, or a large one")
    return value


def _positive(value: Value) -> Value:
    inexact = real(value)
    if isinstance(inexact, mp.mpc) or inexact <= 0:
        raise Unreadable("a logarithm of no positive number")
    return inexact


def _power(base: Value, exponent: Value, budget: _Budget) -> Value:
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        return _whole_power(base, exponent.numerator, budget)
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and base > 0:
        root = _exact_root(base, exponent.denominator)
        if root is not None:  # exact roots stay exact: 8^{1/3}
            return _whole_power(root, exponent.numerator, budget)
    base = real(base)
    if isinstance(base, mp.mpc) or base < 0:
        if exponent == Fraction(1, 2):
            return mp.sqrt(base)  # the imaginary one; other roots of negative numbers have several readings
        raise Unreadable("a root of a negative number")
    if base == 0:
        raise Unreadable("a power of zero")
    size = real(exponent)
    if mp.mag(size) + mp.mag(abs(mp.ln(base)) + 1) > 12:  # the exponential of more than 2 ** 12
        raise Unreadable("a large power")
    return mp.power(base, size)


def _whole_power(base: Value, n: int, budget: _Budget) -> Value:
    if abs(n) > MAX_EXPONENT or (base == 0 and n <= 0):
        raise Unreadable("a large exponent, or a power of zero")
    if isinstance(base, Fraction):
        bits = abs(n) * (_bits(base) - 1)
        if bits > MAX_BITS:
            raise Unreadable("a large power")
        budget.spend(bits)
    elif base != 0 and abs(n) * abs(mp.mag(base)) > MAX_MAGNITUDE:
        raise Unreadable("a large power")
    return base**n


def _exact_root(base: Fraction, index: int) -> Fraction | None:
    """The root of a positive fraction where it is a fraction again; None for others, and for long ones."""
    if index > 64 or _bits(base) > 2_000:
        return None
    parts = []
    for part in (base.numerator, base.denominator):
        root = int(mp.nint(mp.root(mp.mpf(part), index))) if part.bit_length() < 160 else _long_root(part, index)
        if root**index != part:
            return None
        parts.append(root)
    return Fraction(parts[0], parts[1])


def _long_root(number: int, index: int) -> int:
    """The whole part of a root, by halving."""
    low, high = 0, 1 << (number.bit_length() // index + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**index <= number else (low, middle - 1)
    return low


@lru_cache(maxsize=4_096)
def coordinate(name: str, *, sign: int = 1) -> Fraction:
    """The size of a variable at a test point: irregular, fixed by its name and the point's sign."""
    raw = int.from_bytes(hashlib.blake2b(f"{name} {sign}".encode(), digest_size=8).digest(), "big")
    return sign * Fraction(raw % 1_000_003 + 200_003, 500_009)


def point(names: frozenset[str], signs: tuple[int, ...], *, whole: frozenset[str] = frozenset()) -> dict[str, Fraction]:
    """Make a test point: signs go round the variables in alphabetic order, so that no letter has a sign of its own.

    `whole`: variables that count the terms of a sum; they get whole numbers above 4.
    """
    at = {name: coordinate(name, sign=signs[rank % len(signs)]) for rank, name in enumerate(sorted(names))}
    return at | {name: Fraction(5 + 2 * rank + len(signs)) for rank, name in enumerate(sorted(whole))}


def same_value(gold: Value, answer: Value) -> bool | None:
    """Whether two values are one number; exact for fractions, None for those too near to tell apart at 50 digits."""
    if isinstance(gold, Fraction) and isinstance(answer, Fraction):
        return gold == answer
    a, b = real(gold), real(answer)
    distance, size = abs(a - b), max(abs(a), abs(b))
    if not mp.isfinite(distance):
        return None
    if distance <= size * real(SAME):
        return True
    if distance >= size * real(DIFFERENT) and size > real(SAME):
        return False
    return None


def within(gold: Value, answer: Value, tolerance: Value) -> bool:
    """|answer - gold| <= tolerance; exact for fractions."""
    if isinstance(gold, Fraction) and isinstance(answer, Fraction) and isinstance(tolerance, Fraction):
        return abs(gold - answer) <= tolerance
    return bool(abs(real(gold) - real(answer)) <= real(tolerance))


def same_function(gold: Tree, answer: Tree) -> bool | None:
    """Whether two expressions, at least one with variables, are one function: equal wherever both have a value."""
    names = symbols(gold) | symbols(answer)
    whole = counted(gold) | counted(answer)
    said: list[bool] = []
    for signs in POINTS:
        at = point(names, signs, whole=whole)
        sides = [value_at(tree, at) for tree in (gold, answer)]
        if sides[0] is None and sides[1] is None:
            continue
        if sides[0] is None or sides[1] is None:  # one of them is defined there and the other is not
            return None
        same = same_value(*sides)
        if same is not True:
            return same
        said.append(same)
    return True if said else None


def equal_where_both_are(gold: Tree, answer: Tree) -> bool:
    """Say whether two expressions agree wherever both have a value, and only one has one somewhere: ln x^2, 2 ln x."""
    names, whole = symbols(gold) | symbols(answer), counted(gold) | counted(answer)
    values = [[value_at(tree, point(names, signs, whole=whole)) for tree in (gold, answer)] for signs in POINTS]
    both = [pair for pair in values if pair[0] is not None and pair[1] is not None]
    alone = [pair for pair in values if (pair[0] is None) != (pair[1] is None)]
    return bool(both and alone) and all(same_value(*pair) for pair in both)


def value_at(tree: Tree, at: Mapping[str, Fraction]) -> Value | None:
    """The value of a tree at a point, None where it has none."""
    try:
        return evaluate(tree, at)
    except Unreadable:
        return None
