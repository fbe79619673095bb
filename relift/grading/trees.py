"""Hold what the small reader makes of an answer: trees of numbers, names, operations and collections."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias


class Unreadable(Exception):
    """The text is outside the grammar, could be read in two ways, or has no value within the bounds."""


@dataclass(frozen=True)
class Number:
    """A literal; `is_decimal`: written with a point or a power of ten, so it may have been rounded."""

    value: Fraction
    is_decimal: bool = False


@dataclass(frozen=True)
class Name:
    """A variable ("x", "X", "x_1", "theta"), or one of the constants pi, e, i, inf."""

    name: str
    is_constant: bool = False


@dataclass(frozen=True)
class Apply:
    """An operation on trees: + - * / ^ neg ! !! % pm root(index, x) log(base, x) binom(n, k),
    index(a, n) sum(k, first, last, term) prod, or a function by name."""

    operation: str
    arguments: tuple[Tree, ...]


Tree: TypeAlias = "Number | Name | Apply"


GREAT = frozenset(("sum", "prod"))  # (variable, first, last, term)


@dataclass(frozen=True)
class Group:
    """Elements in brackets: opening and closing are "(" "[" "{", ")" "]" "}", or "" for a bare list."""

    opening: str
    closing: str
    elements: tuple[Answer, ...]


@dataclass(frozen=True)
class Union:
    """Parts joined by a union sign."""

    parts: tuple[Answer, ...]


@dataclass(frozen=True)
class Matrix:
    """Rows of cells."""

    rows: tuple[tuple[Tree, ...], ...]


@dataclass(frozen=True)
class Equation:
    """Sides of a = b = c."""

    sides: tuple[Answer, ...]


@dataclass(frozen=True)
class Inequality:
    """Sides of a < x <= b with the signs between them ("<", "<=", ">", ">=", "!=")."""

    sides: tuple[Tree, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Colon:
    """Numbers with colons between them: a ratio or a time of day."""

    parts: tuple[Number, ...]


Answer: TypeAlias = "Tree | Group | Union | Matrix | Equation | Inequality | Colon"


def is_tree(answer: Answer | None) -> bool:
    """Say whether an answer is one expression, no collection or relation."""
    return isinstance(answer, (Number, Name, Apply))


def symbols(tree: Tree) -> frozenset[str]:
    """Collect the variables of a tree."""
    if isinstance(tree, Name):
        return frozenset() if tree.is_constant else frozenset((tree.name,))
    if isinstance(tree, Apply):
        if tree.operation == "index":  # a_n varies with n; a itself is a sequence
            return symbols(tree.arguments[1])
        found = frozenset[str]().union(*(symbols(argument) for argument in tree.arguments))
        return found - symbols(tree.arguments[0]) if tree.operation in GREAT else found
    return frozenset()


def counted(tree: Tree) -> frozenset[str]:
    """Collect the variables up to which a sum or product goes: whole numbers."""
    if not isinstance(tree, Apply):
        return frozenset()
    inner = frozenset[str]().union(*(counted(argument) for argument in tree.arguments))
    return inner | symbols(tree.arguments[1]) | symbols(tree.arguments[2]) if tree.operation in GREAT else inner


def operations(tree: Tree) -> set[str]:
    """Collect the operations of a tree."""
    if not isinstance(tree, Apply):
        return set()
    return {tree.operation}.union(*(operations(argument) for argument in tree.arguments))


def is_decimal(tree: Tree) -> bool:
    """Say whether a tree is one number written with a point or a power of ten: something that may have been rounded."""
    if isinstance(tree, Number):
        return tree.is_decimal
    if isinstance(tree, Apply):
        if tree.operation in ("neg", "%"):
            return is_decimal(tree.arguments[0])
        if tree.operation == "*" and isinstance(tree.arguments[0], Number):
            power = tree.arguments[1]
            return isinstance(power, Apply) and power.operation == "^" and power.arguments[0] == Number(Fraction(10))
    return False
