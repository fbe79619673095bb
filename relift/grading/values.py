"""Values of trees: exact fractions as long as possible, 50 digits after that, and comparison of two answers.

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

from relift.grading.parser import Apply, Name, Number, Tree, Unreadable

Value: TypeAlias = Any  # Fraction, or a real or complex number of the context below

DIGITS = 50
MAX_EXPONENT = 10_000
MAX_BITS = 40_000  # of a power
MAX_FACTORIAL = 1_000
SAME, DIFFERENT = Fraction(1, 10**30), Fraction(1, 10**10)  # relative; between them nothing is said
N_POINTS = 3

mp = MPContext()
mp.dps = DIGITS

_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "cot": mp.cot, "sec": mp.sec, "csc": mp.csc, "arcsin": mp.asin,
    "arccos": mp.acos, "arctan": mp.atan, "ln": mp.ln, "exp": mp.exp, "sinh": mp.sinh, "cosh": mp.cosh,
    "tanh": mp.tanh,
}  # fmt: skip


def symbols(tree: Tree) -> frozenset[str]:
    """The variables of a tree."""
    if isinstance(tree, Name):
        return frozenset() if tree.is_constant else frozenset((tree.name,))
    if isinstance(tree, Apply):
        return frozenset().union(*(symbols(argument) for argument in tree.arguments))
    return frozenset()


def is_decimal(tree: Tree) -> bool:
    """Whether a tree is one number written with a point or a power of ten: something that may have been rounded."""
    if isinstance(tree, Number):
        return tree.is_decimal
    if isinstance(tree, Apply):
        if tree.operation in ("neg", "%"):
            return is_decimal(tree.arguments[0])
        if tree.operation == "*" and isinstance(tree.arguments[0], Number):
            power = tree.arguments[1]
            return isinstance(power, Apply) and power.operation == "^" and power.arguments[0] == Number(Fraction(10))
    return False


def evaluate(tree: Tree, at: Mapping[str, Fraction] | None = None) -> Value:
    """The value of a tree at a point. Raises Unreadable where it has none, or has several."""
    try:
        return _evaluate(tree, at or {})
    except (ArithmeticError, ValueError, NoConvergence, OverflowError) as error:
        raise Unreadable(f"no value: {error}") from None


def _evaluate(tree: Tree, at: Mapping[str, Fraction]) -> Value:
    if isinstance(tree, Number):
        return tree.value
    if isinstance(tree, Name):
        return _constant(tree.name) if tree.is_constant else at[tree.name]
    values = [_evaluate(argument, at) for argument in tree.arguments]
    operation = tree.operation
    if operation == "/" and values[1] == 0:
        raise Unreadable("division by zero")
    if operation in ("+", "-", "*", "/"):
        if not all(isinstance(value, Fraction) for value in values):
            values = [_real(value) for value in values]
        a, b = values
        return a + b if operation == "+" else a - b if operation == "-" else a * b if operation == "*" else a / b
    if operation == "neg":
        return -values[0]
    if operation == "%":
        raise Unreadable("a percent sign inside an expression")
    if operation == "^":
        return _power(*values)
    if operation == "root":
        return _power(values[1], 1 / _whole(values[0], least=1))
    if operation == "!":
        return Fraction(factorial(int(_whole(values[0], most=MAX_FACTORIAL))))
    if operation == "binom":
        n, k = (int(_whole(value, most=MAX_FACTORIAL)) for value in values)
        return Fraction(comb(n, k))
    if operation == "log":
        return mp.log(_positive(values[1])) / mp.log(_positive(values[0]))
    if operation == "ln":
        return mp.ln(_positive(values[0]))
    if operation in _FUNCTIONS:
        return _FUNCTIONS[operation](_real(values[0]))
    raise Unreadable(operation)


def _constant(name: str) -> Value:
    if name == "pi":
        return +mp.pi
    if name == "e":
        return +mp.e
    if name == "i":
        return mp.mpc(0, 1)
    raise Unreadable(f"{name} is no number")


def _real(value: Value) -> Value:
    return mp.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def _whole(value: Value, *, least: int = 0, most: int = MAX_EXPONENT) -> Fraction:
    if not isinstance(value, Fraction) or value.denominator != 1 or not least <= value <= most:
        raise Unreadable("not a whole number, or a large one")
    return value


def _positive(value: Value) -> Value:
    real = _real(value)
    if isinstance(real, mp.mpc) or real <= 0:
        raise Unreadable("a logarithm of no positive number")
    return real


def _power(base: Value, exponent: Value) -> Value:
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        n = exponent.numerator
        if abs(n) > MAX_EXPONENT:
            raise Unreadable("a large exponent")
        if isinstance(base, Fraction):
            bits = abs(n) * (base.numerator.bit_length() + base.denominator.bit_length())
            if bits > MAX_BITS or (base == 0 and n <= 0):
                raise Unreadable("a large power, or one of zero")
            return base**n
        return base**n
    base = _real(base)
    if isinstance(base, mp.mpc) or base < 0:
        if exponent == Fraction(1, 2):
            return mp.sqrt(base)  # the imaginary one; other roots of negative numbers have several readings
        raise Unreadable("a root of a negative number")
    if isinstance(exponent, Fraction) and base == int(base):  # exact roots stay exact: 8^{1/3}
        root = int(mp.nint(mp.power(base, mp.mpf(1) / exponent.denominator)))
        if root**exponent.denominator == int(base) and abs(exponent.numerator) <= MAX_EXPONENT and root != 0:
            return _power(Fraction(root), Fraction(exponent.numerator))
    power = mp.power(base, _real(exponent))
    if not mp.isfinite(power) or abs(mp.mag(power)) > MAX_BITS:
        raise Unreadable("a large power")
    return power


@lru_cache(maxsize=4_096)
def coordinate(name: str, point: int) -> Fraction:
    """The value of a variable at a test point: irregular, fixed by name and point; positive at point 0."""
    raw = int.from_bytes(hashlib.blake2b(f"{name} {point}".encode(), digest_size=8).digest(), "big")
    size = Fraction(raw % 1_000_003 + 200_003, 500_009)
    return -size if point and (raw >> 40) % 2 == point % 2 else size


def same_value(gold: Value, answer: Value) -> bool | None:
    """Whether two values are one number; exact for fractions, None for those too near to tell apart at 50 digits."""
    if isinstance(gold, Fraction) and isinstance(answer, Fraction):
        return gold == answer
    a, b = _real(gold), _real(answer)
    distance, size = abs(a - b), max(abs(a), abs(b))
    if not mp.isfinite(distance):
        return None
    if distance <= size * _real(SAME):
        return True
    if distance >= size * _real(DIFFERENT) and size > _real(SAME):
        return False
    return None


def within(gold: Value, answer: Value, tolerance: Value) -> bool:
    """|answer - gold| <= tolerance; exact for fractions."""
    if isinstance(gold, Fraction) and isinstance(answer, Fraction):
        return abs(gold - answer) <= tolerance
    return bool(abs(_real(gold) - _real(answer)) <= _real(tolerance))


def same_function(gold: Tree, answer: Tree) -> bool | None:
    """Whether two expressions, at least one with variables, are one function: equal at all test points."""
    names = symbols(gold) | symbols(answer)
    said: list[bool | None] = []
    for point in range(N_POINTS):
        at = {name: coordinate(name, point) for name in names}
        try:
            said.append(same_value(evaluate(gold, at), evaluate(answer, at)))
        except Unreadable:
            said.append(None)
        if said[-1] is False:
            return False
    return True if all(said) else None


def proportional(gold: tuple[Tree, Tree], answer: tuple[Tree, Tree]) -> bool | None:
    """Whether two equations (left, right) are multiples of each other: one solution set. None says not known."""
    names = frozenset().union(*(symbols(side) for side in (*gold, *answer)))
    ratio: Value = None
    for point in range(N_POINTS):
        at = {name: coordinate(name, point) for name in names}
        try:
            g, a = (evaluate(Apply("-", sides), at) for sides in (gold, answer))
        except Unreadable:
            return None
        if g == 0 or a == 0:
            return None
        here = g / a if isinstance(g, Fraction) and isinstance(a, Fraction) else _real(g) / _real(a)
        if ratio is not None and not same_value(ratio, here):
            return None
        ratio = here
    return True
