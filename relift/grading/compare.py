"""Whether two answers are the same one, where that can be said without sympy.

`decide` compares canonical strings; relift.grading.spelled compares whole spellings with their units and words. None
says: not certain, ask math-verify; a Decision without a side says: undecided, and nobody else is asked.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from relift.grading.decisions import Decision, no, unsure, yes
from relift.grading.latex import spell
from relift.grading.numbers import (
    number_of,
    ratio_of,
    same_colon,
    same_in_base,
    same_number,
    same_percent,
)
from relift.grading.reader import assigned_name, parse_answer
from relift.grading.relations import range_of, same_curve, same_expression, same_inequality
from relift.grading.sequences import same_sequence
from relift.grading.sets import same_collection
from relift.grading.trees import (
    Answer,
    Apply,
    Colon,
    Equation,
    Group,
    Inequality,
    Name,
    Number,
    Tree,
    Unreadable,
    operations,
    symbols,
)

# A name before an equals sign, x=, f(x)=, \angle ABC=, AB=, D=: what stands behind it is the answer
_NAMED = re.compile(
    r"(?:m?\\(?:angle|triangle|measuredangle) ?[A-Z]{1,4}|\\overline\{[A-Z]{2}\}|[A-Z]{1,4}|\|[A-Z]{2}\|"
    r"|(?:[a-zA-Z]|\\[a-z]{2,7})(?:_\w|_\{[\w+,-]{1,12}\})?'{0,2}(?:\([a-zA-Z0-9,]{1,12}\))?)=(?=.)(?!.*=)"
)
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_CHOICE = re.compile(r"\(([A-F])\)|([A-D])")
_INEQUALITY = re.compile(r"[<>]|\\(?:le|ge|ne)(?![a-zA-Z])")
MAX_RENAMINGS = 3


@lru_cache(maxsize=20_000)
def tree_of(plain: str) -> Answer | None:
    """Read a canonical string; None where the small reader refuses it."""
    try:
        return parse_answer(plain)
    except (Unreadable, RecursionError):
        return None


def decide(gold: str, answer: str, *, tolerance: Fraction | None = None) -> Decision | None:
    """Whether two canonical strings are the same answer, and by which rule.

    `tolerance`: numbers agree within this share of the gold value, instead of the rules number and approx.
    """
    decision = _decided(gold, answer, tolerance, renamings=0)
    if decision is not None and decision.equal is False and decision.rule != "base":
        letters = _letters(gold), _letters(answer)
        if letters[0] != letters[1] and len(letters[0]) == 1 and _folded(letters[0]) == _folded(letters[1]):
            return _in_other_case(gold, answer, tolerance)
    return decision


def _in_other_case(gold: str, answer: str, tolerance: Fraction | None) -> Decision:
    """Leave open whether x is X where it is the only variable; the letter of a choice has no case."""
    choice = _CHOICE.fullmatch(gold)
    if choice and answer.strip("()").upper() == (choice[1] or choice[2]):
        return yes("text")
    fold = _decided(gold.lower(), answer.lower(), tolerance, renamings=0)
    return Decision(None if fold is None or fold.equal else False, "letters")


def _decided(gold: str, answer: str, tolerance: Fraction | None, *, renamings: int) -> Decision | None:
    if gold == answer:
        return yes("text")
    if gold == "" or answer == "":
        return None
    exact = _exact_part(answer)
    if exact is not None:
        return _decided(_exact_part(gold) or gold, exact, tolerance, renamings=renamings + 1)
    names = [_NAMED.match(text) for text in (gold, answer)]
    if any(names) and renamings < MAX_RENAMINGS:
        named = _same_named(gold, answer, names, tolerance, renamings=renamings + 1)
        if named is not None:
            return named
    if r"\dots" in gold or r"\dots" in answer:
        sequence = same_sequence(gold, answer, same=lambda g, a: _decided(g, a, tolerance, renamings=MAX_RENAMINGS))
        if sequence is not None:
            return sequence
    based = same_in_base(gold, answer)
    if based is not None:
        return based
    trees = tree_of(gold), tree_of(answer)
    if trees[0] is None or trees[1] is None:
        return _number_and_none(trees[0], trees[1], answer)
    return same_answer(trees[0], trees[1], tolerance)


def _exact_part(text: str) -> str | None:
    r"""The exact value of `2\sqrt3 \approx 3.46`, the rounded one of `x \approx 3.46`; None without such a sign."""
    left, sign, right = text.partition(r"\approx")
    if not sign:
        return None
    left, right = left.strip(), right.strip()
    return right if not left or is_name(left) else left


def is_name(text: str) -> bool:
    """Say whether a text is nothing but a name: x, f(x), \\angle ABC."""
    match = _NAMED.match(f"{text}=0")
    return match is not None and match.end() == len(text) + 1


def _same_named(
    gold: str, answer: str, names: list[re.Match[str] | None], tolerance: Fraction | None, *, renamings: int
) -> Decision | None:
    """Compare answers of which one or both have a name before an equals sign, or None to go on with the equations."""
    g, a = (match[0] if match else "" for match in names)
    rest_g, rest_a = (spell(text[len(name) :]).plain for text, name in ((gold, g), (answer, a)))
    if a and not g and "=" not in gold:
        return _decided(gold, rest_a, tolerance, renamings=renamings)
    if g and not a and "=" not in answer:
        return _decided(rest_g, answer, tolerance, renamings=renamings)
    if not (g and a):
        return None
    if g == a:
        name = g[:-1].partition("(")[0]
        inside = {letter for text in (rest_g, rest_a) for letter in _letters(text)}
        decision = _decided(rest_g, rest_a, tolerance, renamings=renamings)
        return decision if decision is not None and (decision.equal or name not in inside) else None
    functions = "(" in g, "(" in a
    decision = _decided(rest_g, rest_a, tolerance, renamings=renamings)
    if functions[0] != functions[1] and decision is not None and decision.equal:
        return decision  # y=2x+3 and f(x)=2x+3
    if functions == (False, False) and (_letters(rest_g) or _letters(rest_a)):
        return None  # curves: x=2y and y=x/2
    if decision is not None and decision.equal is False:
        return decision
    return unsure("names")


def _number_and_none(gold: Answer | None, answer: Answer | None, answer_text: str) -> Decision | None:
    """Refuse for a number what is no expression at all: an inequality."""
    if answer is None and isinstance(gold, (Number, Name, Apply)) and number_of(gold) is not None:
        if _INEQUALITY.search(answer_text):
            return no("text")
    return None


def _letters(text: str) -> frozenset[str]:
    return frozenset(letter for letter in _COMMAND.sub(" ", text) if letter.isalpha() and letter.isascii())


def _folded(letters: frozenset[str]) -> frozenset[str]:
    return frozenset(letter.lower() for letter in letters)


def letters_clash(gold: str, answer: str) -> bool:
    """Say whether case tells letters apart that a library folds: R and r in one answer, or x against X."""
    g, a = _letters(gold), _letters(answer)
    both = g | a
    return len(_folded(both)) < len(both)


def same_answer(gold: Answer, answer: Answer, tolerance: Fraction | None) -> Decision | None:
    def same(g: Answer, a: Answer) -> Decision | None:
        return same_answer(g, a, tolerance)

    if isinstance(gold, Colon) or isinstance(answer, Colon):
        return _same_colon(gold, answer)
    if isinstance(gold, Inequality) or isinstance(answer, Inequality):
        return _same_relation(gold, answer, tolerance)
    if isinstance(gold, Equation) or isinstance(answer, Equation):
        return _same_equation(gold, answer, tolerance)
    if isinstance(gold, (Number, Name, Apply)) and isinstance(answer, (Number, Name, Apply)):
        return _same_trees(gold, answer, tolerance)
    return same_collection(gold, answer, same)


def _same_colon(gold: Answer, answer: Answer) -> Decision | None:
    if isinstance(gold, Colon) and isinstance(answer, Colon):
        return same_colon(gold, answer)
    colon, other = (gold, answer) if isinstance(gold, Colon) else (answer, gold)
    assert isinstance(colon, Colon)
    ratio = ratio_of(colon)
    if not isinstance(other, (Number, Name, Apply)) or symbols(other):
        return no("colon") if isinstance(other, Group) else None
    if ratio is None:
        over, under = (part.value for part in (*colon.parts, Number(Fraction(0)), Number(Fraction(0)))[:2])
        as_ratio = same_number(Number(over / under), other, None) if len(colon.parts) == 2 and under else None
        return unsure("colon") if as_ratio is not None and as_ratio.equal else no("colon")  # 8:18 for 4/9, or a time
    decision = same_number(ratio, other, None)
    if decision is None or decision.equal is False:
        return Decision(False if decision else None, "colon")
    return Decision(True if isinstance(other, Apply) and other.operation == "/" else None, "colon")


def _same_relation(gold: Answer, answer: Answer, tolerance: Fraction | None) -> Decision | None:
    """Compare inequalities with inequalities and with intervals."""
    g, a = range_of(gold), range_of(answer)
    if g is not None and a is not None:
        if g.name and a.name and g.name != a.name:
            return unsure("names") if g.name.lower() != a.name.lower() else unsure("letters")
        if (g.has_low, g.has_high) != (a.has_low, a.has_high):
            return no("relation")
        ends = [_same_trees(x, y, tolerance) for x, y in ((g.low, a.low), (g.high, a.high))]
        if any(end is not None and end.equal is False for end in ends):
            return no("relation")
        return yes("relation") if all(end is not None and end.equal for end in ends) else None
    if isinstance(gold, Inequality) and isinstance(answer, Inequality):
        return same_inequality(gold, answer)
    number = answer if isinstance(gold, Inequality) else gold
    if isinstance(number, (Number, Name, Apply)) and number_of(number) is not None:
        return no("text")
    return None


def _same_equation(gold: Answer, answer: Answer, tolerance: Fraction | None) -> Decision | None:
    """Compare equations; against a value, the last side counts, where the other sides do not contradict it."""
    if isinstance(gold, Equation) and isinstance(answer, Equation):
        left = assigned_name(gold), assigned_name(answer)
        if left[0] and left[0] == left[1]:
            decision = same_answer(gold.sides[-1], answer.sides[-1], tolerance)
            explicit = left[0] not in _variables(gold.sides[1:]) | _variables(answer.sides[1:])
            if decision and (decision.equal or explicit):
                return decision
        if all(_is_pair(side) for side in (gold, answer)):
            return same_collection(gold, answer, lambda g, a: same_answer(g, a, tolerance))
        return same_curve(gold, answer)
    equation, value = (gold, answer) if isinstance(gold, Equation) else (answer, gold)
    assert isinstance(equation, Equation)
    if _is_pair(equation) and isinstance(value, Group):
        named = same_collection(gold, answer, lambda g, a: same_answer(g, a, tolerance))
        return named if named is not None or value.opening != "(" else same_answer(equation.sides[-1], value, tolerance)
    if isinstance(gold, Equation) and not isinstance(gold.sides[0], Name) and not _chain(gold):
        return None
    if isinstance(value, Group) and isinstance(equation.sides[0], Name) is False and len(equation.sides) != 2:
        return None
    last = equation.sides[-1]
    decision = same_answer(last, value, tolerance) if equation is gold else same_answer(value, last, tolerance)
    if decision is None or not decision.equal:
        return _other_side(equation, value, tolerance) or decision
    if _contradicts_itself(equation):
        return unsure("chain")
    left_side = equation.sides[0]
    if len(equation.sides) == 2 and isinstance(left_side, Apply) and _is_multiple(left_side):
        return unsure("chain")  # 2x = 10 for 10, or for 5?
    return decision


def _is_pair(equation: Equation) -> bool:
    return all(isinstance(side, Group) for side in (equation.sides[0], equation.sides[-1]))


def _is_multiple(tree: Apply) -> bool:
    return tree.operation == "*" and isinstance(tree.arguments[0], Number) and isinstance(tree.arguments[1], Name)


def _chain(equation: Equation) -> bool:
    """Say whether all sides are numbers."""
    return all(isinstance(s, (Number, Name, Apply)) and number_of(s) is not None for s in equation.sides)


def _contradicts_itself(equation: Equation) -> bool:
    """Say whether a chain of numbers, 1/3 = 0.5, is none: two sides differ by more than their rounding."""
    numbers = [s for s in equation.sides if isinstance(s, (Number, Name, Apply)) and not symbols(s)]
    for one, other in zip(numbers, numbers[1:], strict=False):
        if not (_agrees(one, other) or _agrees(other, one)):
            return True
    return False


def _agrees(exact: Tree, rounded: Tree) -> bool:
    """Say whether a number is another one, or that one rounded to at least two digits."""
    g, a = number_of(exact), number_of(rounded)
    if g is None or a is None:
        return True
    decision = same_number(exact, rounded, None)
    return decision is not None and (decision.equal is True or bool(abs(g - a) <= abs(g) * Fraction(1, 100)))


def _other_side(equation: Equation, value: Answer, tolerance: Fraction | None) -> Decision | None:
    r"""Accept a chain that ends in a rounded number, \frac{100}{3} = 33.33, by the exact number before it; read
    5 = x as x = 5."""
    if len(equation.sides) == 2 and isinstance(equation.sides[1], Name) and not equation.sides[1].is_constant:
        return same_answer(value, equation.sides[0], tolerance)
    if len(equation.sides) < 2 or _contradicts_itself(equation):
        return None
    for side in equation.sides[:-1]:
        if isinstance(side, (Number, Apply)) and number_of(side) is not None:
            decision = same_answer(value, side, tolerance)
            if decision is not None and decision.equal:
                return decision
    return None


def _variables(sides: tuple[Answer, ...]) -> set[str]:
    return {name for side in sides if isinstance(side, (Number, Name, Apply)) for name in symbols(side)}


def _same_trees(gold: Tree, answer: Tree, tolerance: Fraction | None) -> Decision | None:
    if "pm" in operations(gold) | operations(answer):
        return same_collection(
            Group("", "", (gold,)), Group("", "", (answer,)), lambda g, a: same_answer(g, a, tolerance)
        )
    if any(isinstance(tree, Apply) and tree.operation == "%" for tree in (gold, answer)):
        return same_percent(gold, answer, tolerance)
    if symbols(gold) or symbols(answer):
        return same_expression(gold, answer)
    return same_number(gold, answer, tolerance)
