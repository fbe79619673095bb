r"""Find the final answer in a response: behind the thoughts, in a box, a tag, an answer line, or alone.

The last number or formula inside prose is no answer: a model that was cut off, or that never committed itself, has
numbers too (docs/grading.md). Everything here takes time in proportion to the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from relift.grading.base import CUT, no_answer_rule
from relift.grading.boxes import last_box, last_boxes
from relift.grading.damage import repaired
from relift.grading.lines import answer_line, is_expression
from relift.schema import Finish

__all__ = ["THINKING_TAGS", "Found", "TagPairs", "find_answer", "last_box", "last_tag", "without_thoughts"]

TagPairs = Sequence[tuple[str, str]]

# Opening and closing marks of thoughts, as the templates of published reasoning models have them.
THINKING_TAGS: TagPairs = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
)

_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """A final answer, and where it stood: box, boxes, tag, line, whole; None with why there is none."""

    where: str
    content: str | None


def without_thoughts(text: str, *, tags: TagPairs = THINKING_TAGS, opened: bool = False) -> str | None:
    """Cut a text behind the last closing tag; None when thoughts are open at the end.

    `opened`: the prompt ended with an opening tag. Thoughts that were opened, by prompt or text, and never closed
    leave no final answer, and neither do thoughts opened anew after the last closing tag.
    """
    if not any(beginning in text for beginning in _beginnings(tuple(tags))):
        return None if opened else text
    end, start = 0, -1
    for opening, closing in tags:
        last = text.rfind(closing)
        if last >= 0:
            end = max(end, last + len(closing))
        start = max(start, text.rfind(opening))
    if start >= end or (opened and end == 0):
        return None
    return text[end:]


@lru_cache(maxsize=64)
def _beginnings(tags: tuple[tuple[str, str], ...]) -> frozenset[str]:
    """The first two characters of every mark: few texts have any of them, and most texts have no thoughts."""
    return frozenset(mark[:2] for pair in tags for mark in pair)


def find_answer(
    text: str,
    *,
    finish: Finish = Finish.stop,
    opened: bool = False,
    tags: TagPairs = THINKING_TAGS,
    merge_boxes: bool = False,
) -> Found:
    r"""Find the final answer of a response, by the first that applies:

    box     the last balanced `\boxed{}` or `\fbox{}` (see `last_box`)
    boxes   `merge_boxes` alone: several last boxes with nothing but separators between them, joined by commas
    tag     the last `<answer>…</answer>`
    line    the last "answer is …" or "Answer: …": the formula that follows, or the rest of the line if it is no prose
    whole   a finished text that is nothing but one expression

    Else `none`, with the rule (unclosed_thought, truncated, refused, no_answer) in `where` and content None.
    """
    cut = finish in CUT
    rest = without_thoughts(text, tags=tags, opened=opened)
    if rest is None:
        return Found(no_answer_rule(finish, ended="none.unclosed_thought"), None)
    rest = repaired(rest)
    boxes = last_boxes(rest)
    if boxes:
        if merge_boxes and len(boxes) > 1:
            return Found("boxes", ",".join(boxes))
        return Found("box", boxes[-1])
    tagged = last_tag(rest)
    if tagged is not None:
        return Found("tag", tagged)
    line = answer_line(rest, cut=cut)
    if line is not None:
        return Found("line", line)
    if not cut and is_expression(rest.strip()):
        return Found("whole", rest.strip())
    return Found(no_answer_rule(finish, ended="none.no_answer"), None)


def last_tag(text: str) -> str | None:
    """Find the content of the last `<answer>…</answer>`; None when there is none, or another was begun after it."""
    start: int | None = None
    content: str | None = None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            start = tag.end()
        elif start is not None:
            content, start = text[start : tag.start()].strip(), None
    return content if start is None else None
