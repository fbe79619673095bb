"""Why a yes of math-verify would not count: it folds, rounds or drops what tells two answers apart.

Its no still counts. The names are rules of undecided answers (docs/grading.md).
"""

from __future__ import annotations

import re

from relift.grading.compare import letters_clash
from relift.grading.latex import Spelling

_SCRIPT = re.compile(r"\^-?[0-9]{2}|_[0-9]{2}")
_SIDE_BY_SIDE = re.compile(r"[0-9] [0-9]")
_REPEATING = re.compile(r"\.[0-9]*+(?:\\overline|\\dot|\([0-9]+\))")
_NAME = re.compile(r"([a-zA-Z](?:_\w|_\{[\w+,-]{1,12}\})?)=")
MAX_KNOWN_WORDS = 2


def veto(gold: Spelling, answer: Spelling) -> str | None:
    """Name the reason why math-verify may not accept this answer; None where it may."""
    texts = gold.plain, answer.plain
    if gold.is_damaged or answer.is_damaged:
        return "damaged"
    if letters_clash(*texts):
        return "letters"
    if any(r"\dots" in text for text in texts):
        return "dots"
    if _other_words(gold, answer):
        return "words"
    if any(":" in text or "!!" in text for text in texts):
        return "notation"
    if any(_SCRIPT.search(text) or _SIDE_BY_SIDE.search(text) or _REPEATING.search(text) for text in texts):
        return "notation"
    names = [_NAME.match(text) for text in texts]
    if names[0] and names[1] and names[0][1] != names[1][1]:
        return "names"
    return None


def _other_words(gold: Spelling, answer: Spelling) -> bool:
    """Say whether one of the two has words that the other has not."""
    sides = [
        frozenset(side.words.telling) | side.words.changing if side.words else frozenset() for side in (gold, answer)
    ]
    return sides[0] != sides[1]
