"""Lists, sets, tuples, intervals, unions and matrices against each other, element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relift.grading.decisions import Decision, no, unsure, yes
from relift.grading.numbers import number_of
from relift.grading.reader import assigned_name
from relift.grading.relations import is_proper, range_of
from relift.grading.trees import (
    Answer,
    Apply,
    Equation,
    Group,
    Inequality,
    Matrix,
    Name,
    Number,
    Tree,
    Union,
    operations,
)

Same = Callable[[Answer, Answer], Decision | None]  # how two elements are compared
MAX_COMPARISONS = 1_024


def same_collection(gold: Answer, answer: Answer, same: Same) -> Decision | None:
    """Compare two answers of which at least one is a collection; None where it is not known."""
    if isinstance(gold, Matrix) or isinstance(answer, Matrix):
        return _same_matrix(gold, answer, same)
    if isinstance(gold, Union) or isinstance(answer, Union):
        return _same_union(gold, answer, same)
    sides = [side if isinstance(side, Group) else Group("", "", (side,)) for side in (gold, answer)]
    assigned = _same_assignments(sides, same)
    if assigned is not None:
        return assigned
    point = _assignments_and_point(sides, same)
    if point is not None:
        return point
    if {sides[0].opening, sides[1].opening} in ({"{", "("}, {"{", "["}) and min(len(s.elements) for s in sides) > 1:
        found = _as_sets(sides[0].elements, sides[1].elements, same)
        return unsure("notation") if found is None or found.equal else found  # a set is no pair and no interval
    if _unordered(sides[0]) and _unordered(sides[1]):
        return _same_lists(sides, same)
    if _unordered(sides[0]) or _unordered(sides[1]):
        return _point_and_number(sides, same)
    if (sides[0].opening, sides[0].closing) != (sides[1].opening, sides[1].closing):
        return no("list") if all(_is_interval(side, same) for side in sides) else None
    if len(sides[0].elements) != len(sides[1].elements):
        return no("list")
    return _all_same(sides[0].elements, sides[1].elements, same)


def _same_matrix(gold: Answer, answer: Answer, same: Same) -> Decision | None:
    rows = [_rows(side) for side in (gold, answer)]
    if rows[0] is None or rows[1] is None:
        return None
    if [len(row) for row in rows[0]] != [len(row) for row in rows[1]]:
        return no("list")
    cells = [[cell for row in side for cell in row] for side in rows if side is not None]
    return _all_same(cells[0], cells[1], same)


def _rows(side: Answer) -> Sequence[Sequence[Answer]] | None:
    """The rows of a matrix; a tuple in round brackets is a column, brackets in brackets are rows."""
    if isinstance(side, Matrix):
        return side.rows
    if isinstance(side, Group) and all(isinstance(e, Group) and e.opening == "[" for e in (side, *side.elements)):
        return [element.elements for element in side.elements if isinstance(element, Group)]  # [[1,2],[3,4]]
    if isinstance(side, Group) and (side.opening, side.closing) == ("(", ")"):
        return [[element] for element in side.elements]
    return None


def _same_union(gold: Answer, answer: Answer, same: Same) -> Decision | None:
    parts = [_parts(side) for side in (gold, answer)]
    if parts[0] is None or parts[1] is None:
        return None
    found = _as_sets(parts[0], parts[1], same)
    return yes("list") if found and found.equal else None  # unions of other intervals may be the same set


def _parts(side: Answer) -> Sequence[Answer] | None:
    """The parts of a union; inequalities beside each other are one too, where "or" stood between them or "and"."""
    if isinstance(side, Union):
        return side.parts
    if isinstance(side, Group) and side.opening == "" and all(isinstance(e, Inequality) for e in side.elements):
        return side.elements
    return None


def _same_assignments(sides: Sequence[Group], same: Same) -> Decision | None:
    """Compare lists that give values to several variables, x=1, y=2: by their names, in any order."""
    values = [_by_name(side) for side in sides]
    if values[0] is None or values[1] is None:
        return None
    if values[0].keys() != values[1].keys():
        return no("list")
    names = sorted(values[0])
    return _all_same([values[0][name] for name in names], [values[1][name] for name in names], same)


def _assignments_and_point(sides: Sequence[Group], same: Same) -> Decision | None:
    """Compare x=1, y=2 with (1,2), in the order of the alphabet; y=2, x=1 beside (2,1) is left open."""
    for named, other in (sides, sides[::-1]):
        values = _by_name(named)
        if values is None or (other.opening, other.closing) != ("(", ")") or len(values) != len(other.elements):
            continue
        found = _all_same([values[name] for name in sorted(values)], other.elements, same)
        if found is not None and found.equal is False and [*values] != sorted(values):
            as_written = _all_same([*values.values()], other.elements, same)
            return found if as_written is not None and as_written.equal is False else unsure("names")
        return found
    return None


def _by_name(side: Group) -> dict[str, Answer] | None:
    """The value of each variable of x=1, y=2, or of (x,y)=(1,2); None where it is something else."""
    if len(side.elements) == 1 and isinstance(side.elements[0], Equation):
        left, right = side.elements[0].sides[0], side.elements[0].sides[-1]
        if isinstance(left, Group) and isinstance(right, Group) and len(left.elements) == len(right.elements):
            names = [element.name for element in left.elements if isinstance(element, Name)]
            if len(set(names)) == len(left.elements) > 1:
                return dict(zip(names, right.elements, strict=True))
        return None
    values: dict[str, Answer] = {}
    for element in side.elements:
        name = assigned_name(element)
        if name is None or name in values or not isinstance(element, Equation):
            return None
        values[name] = element.sides[-1]
    return values if len(values) > 1 else None


def _same_lists(sides: Sequence[Group], same: Same) -> Decision | None:
    elements = [_spread(side.elements) for side in sides]
    if elements[0] is None or elements[1] is None:
        return None
    if any(_by_name(side) for side in sides):  # x=1, y=2 against numbers without names: which is which?
        found = _as_sets(elements[0], elements[1], same)
        return no("list") if found is not None and not found.equal else unsure("names")
    return _as_sets(elements[0], elements[1], same)


def _point_and_number(sides: Sequence[Group], same: Same) -> Decision | None:
    """Refuse a number for a tuple or interval with two different ends; lists are left to math-verify, which compares
    them with tuples."""
    single, other = sorted(sides, key=lambda side: len(side.elements))
    if len(single.elements) != 1 or not other.elements:
        return None
    element = single.elements[0]
    if not isinstance(element, (Number, Name, Apply)) or number_of(element) is None:
        return None
    ends = same(other.elements[0], other.elements[-1])
    return no("list") if ends is not None and ends.equal is False else None


def _is_interval(group: Group, same: Same) -> bool:
    """Say whether a group is two different numbers, or infinities, in round or square brackets, the smaller first."""
    there = range_of(group)
    return there is not None and is_proper(there)


def _unordered(group: Group) -> bool:
    return (group.opening, group.closing) in (("", ""), ("{", "}"))


def _spread(elements: Sequence[Answer]) -> tuple[Answer, ...] | None:
    """The elements with each plus-minus as two; None where one has several such signs, or is a list itself."""
    spread: list[Answer] = []
    for element in elements:
        if isinstance(element, Equation) and isinstance(element.sides[0], Name):
            element = element.sides[-1]
        if isinstance(element, (Number, Name, Apply)) and "pm" in operations(element):
            both = plus_minus(element)
            if both is None:
                return None
            spread.extend(both)
        elif isinstance(element, Group) and _unordered(element) or isinstance(element, Equation):
            return None
        else:
            spread.append(element)
    return tuple(spread)


def plus_minus(tree: Tree) -> tuple[Tree, Tree] | None:
    """The two expressions that one plus-minus sign stands for; None where there are several."""
    if not isinstance(tree, Apply) or sum("pm" in operations(argument) for argument in tree.arguments) > 1:
        return None
    if tree.operation == "pm":
        if any("pm" in operations(argument) for argument in tree.arguments):
            return None
        return Apply("+", tree.arguments), Apply("-", tree.arguments)
    for place, argument in enumerate(tree.arguments):
        if "pm" in operations(argument):
            both = plus_minus(argument)
            if both is None:
                return None
            first, second = (
                Apply(tree.operation, (*tree.arguments[:place], one, *tree.arguments[place + 1 :])) for one in both
            )
            return first, second
    return None


def _all_same(golds: Sequence[Answer], answers: Sequence[Answer], same: Same) -> Decision | None:
    """Compare elements one by one: one that differs decides, one that is not certain leaves all uncertain."""
    decisions = [same(g, a) for g, a in zip(golds, answers, strict=True)]
    if any(decision is not None and decision.equal is False for decision in decisions):
        return no("list")
    if all(decision is not None and decision.equal for decision in decisions):
        return yes("list")
    return None


def _as_sets(golds: Sequence[Answer], answers: Sequence[Answer], same: Same) -> Decision | None:
    """Look for each element's equal on the other side; repeated elements count once."""
    if len(golds) * len(answers) > MAX_COMPARISONS:
        return None
    if not golds or not answers:
        return Decision(not golds and not answers, "list")
    table = [[same(g, a) for a in answers] for g in golds]
    if any(decision is None or decision.equal is None for row in table for decision in row):
        return None
    found = [[bool(decision and decision.equal) for decision in row] for row in table]
    return Decision(all(any(row) for row in found) and all(any(c) for c in zip(*found, strict=True)), "list")
