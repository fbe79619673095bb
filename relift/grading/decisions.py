"""Name what a comparison says: equal, different, or undecided, and by which rule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """Whether two answers are equal, and by which rule; `equal` None: undecided, and nobody else is asked."""

    equal: bool | None
    rule: str


def yes(rule: str) -> Decision:
    """Say that two answers are the same one."""
    return Decision(equal=True, rule=rule)


def no(rule: str) -> Decision:
    """Say that two answers differ."""
    return Decision(equal=False, rule=rule)


def unsure(rule: str) -> Decision:
    """Say that nothing is to be decided here."""
    return Decision(equal=None, rule=rule)
