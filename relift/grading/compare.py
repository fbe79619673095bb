"""Two canonical answers compared without sympy: certain verdicts, each with its rule, or None for the workers.

Rules: text, base, number (exact fractions), approx (a rounded decimal), percent, value (closed forms and functions),
list (lists, tuples, intervals, sets, unions, matrices). docs/grading.md says what each accepts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from relift.grading.caps import MAX_DIGITS
from relift.grading.latex import canonical, word_of
from relift.grading.parser import (
    Answer,
    Apply,
    Equation,
    Group,
    Matrix,
    Name,
    Number,
    Tree,
    Union,
    Unreadable,
    parse_answer,
)
from relift.grading.values import (
    Value,
    evaluate,
    is_decimal,
    proportional,
    same_function,
    same_value,
    symbols,
    within,
)

ROUNDING = Fraction(1, 10**6)  # a decimal agrees with a value g within ROUNDING * min(1, |g|)
Decision = tuple[bool, str]  # (equal, rule)

_BASED = re.compile(r"(\d+)_(?:\{(\d+)\}|(\d))")
_ASSIGNED = re.compile(r"[a-zA-Z](?:_\w|_\{\w+\})?=(?=.)(?!.*=)")
_INEQUALITY = re.compile(r"[<>]|\\(?:le|ge|ne|lt|gt)(?![a-zA-Z])")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_UNIT_LETTER = re.compile(r"(?:\d|\}|\)| )[mgshldctoLV]")


@lru_cache(maxsize=20_000)
def tree_of(plain: str) -> Answer | None:
    """The tree of a canonical string; None where the small reader refuses it."""
    try:
        return parse_answer(plain)
    except (Unreadable, RecursionError):
        return None


@lru_cache(maxsize=20_000)
def number_of(tree: Tree) -> Value | None:
    """The value of an expression without variables; None where it has none."""
    if symbols(tree):
        return None
    try:
        return evaluate(tree)
    except Unreadable:
        return None


def decide(gold: str, answer: str, *, tolerance: Fraction | None = None) -> Decision | None:
    """Whether two canonical strings are the same answer, and by which rule; None where that is not certain.

    `tolerance`: numbers agree within this share of the gold value, instead of the rules number and approx.
    """
    if gold == answer:
        return True, "text"
    assigned = _ASSIGNED.match(answer)
    if assigned and "=" not in gold:  # x=5 for 5
        return decide(gold, canonical(answer[assigned.end() :]), tolerance=tolerance)
    based = _based(gold, answer)
    if based is not None:
        return based
    words = word_of(gold), word_of(answer)
    if words[0] and words[1]:
        if words[0] == words[1]:
            return True, "text"
        return None if sorted(words[0]) == sorted(words[1]) else (False, "text")  # letters may also be a product
    gold_tree, answer_tree = tree_of(gold), tree_of(answer)
    if gold_tree is None or answer_tree is None:
        return _number_and_none(gold_tree, answer_tree, answer, words)
    if any(_UNIT_LETTER.fullmatch(text[-2:]) for text in (gold, answer)) and _letters(gold) != _letters(answer):
        return None  # the last letter may be a unit, or a variable
    return _same(gold_tree, answer_tree, tolerance)


def _number_and_none(
    gold: Answer | None, answer: Answer | None, answer_text: str, words: tuple[str | None, str | None]
) -> Decision | None:
    """A number against what is no expression at all: a word, an inequality."""
    number, word = (gold, words[1]) if answer is None else (answer, words[0])
    if isinstance(number, (Number, Name, Apply)) and number_of(number) is not None:
        if word or (answer is None and _INEQUALITY.search(answer_text)):
            return False, "text"
    return None


def _letters(text: str) -> set[str]:
    return set(_COMMAND.sub(" ", text)) & _ALPHABET


def _based(gold: str, answer: str) -> Decision | None:
    """Numbers with a base, 2516_8: a missing base is accepted, another one is not."""
    g, a = _BASED.fullmatch(gold), _BASED.fullmatch(answer)
    if g is None and a is None:
        return None
    digits = [match[1] if match else text for match, text in ((g, gold), (a, answer))]
    bases = [int(match[2] or match[3]) if match else None for match in (g, a)]
    if not all(d.isdigit() and len(d) <= MAX_DIGITS for d in digits):
        return None
    equal = int(digits[0]) == int(digits[1]) and (None in bases or bases[0] == bases[1])
    return equal, "base"


def _same(gold: Answer, answer: Answer, tolerance: Fraction | None) -> Decision | None:
    if isinstance(gold, Equation) or isinstance(answer, Equation):
        return _same_equation(gold, answer, tolerance)
    if isinstance(gold, (Number, Name, Apply)) and isinstance(answer, (Number, Name, Apply)):
        return _same_expression(gold, answer, tolerance)
    return _same_collection(gold, answer, tolerance)


def _same_equation(gold: Answer, answer: Answer, tolerance: Fraction | None) -> Decision | None:
    """Equations: against a value, the last side of the answer counts, and of a gold that assigns to a variable."""
    if not isinstance(gold, Equation):
        assert isinstance(answer, Equation)
        return _same(gold, answer.sides[-1], tolerance)
    if not isinstance(answer, Equation):
        return _same(gold.sides[-1], answer, tolerance) if isinstance(gold.sides[0], Name) else None
    if isinstance(gold.sides[0], Name) and gold.sides[0] == answer.sides[0]:
        decision = _same(gold.sides[-1], answer.sides[-1], tolerance)
        explicit = gold.sides[0].name not in _variables(gold.sides[1:]) | _variables(answer.sides[1:])
        return decision if decision and (decision[0] or explicit) else None
    pairs = [_plain_sides(equation) for equation in (gold, answer)]
    if pairs[0] and pairs[1] and proportional(pairs[0], pairs[1]):
        return True, "value"
    return None


def _variables(sides: Sequence[Answer]) -> set[str]:
    return {name for side in sides if isinstance(side, (Number, Name, Apply)) for name in symbols(side)}


def _plain_sides(equation: Equation) -> tuple[Tree, Tree] | None:
    if len(equation.sides) != 2:
        return None
    left, right = equation.sides
    if isinstance(left, (Number, Name, Apply)) and isinstance(right, (Number, Name, Apply)):
        return left, right
    return None


def _same_expression(gold: Tree, answer: Tree, tolerance: Fraction | None) -> Decision | None:
    if "pm" in _operations(gold) | _operations(answer):
        return _same_collection(Group("", "", (gold,)), Group("", "", (answer,)), tolerance)
    percents = [isinstance(tree, Apply) and tree.operation == "%" for tree in (gold, answer)]
    if any(percents):
        return _same_percent(gold, answer, percents, tolerance)
    if symbols(gold) or symbols(answer):
        same = same_function(gold, answer)
        return None if same is None else (same, "value")
    return _same_number(gold, answer, tolerance)


def _same_number(gold: Tree, answer: Tree, tolerance: Fraction | None) -> Decision | None:
    g, a = number_of(gold), number_of(answer)
    if g is None or a is None:
        return _same_infinity(gold, answer)
    both_exact = isinstance(g, Fraction) and isinstance(a, Fraction)
    if tolerance is not None:
        return within(g, a, abs(g) * tolerance if isinstance(g, Fraction) else abs(g) * float(tolerance)), "approx"
    if (is_decimal(gold) or is_decimal(answer)) and not (both_exact and _terminates(g) and _terminates(a)):
        bound = ROUNDING if abs(g) >= 1 else abs(g) * (ROUNDING if isinstance(g, Fraction) else 1e-6)
        return within(g, a, bound), "approx"
    same = same_value(g, a)
    return None if same is None else (same, "number" if both_exact else "value")


def _terminates(value: Fraction) -> bool:
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _same_infinity(gold: Tree, answer: Tree) -> Decision | None:
    signs = [_infinity(tree) for tree in (gold, answer)]
    if signs[0] and signs[1]:
        return signs[0] == signs[1], "value"
    numbers = [number_of(tree) for tree in (gold, answer)]
    if any(signs) and any(n is not None for n in numbers):
        return False, "value"
    return None


def _infinity(tree: Tree) -> int:
    if isinstance(tree, Apply) and tree.operation == "neg":
        return -_infinity(tree.arguments[0])
    return int(tree == Name("inf", is_constant=True))


def _same_percent(gold: Tree, answer: Tree, percents: Sequence[bool], tolerance: Fraction | None) -> Decision | None:
    """p% is p or p/100 and nothing else; two percentages are compared as such."""
    trees = zip((gold, answer), percents, strict=True)
    values = [tree.arguments[0] if p and isinstance(tree, Apply) else tree for tree, p in trees]
    if symbols(values[0]) or symbols(values[1]):
        return None
    plain = _same_number(values[0], values[1], tolerance)
    if plain is None or plain[0] or all(percents):
        return plain and (plain[0], "percent")
    which = percents.index(True)
    values[which] = Apply("/", (values[which], Number(Fraction(100), is_decimal(values[which]))))
    hundredth = _same_hundredth(values, which)
    return None if hundredth is None else (hundredth, "percent")


def _same_hundredth(values: Sequence[Tree], which: int) -> bool | None:
    """The same numbers with the percentage divided by 100; a rounded percentage stays a rounded number."""
    g, a = number_of(values[0]), number_of(values[1])
    if g is None or a is None:
        return None
    rounded = is_decimal(values[1 - which]) or is_decimal(values[which].arguments[0])  # type: ignore[union-attr]
    exact = isinstance(g, Fraction) and isinstance(a, Fraction)
    if rounded and not (exact and _terminates(g) and _terminates(a)):
        return within(g, a, ROUNDING if abs(g) >= 1 else abs(g) * (ROUNDING if isinstance(g, Fraction) else 1e-6))
    return same_value(g, a)


def _operations(tree: Tree) -> set[str]:
    if not isinstance(tree, Apply):
        return set()
    return {tree.operation}.union(*(_operations(argument) for argument in tree.arguments))


def _same_collection(gold: Answer, answer: Answer, tolerance: Fraction | None) -> Decision | None:
    if isinstance(gold, Matrix) or isinstance(answer, Matrix):
        if not (isinstance(gold, Matrix) and isinstance(answer, Matrix)):
            return None
        if [len(row) for row in gold.rows] != [len(row) for row in answer.rows]:
            return False, "list"
        cells = [cell for row in gold.rows for cell in row], [cell for row in answer.rows for cell in row]
        return _all_same(*cells, tolerance)
    if isinstance(gold, Union) or isinstance(answer, Union):
        if not (isinstance(gold, Union) and isinstance(answer, Union)):
            return None
        equal = _as_sets(gold.parts, answer.parts, tolerance)
        return (True, "list") if equal else None  # unions of other intervals may be the same set
    sides = [_bracketed(side) for side in (gold, answer)]
    if _unordered(sides[0]) and _unordered(sides[1]):
        elements = [_spread(side.elements) for side in sides]
        if elements[0] is None or elements[1] is None:
            return None
        same = _as_sets(elements[0], elements[1], tolerance)
        return None if same is None else (same, "list")
    if _unordered(sides[0]) or _unordered(sides[1]):
        return _point_and_number(sides)
    if (sides[0].opening, sides[0].closing) != (sides[1].opening, sides[1].closing):
        return (False, "list") if all(_is_interval(side) for side in sides) else None
    if len(sides[0].elements) != len(sides[1].elements):
        return False, "list"
    return _all_same(sides[0].elements, sides[1].elements, tolerance)


def _point_and_number(sides: Sequence[Group]) -> Decision | None:
    """A number against a tuple or interval with two different ends is wrong; lists are left to math-verify, which
    compares them with tuples."""
    single, other = sorted(sides, key=lambda side: len(side.elements))
    element = single.elements[0]
    if len(single.elements) > 1 or not isinstance(element, (Number, Name, Apply)) or number_of(element) is None:
        return None
    ends = _same(other.elements[0], other.elements[-1], None)
    return (False, "list") if ends is not None and not ends[0] else None


def _is_interval(group: Group) -> bool:
    """Two different numbers, or infinities, in round or square brackets."""
    ends = _same(group.elements[0], group.elements[-1], None)
    return len(group.elements) == 2 and ends is not None and ends[1] != "text" and not ends[0]


def _bracketed(side: Answer) -> Group:
    return side if isinstance(side, Group) else Group("", "", (side,))


def _unordered(group: Group) -> bool:
    return (group.opening, group.closing) in (("", ""), ("{", "}"))


def _spread(elements: Sequence[Answer]) -> tuple[Answer, ...] | None:
    """The elements with each plus-minus as two; None where one has several such signs."""
    spread: list[Answer] = []
    for element in elements:
        if isinstance(element, Equation) and isinstance(element.sides[0], Name):
            element = element.sides[-1]
        if isinstance(element, (Number, Name, Apply)) and "pm" in _operations(element):
            both = _plus_minus(element)
            if both is None:
                return None
            spread.extend(both)
        elif isinstance(element, Group) and _unordered(element) or isinstance(element, Equation):
            return None
        else:
            spread.append(element)
    return tuple(spread)


def _plus_minus(tree: Tree) -> tuple[Tree, Tree] | None:
    """The two expressions that one plus-minus sign stands for."""
    if not isinstance(tree, Apply) or sum("pm" in _operations(argument) for argument in tree.arguments) > 1:
        return None
    if tree.operation == "pm":
        if any("pm" in _operations(argument) for argument in tree.arguments):
            return None
        return Apply("+", tree.arguments), Apply("-", tree.arguments)
    for place, argument in enumerate(tree.arguments):
        if "pm" in _operations(argument):
            both = _plus_minus(argument)
            if both is None:
                return None
            first, second = (
                Apply(tree.operation, (*tree.arguments[:place], one, *tree.arguments[place + 1 :])) for one in both
            )
            return first, second
    return None


def _all_same(golds: Sequence[Answer], answers: Sequence[Answer], tolerance: Fraction | None) -> Decision | None:
    """Elements one by one: one that differs decides, one that is not certain leaves all uncertain."""
    decisions = [_same(g, a, tolerance) for g, a in zip(golds, answers, strict=True)]
    if any(decision is not None and not decision[0] for decision in decisions):
        return False, "list"
    return (True, "list") if all(decision is not None for decision in decisions) else None


def _as_sets(golds: Sequence[Answer], answers: Sequence[Answer], tolerance: Fraction | None) -> bool | None:
    """Whether each element has its equal on the other side; repeated elements count once."""
    if len(golds) * len(answers) > 4_096:
        return None
    table = [[_same(g, a, tolerance) for a in answers] for g in golds]
    if any(decision is None for row in table for decision in row):
        return None
    found = [[bool(decision and decision[0]) for decision in row] for row in table]
    return all(any(row) for row in found) and all(any(column) for column in zip(*found, strict=True))
