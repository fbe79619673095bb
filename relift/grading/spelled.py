"""Whole answers against each other: their formulas, their units, the words in them."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from relift.grading.compare import decide, same_answer, tree_of
from relift.grading.decisions import Decision, no, unsure, yes
from relift.grading.idioms import beside_a_number, with_constant_of
from relift.grading.latex import Spelling, spell
from relift.grading.numbers import number_of, same_number
from relift.grading.reader import PLAIN_NUMBER
from relift.grading.trees import Apply, Name, Number, is_tree
from relift.grading.units import Unit, conversion
from relift.grading.wording import same_wording
from relift.grading.words import domain_of

_TIME = re.compile(r"([0-9]{1,2})(:[0-5][0-9](?::[0-5][0-9])?)")
_AFTERNOON = (("afternoon", 1),)
_MORNING = (("morning", 1),)
_HALVES = (_AFTERNOON, _MORNING)
_DEGREES_TO_RADIANS = Apply("/", (Name("pi", is_constant=True), Number(Fraction(180))))


def judge(gold: Spelling, answer: Spelling, *, tolerance: Fraction | None = None) -> Decision | None:
    """Compare two answers with their units and words."""
    if gold.unit is None and gold.other is not None and answer.unit is not None and answer.unit.dimensions:
        gold = gold.other  # the gold's "5 m" beside "5 cm" ends in a unit
    if answer.unit is None and answer.other is not None and gold.unit is not None and gold.unit.dimensions:
        answer = answer.other
    both = gold.plain + answer.plain
    if r"\in" in both or r"\ne" in both:
        domains = domain_of(gold.plain), domain_of(answer.plain)
        if domains[0] is not None and domains[1] is not None and domains[0][1][1:] != domains[1][1][1:]:
            decision = judge(spell(domains[0][0]), spell(domains[1][0]), tolerance=tolerance)
            return decision if decision is not None and decision.equal is False else unsure("domain")
        gold, answer = _without_domain(gold, answer)
    if ":" in gold.plain or ":" in answer.plain:
        gold, answer = _in_halves_of_the_day(gold, answer), _in_halves_of_the_day(answer, gold)
        halves = {side.unit and side.unit.dimensions for side in (gold, answer)}
        if gold.plain == answer.plain and gold.plain.startswith("12:") and halves == {None, _MORNING}:
            return unsure("colon")  # without am or pm, 12:00 is noon in one count of the hours and either in the other
    if PLAIN_NUMBER.fullmatch(gold.plain) and PLAIN_NUMBER.fullmatch(answer.plain) and gold.unit is answer.unit is None:
        if tolerance is None:
            return Decision(gold.plain == answer.plain or Fraction(gold.plain) == Fraction(answer.plain),
                            "text" if gold.plain == answer.plain else "number")  # fmt: skip
    if any(
        one.unit and one.unit.dimensions and other.plain.endswith("%")
        for one, other in ((gold, answer), (answer, gold))
    ):
        return no("unit")  # 36 dollars are no 36 percent
    gold, answer = _as_numbers(gold, answer)
    factor = conversion(gold.unit, answer.unit)
    if gold.plain == answer.plain:
        return yes("text") if factor == 1 else Decision(False if factor is not None else None, "unit")
    if gold.words is not None or answer.words is not None:
        return same_wording(gold, answer, same=lambda g, a: _judge_formulas(g, a, tolerance))
    if factor is None or factor == 0:
        decision = decide(gold.plain, answer.plain, tolerance=tolerance)
        refused = factor == 0 or (decision is not None and decision.equal is False)
        return Decision(False if refused else None, "unit")
    if factor != 1:
        return _converted(gold, answer, factor, tolerance)
    decision = decide(gold.plain, answer.plain, tolerance=tolerance)
    if decision is not None and decision.equal is False and decision.rule in ("value", "number", "approx"):
        if _may_be_unit(gold, answer, tolerance):
            return None
        return _in_radians(gold, answer, tolerance) or decision
    return decision


def _as_numbers(gold: Spelling, answer: Spelling) -> tuple[Spelling, Spelling]:
    """Read C(5,2) and 45k as numbers where the gold is one (alone, C may be a point), and a constant of integration by
    the gold's name."""
    if gold.words is not None or answer.words is not None:
        return gold, answer
    if "+C" in gold.plain:
        return gold, replace(answer, plain=with_constant_of(gold.plain, answer.plain))
    number = beside_a_number(answer.plain)
    if number is not None and is_tree(tree := tree_of(gold.plain)) and number_of(tree) is not None:
        return gold, replace(answer, plain=number)
    return gold, answer


def _without_domain(gold: Spelling, answer: Spelling) -> tuple[Spelling, Spelling]:
    r"""Leave out the domain, k \in Z, that one side alone states behind its formula; two domains are compared."""
    domains = domain_of(gold.plain), domain_of(answer.plain)
    if (domains[0] is None) == (domains[1] is None):
        return gold, answer
    sides = [side if found is None else spell(found[0]) for side, found in zip((gold, answer), domains, strict=True)]
    return sides[0], sides[1]


def _may_be_unit(gold: Spelling, answer: Spelling, tolerance: Fraction | None) -> bool:
    """Say whether the last letter, of 6m for 6, may be a unit as well as a variable."""
    sides = [side.other or side for side in (gold, answer)]
    if (gold.other is None) == (answer.other is None):
        return False
    decision = decide(sides[0].plain, sides[1].plain, tolerance=tolerance)
    return decision is not None and decision.equal is True


def _in_halves_of_the_day(time: Spelling, other: Spelling) -> Spelling:
    """Write 15:30 as 3:30 pm where the other side says pm, and 3 pm as 3:00 pm."""
    if time.unit is not None and time.unit.dimensions in _HALVES and time.plain.isdecimal() and len(time.plain) < 3:
        return Spelling(f"{time.plain}:00", time.unit)  # 12 PM
    match = _TIME.fullmatch(time.plain)
    if match is None or time.unit is not None or other.unit is None or other.unit.dimensions != _AFTERNOON:
        return time
    hour = int(match[1])
    return Spelling(f"{hour - 12}{match[2]}", other.unit) if 13 <= hour <= 23 else time


def _judge_formulas(gold: str, answer: str, tolerance: Fraction | None) -> Decision | None:
    """Compare two formulas that stood between words."""
    spelled = spell(gold), spell(answer)
    if any(side.words is not None for side in spelled):
        return None
    return judge(spelled[0], spelled[1], tolerance=tolerance)


def _converted(gold: Spelling, answer: Spelling, factor: Fraction, tolerance: Fraction | None) -> Decision | None:
    """Compare values in different units of one kind: 5 m and 500 cm."""
    trees = tree_of(gold.plain), tree_of(answer.plain)
    if not is_tree(trees[0]) or not is_tree(trees[1]):
        return unsure("unit")
    scaled = Apply("*", (trees[1], Number(factor)))  # type: ignore[arg-type]
    decision = same_answer(trees[0], scaled, tolerance)  # type: ignore[arg-type]
    return Decision(decision.equal if decision else None, "unit")


def _in_radians(gold: Spelling, answer: Spelling, tolerance: Fraction | None) -> Decision | None:
    """Accept an angle in radians for one in degrees where the one has the sign and the other has pi."""
    sides = []
    for side in (gold, answer):
        tree = tree_of(side.plain)
        if not isinstance(tree, (Number, Name, Apply)):
            return None
        is_degree = side.unit is not None and side.unit.dimensions == _DEGREE.dimensions
        if not is_degree and (side.unit is not None or r"\pi" not in side.plain):
            return None
        sides.append((Apply("*", (tree, _DEGREES_TO_RADIANS)) if is_degree else tree, is_degree))
    if sides[0][1] == sides[1][1]:
        return None
    decision = same_number(sides[0][0], sides[1][0], tolerance)
    return yes("unit") if decision is not None and decision.equal else None


_DEGREE = Unit((("angle", 1),), Fraction(1), (), "")
