r"""Where the final answer stands in a response: behind the thoughts, in a box, a tag, an answer line, or alone.

The last number or formula inside prose is no answer: a model that was cut off, or that never committed itself, has
numbers too (docs/grading.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from relift.schema import Finish

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

# In this order: an opening box, any other backslash with what it escapes (`\{` is no brace), a bare brace.
_TOKEN = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_ANSWER_CUE = re.compile(
    r"\banswer(?:\*\*|__)?\s*(?:is\s*:?|:|=)\s*(?:\*\*|__)?\s*", re.IGNORECASE
)  # "the answer is", "Answer:", "**Answer:**", "final answer is:"
_MATH = re.compile(r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\$((?:[^$\\]|\\.)+)\$|\\\((.+?)\\\)", re.DOTALL)
_SENTENCE_END = re.compile(r"\.(?=\s|$)|[\r\n]|\*\*|__")
_SEPARATORS = re.compile(r"(?:\s|[,;]|\\text\s*\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)*")
_BETWEEN_BOXES = re.compile(r"(?:\s|[,;$]|\\[\[\]()]|\\text\s*\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)*")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_TEXT_GROUP = re.compile(r"\\(?:begin|end|text|mbox|mathrm|textbf|textit|mathbf|operatorname)\s*\{[^{}]*\}")
_WORD = re.compile(r"[^\W\d_]{2,}")
_NO_PROSE = frozenset("and or pi sqrt sin cos tan cot sec csc log ln exp inf infinity".split())


@dataclass(frozen=True)
class Found:
    """A final answer, and where it stood: box, boxes, tag, line, whole; None with why there is none."""

    where: str
    content: str | None


@dataclass(frozen=True)
class _Box:
    start: int  # of the backslash
    inner: int  # of the content
    end: int  # of the closing brace


def without_thoughts(text: str, *, tags: TagPairs = THINKING_TAGS, opened: bool = False) -> str | None:
    """What follows the last closing tag; None when thoughts are open at the end.

    `opened`: the prompt ended with an opening tag. Thoughts that were opened, by prompt or text, and never closed
    leave no final answer, and neither do thoughts opened anew after the last closing tag.
    """
    end, start = 0, -1
    for opening, closing in tags:
        last = text.rfind(closing)
        if last >= 0:
            end = max(end, last + len(closing))
        start = max(start, text.rfind(opening))
    if start >= end or (opened and end == 0):
        return None
    return text[end:]


def find_answer(
    text: str,
    *,
    finish: Finish = Finish.stop,
    opened: bool = False,
    tags: TagPairs = THINKING_TAGS,
    merge_boxes: bool = False,
) -> Found:
    r"""The final answer of a response, by the first that applies:

    box     the last balanced `\boxed{}` or `\fbox{}` (see `last_box`)
    boxes   `merge_boxes` alone: several last boxes with nothing but separators between them, joined by commas
    tag     the last `<answer>…</answer>`
    line    the last "answer is …" or "Answer: …": the formula that follows, or the rest of the line if it is no prose
    whole   a finished text that is nothing but one expression

    Else `none`, with the rule (unclosed_thought, truncated, no_answer) in `where` and content None.
    """
    cut = finish == Finish.length
    rest = without_thoughts(text, tags=tags, opened=opened)
    if rest is None:
        return Found("none.truncated" if cut else "none.unclosed_thought", None)
    boxes = last_boxes(rest)
    if boxes:
        if merge_boxes and len(boxes) > 1:
            return Found("boxes", ",".join(boxes))
        return Found("box", boxes[-1])
    tagged = last_tag(rest)
    if tagged is not None:
        return Found("tag", tagged)
    line = _answer_line(rest, cut=cut)
    if line is not None:
        return Found("line", line)
    if not cut and _is_expression(rest.strip()):
        return Found("whole", rest.strip())
    return Found("none.truncated" if cut else "none.no_answer", None)


def last_box(text: str) -> str | None:
    r"""Content of the last balanced `\boxed{}`, `\boxed {}` or `\fbox{}`; None when there is none.

    Boxes inside it are unwrapped: `\boxed{x=\boxed{5}}` is `x=5`. A box that opens after it and never closes cancels
    it: the model was about to answer anew. One scan, linear in the length of the text, whatever stands in it.
    """
    boxes = last_boxes(text)
    return boxes[-1] if boxes else None


def last_tag(text: str) -> str | None:
    """Content of the last `<answer>…</answer>`; None when there is none."""
    tagged = _TAG.findall(text) if "</" in text else []
    return tagged[-1].strip() if tagged else None


def last_boxes(text: str) -> list[str]:
    """The last box, after those before it that nothing but separators (comma, semicolon, and, or) parts from it."""
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
        if place < 0 or not _BETWEEN_BOXES.fullmatch(text, closed[place].end + 1, box.start):
            return group[::-1]


def _first_box(text: str) -> int:
    """Where the first box may begin: what stands before it cannot matter. The backslashes before it can."""
    place = min((p for p in (text.find(r"\boxed"), text.find(r"\fbox")) if p >= 0), default=len(text))
    while place > 0 and text[place - 1] == "\\":
        place -= 1
    return place


def _unwrap(text: str, box: _Box, nested: list[_Box]) -> str:
    """The content of `box` without the wrappers of the boxes in it."""
    cuts = sorted([(b.start, b.inner) for b in nested] + [(b.end, b.end + 1) for b in nested])
    kept, position = [], box.inner
    for start, end in cuts:
        kept.append(text[position:start])
        position = end
    kept.append(text[position : box.end])
    return "".join(kept)


def _answer_line(text: str, *, cut: bool) -> str | None:
    """What follows the last answer cue. `cut`: the text was cut off, so what runs to its end is unfinished."""
    cues = list(_ANSWER_CUE.finditer(text))
    if not cues:
        return None
    cue = cues[-1]
    formulas: list[str] = []
    formula = _MATH.match(text, cue.end())
    while formula is not None:  # several, with separators between them, are one list
        formulas.append(next(group for group in formula.groups() if group is not None))
        between = _SEPARATORS.match(text, formula.end())
        formula = _MATH.match(text, between.end()) if between and between[0].strip() else None
    if formulas:
        return ",".join(formulas)
    end = _SENTENCE_END.search(text, cue.end())
    if end is None and cut:
        return None
    rest = text[cue.end() : end.start() if end else len(text)].strip()
    return rest if _is_expression(rest) else None


def _is_expression(text: str) -> bool:
    """Whether a text is one expression and no prose: one line, at most one word outside commands."""
    if not text or "\n" in text.strip("$[]\\ \n") or r"\boxed" in text or r"\fbox" in text:
        return False
    plain = _COMMAND.sub(" ", _TEXT_GROUP.sub(" ", text))
    return len([word for word in _WORD.findall(plain) if word.lower() not in _NO_PROSE]) <= 1
