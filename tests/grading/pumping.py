"""Texts that pump a regular expression: a sample of what stands before a repetition, many of what it repeats, and an
end that fails. Where a pattern takes more than linear time, one of them shows it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

ENDS = ("", "\x01", "}", "1")
UNITS = (
    " ", "\n", "~", "1", "0", "a", "A", "(", ")", "{", "}", "[", "]", "\\", "$", "$x", ",", ".",
    ";", ":", "=", "^", "_", "-",
    "|", "*", "**", "`", "1,", "1 ", "1,234", " 000", "1.", "\\,", "a ", "\ue000ab ", "\\text{", "\\text{a}", "\\frac",
    "\\boxed{", "answer is ", "answer: \n", "<answer>", "</answer>", "</think>", "x^", "^{", "\\begin{array}", "\\\\",
    "\\circ", "\u00b2", "\u2082", "\u221a", "1\u0305", "/", "per ", "squared ", "e5", "and ",
    "for all ", "\x0c", "option",
    "A ", "A,", "####", "\\boxed", "A is ",
)  # fmt: skip


def sample(items: Any) -> str:
    """Write one short text that a piece of a parsed pattern matches."""
    parts: list[str] = []
    for op, value in items:
        if op is ops.LITERAL:
            parts.append(chr(value))
        elif op is ops.NOT_LITERAL:
            parts.append("a" if value != ord("a") else "b")
        elif op is ops.ANY:
            parts.append("a")
        elif op is ops.IN:
            parts.append(_of_class(value))
        elif op is ops.BRANCH:
            parts.append(sample(value[1][0]))
        elif op is ops.SUBPATTERN:
            parts.append(sample(value[3]))
        elif op is ops.ATOMIC_GROUP:
            parts.append(sample(value))
        elif op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
            parts.append(sample(value[2]) * max(1, value[0]))
        elif op is ops.CATEGORY:
            parts.append(_of_category(value))
    return "".join(parts)


def _of_class(items: Any) -> str:
    if items[0][0] is ops.NEGATE:
        taken = re.compile("[" + "".join(re.escape(chr(v)) for op, v in items[1:] if op is ops.LITERAL) + "\x00]")
        return next(c for c in "a1 .x" if not taken.match(c))
    op, value = items[0]
    if op is ops.RANGE:
        return chr(value[0])
    return _of_category(value) if op is ops.CATEGORY else chr(value)


def _of_category(value: Any) -> str:
    return {ops.CATEGORY_DIGIT: "1", ops.CATEGORY_SPACE: " ", ops.CATEGORY_WORD: "a"}.get(value, "-")


def pumped(pattern: re.Pattern[str], size: int, *, common: bool) -> Iterator[str]:
    """Write texts of about `size` characters: every repetition of the pattern pumped, or (`common`) usual pieces."""
    flags = pattern.flags & ~re.UNICODE if pattern.flags & re.ASCII else pattern.flags
    tree = list(_parser.parse(pattern.pattern, flags))
    pieces = (
        [("", unit) for unit in UNITS] + [(sample(tree[:1]), u) for u in UNITS] if common else _repetitions(tree, "")
    )
    seen: set[str] = set()
    for before, unit in pieces:
        for end in ("", "\x01") if common else ENDS:
            if unit and (key := f"{before} {unit} {end}") not in seen:
                seen.add(key)
                yield before + unit * (size // len(unit)) + end


def _repetitions(items: Any, before: str) -> Iterator[tuple[str, str]]:
    items = list(items)
    for place, (op, value) in enumerate(items):
        here = before + sample(items[:place])
        if op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
            unit = sample(value[2])
            if unit:
                yield here, unit
                yield "", here + unit if here else unit
            yield from _repetitions(value[2], here)
        elif op is ops.SUBPATTERN:
            yield from _repetitions(value[3], here)
        elif op is ops.ATOMIC_GROUP:
            yield from _repetitions(value, here)
        elif op is ops.BRANCH:
            for branch in value[1]:
                yield from _repetitions(branch, here)
                yield here, sample(branch) or " "


def seconds(run: Callable[[str], object], text: str, times: int = 3) -> float:
    """Measure the least processor time of a few runs."""
    best = float("inf")
    for _ in range(times):
        start = time.process_time()
        run(text)
        best = min(best, time.process_time() - start)
    return best


def is_linear(make: Callable[[int], str], run: Callable[[str], object], *, size: int, floor: float = 0.003) -> bool:
    """Whether twice the text takes at most 2.5 times the time; what stays under `floor` seconds is too short to tell.

    The clock of a busy machine errs upwards, so the best of several measurements counts.
    """
    for _ in range(6):
        short, long = make(size), make(2 * size)
        first = seconds(run, long, 1)
        if first < floor:
            return True
        if min(first, seconds(run, long, 2)) <= 2.5 * max(seconds(run, short), floor / 2.5):
            return True
    return False
