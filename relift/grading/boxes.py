r"""Boxes in responses: `\boxed{}`, `\boxed {}`, `\fbox{}`, found in one scan whatever stands in the text."""

from __future__ import annotations

import re
from dataclasses import dataclass

# In this order: an opening box (its backslash doubled, or \beginboxed, as damaged templates write it), any other
# backslash with what it escapes (`\{` is no brace), a bare brace.
_TOKEN = re.compile(r"\\{1,2}(?:(?:begin)?boxed|fbox)\s*+\{|\\.|[{}]", re.DOTALL)
_BETWEEN = re.compile(
    r"(?:\s|[,;.$&:*-]|\\[\[\]()\\]|\\text\s*+\{\s*+(?:and|or)\s*+\}|\b(?:and|or)\b"
    r"|\([a-h1-9]\)|\((?:i{1,3}|iv|v)\)|\b[a-h]\)|\b[1-9](?=[.)])|\b[Pp]art\b(?:\s++[A-Ha-h1-9]\b)?+|\b[A-Za-z](?:_\d)?\s*+=)*+"
)
_NAMES = (r"\boxed", r"\fbox", r"\beginboxed")
MAX_BETWEEN = 80  # characters between two boxes of one list


@dataclass(frozen=True)
class _Box:
    start: int  # of the backslash
    inner: int  # of the content
    end: int  # of the closing brace


def last_box(text: str) -> str | None:
    r"""Find the content of the last balanced `\boxed{}`, `\boxed {}` or `\fbox{}`; None when there is none.

    Boxes inside it are unwrapped: `\boxed{x=\boxed{5}}` is `x=5`. A box that opens after it and never closes cancels
    it: the model was about to answer anew. One scan, linear in the length of the text, whatever stands in it.
    """
    boxes = last_boxes(text)
    return boxes[-1] if boxes else None


def last_boxes(text: str) -> list[str]:
    """Find the last box, after those before it that nothing but separators and labels, (a), x=, part from it."""
    open_: list[tuple[int, int] | None] = []  # (start, inner) of a box, None for a bare brace
    closed: list[_Box] = []  # in order of their ends, so the last one is outermost
    for token in _TOKEN.finditer(text, _first_box(text)):
        if token[0] == "}":
            top = open_.pop() if open_ else None
            if top is not None:
                closed.append(_Box(*top, end=token.start()))
        elif token[0] == "{":
            open_.append(None)
        elif token[0][-1] == "{" and len(token[0]) > 2:
            open_.append((token.start(), token.end()))
    if not closed:
        return []
    last = closed[-1]
    if any(start > last.end for start, _ in filter(None, open_)):
        return []
    group: list[str] = []
    place = len(closed) - 1
    while True:
        box = closed[place]
        first_nested = place
        while first_nested > 0 and closed[first_nested - 1].start >= box.inner:
            first_nested -= 1
        group.append(_unwrap(text, box, closed[first_nested:place]))
        place = first_nested - 1
        if place < 0 or not _belong_together(text, closed[place].end + 1, box.start):
            return group[::-1]


def _belong_together(text: str, start: int, end: int) -> bool:
    return end - start <= MAX_BETWEEN and _BETWEEN.fullmatch(text, start, end) is not None


def _first_box(text: str) -> int:
    """Find where the first box may begin: what stands before it cannot matter. The backslashes before it can."""
    place = min((p for p in map(text.find, _NAMES) if p >= 0), default=len(text))
    while place > 0 and text[place - 1] == "\\":
        place -= 1
    return place


def _unwrap(text: str, box: _Box, nested: list[_Box]) -> str:
    """Take the content of `box` without the wrappers of the boxes in it."""
    cuts = sorted([(b.start, b.inner) for b in nested] + [(b.end, b.end + 1) for b in nested])
    kept, position = [], box.inner
    for start, end in cuts:
        kept.append(text[position:start])
        position = end
    kept.append(text[position : box.end])
    return "".join(kept)
