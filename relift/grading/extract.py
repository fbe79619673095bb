r"""Where the final answer stands in a response: the last `\boxed{}`.

The last number or formula of a text is no answer: a model that was cut off, or that never committed itself, has
numbers too (docs/method.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# In this order: an opening box, any other backslash with what it escapes (`\{` is no brace), a bare brace.
_TOKEN = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)


@dataclass(frozen=True)
class _Box:
    start: int  # of the backslash
    inner: int  # of the content
    end: int  # of the closing brace


def last_box(text: str) -> str | None:
    r"""Content of the last balanced `\boxed{}`, `\boxed {}` or `\fbox{}`; None when there is none.

    Boxes inside it are unwrapped: `\boxed{x=\boxed{5}}` is `x=5`. A box that opens after it and never closes cancels
    it: the model was about to answer anew. One scan, linear in the length of the text, whatever stands in it.
    """
    open_: list[tuple[int, int] | None] = []  # (start, inner) of a box, None for a bare brace
    closed: list[_Box] = []  # in order of their ends, so the last one is outermost
    for token in _TOKEN.finditer(text):
        if token[0] == "}":
            top = open_.pop() if open_ else None
            if top is not None:
                closed.append(_Box(*top, end=token.start()))
        elif token[0] == "{":
            open_.append(None)
        elif token[0][-1] == "{" and len(token[0]) > 2:
            open_.append((token.start(), token.end()))
    if not closed:
        return None
    last = closed[-1]
    if any(start > last.end for start, _ in filter(None, open_)):
        return None
    return _unwrap(text, last, [b for b in closed[:-1] if b.start >= last.inner])


def _unwrap(text: str, box: _Box, nested: list[_Box]) -> str:
    """The content of `box` without the wrappers of the boxes in it."""
    cuts = sorted([(b.start, b.inner) for b in nested] + [(b.end, b.end + 1) for b in nested])
    kept, position = [], box.inner
    for start, end in cuts:
        kept.append(text[position:start])
        position = end
    kept.append(text[position : box.end])
    return "".join(kept)
