r"""Answers with an ellipsis: 1, 2, \ldots, n. They are compared by the elements that are written down."""

from __future__ import annotations

from collections.abc import Callable

from relift.grading.decisions import Decision, no, unsure, yes
from relift.grading.reader import split
from relift.grading.trees import Unreadable

DOTS = r"\dots"
_BRACKETS = {("(", ")"), ("[", "]"), (r"\{", r"\}")}


def same_sequence(gold: str, answer: str, *, same: Callable[[str, str], Decision | None]) -> Decision | None:
    """Compare two canonical strings of which at least one has an ellipsis.

    The same elements around the same ellipsis are equal; a first or last element that differs makes a difference;
    everything else is undecided, for nobody wrote down how it goes on. None where the dots end no list.
    """
    g, a = _elements(gold), _elements(answer)
    if g is None or a is None:
        return None if g is a else unsure("dots")
    if DOTS not in g or DOTS not in a:
        return unsure("dots")
    before = [side[: side.index(DOTS)] for side in (g, a)]
    after = [side[side.index(DOTS) + 1 :] for side in (g, a)]
    if any(DOTS in side for side in after):
        return unsure("dots")
    pairs = [*zip(before[0], before[1], strict=False), *zip(after[0][::-1], after[1][::-1], strict=False)]
    decisions = [yes("text") if x == y else same(x, y) for x, y in pairs]
    if any(decision is not None and decision.equal is False for decision in decisions):
        return no("dots")
    if bool(after[0]) != bool(after[1]):
        return no("dots")  # one ends, the other goes on for ever
    complete = [len(side) for side in (before[0], after[0])] == [len(side) for side in (before[1], after[1])]
    is_certain = complete and all(decision is not None and decision.equal for decision in decisions)
    return Decision(True if is_certain else None, "dots")


def _elements(text: str) -> list[str] | None:
    """The elements of a list with or without brackets; None for what is no list."""
    for opening, closing in _BRACKETS:
        if text.startswith(opening) and text.endswith(closing):
            text = text[len(opening) : len(text) - len(closing)]
            break
    for separator in (",", "+", r"\cdot"):
        try:
            elements = split(text, (separator,))
        except Unreadable:
            return None
        if len(elements) > 1:
            return [element.strip() for element in elements]
    return None
