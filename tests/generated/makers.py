"""Make bad inputs: JSON whose values were exchanged, bytes that were damaged, texts made of pieces."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

LONG_NUMBER = "@long-number@"  # a number of 5,000 digits, which json does not write
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 99, 2**15, 2**31, 2**53, 2**63, 10**30, 
    -(10**30), 0.5, -0.0, 1e308, float("nan"),
    float("inf"), "", " ", "x", "0", "none", "\x00", "\x1b[31m\x1b]0;own\x07", "\ud800", "\u202e", 
    "\ufeff", "a" * 70_000,
    "../../x", "/etc/passwd", "step-000001", "=1+1", "<script>alert(1)</script>", "{{ 1/0 }}", "a\nb", LONG_NUMBER,
    [], {}, [[]], [None], [0, [1]], {"a": {"b": 1}}, {"": ""}, {"__class__": "x"}, [1] * 2_000,
)  # fmt: skip


def odd_json(rng: random.Random, value: Any, *, changes: int | None = None) -> Any:
    """Change a JSON value in a few places: other values, other types, keys gone or new, things twice."""
    value = _copy(value)
    for _ in range(changes or rng.choice((1, 1, 1, 2, 3, 6))):
        holders = list(_holders(value))
        if not holders:
            return _odd(rng)
        holder = rng.choice(holders)
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        act = rng.randrange(10)
        if act == 0:
            del holder[key]
        elif act == 1 and isinstance(holder, dict):
            holder[str(rng.choice(ODD))[:50]] = _odd(rng)
        elif act == 2:
            deep: Any = holder[key]
            for _ in range(rng.choice((1, 50, 900))):
                deep = [deep] if rng.random() < 0.5 else {"x": deep}
            holder[key] = deep
        elif act == 3:
            other = rng.choice(holders)
            holder[key] = _copy(other)
        else:
            holder[key] = _odd(rng)
    return value


def _odd(rng: random.Random) -> Any:
    """Choose an odd value, a copy: later changes of one input must not change the next, nor close a circle."""
    return copy.deepcopy(rng.choice(ODD))


def _copy(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except RecursionError:  # brackets in brackets in brackets; the value itself, put in here, would close a circle
        return [None]


def _holders(value: Any) -> Any:
    """Walk to all dictionaries and lists that hold something."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list) and one:
            yield one
            waiting += one.values() if isinstance(one, dict) else one[:200]


def json_text(value: Any) -> str:
    """Write it as JSON, numbers that json does not write included."""
    try:
        return json.dumps(value).replace(f'"{LONG_NUMBER}"', "1" * 5_000)
    except RecursionError:
        return "[" * 5_000


def odd_bytes(rng: random.Random, data: bytes) -> bytes:
    """Damage a file in one or a few places."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        n = rng.choice((1, 2, 8, 64, 4_096))
        piece = data[at : at + n]
        new: Callable[[], bytes] = rng.choice(
            (
                lambda p=piece: bytes(b ^ 1 << rng.randrange(8) for b in p[:1]) + p[1:],  # type: ignore[misc]
                lambda n=n: b"\0" * n,  # type: ignore[misc]
                lambda n=n: rng.randbytes(n),  # type: ignore[misc]
                lambda p=piece: p + p,  # type: ignore[misc]
                lambda: b"",
                lambda n=n: bytes(rng.choice(b'{}[]",:0-e\\u\n ') for _ in range(n)),  # type: ignore[misc]
            )
        )
        data = data[:at] + new() + data[at + n :]
        if rng.random() < 0.15:
            data = data[: rng.randrange(len(data) + 1)]
    return data


PIECES = (
    "9", "0", "1000000", "0.000001", "x", "y", "\\pi", "e", "i", "+", "-", "\\cdot", "\\times", "/", "^", "_", "!", "(",
    ")", "{", "}", "[", "]", "\\{", "\\}", "\\frac", "\\dfrac{1}{", "\\sqrt", "\\sqrt[3]{", "\\sum_{k=1}^{", 
    "\\int_0^",
    "\\exp(", "\\ln(", "\\sin(", "\\arctan(", "\\binom{", "\\boxed{", "\\text{", "\\mathrm{", "\\left(", "\\right)",
    "$",
    "$$", "\\(", "\\)", "\\[", "\\]", "=", "\\approx", "<", ">", "\\le", "\\in", "\\cup", "\\infty", ",", ";", ":", "|",
    "&", "\\\\", "\\begin{pmatrix}", "\\end{pmatrix}", "\\overline{", "%", "\\%", "cm", "^\\circ", "\\$", " ", "\n",
    "\t",
    "The answer is ", "Answer: ", "<answer>", "</answer>", "</think>", "<think>", "#### ", "**", "`", "(A)", "A", "B.",
    "option ", "and", " or ", "10^{", "^{^{", "e^{e^{", "\\lim_{x\\to 0}", "\x00", "\x1b[31m", "\ud800", 
    "\u202e", "\u0665",
    "\U0001d7d8", "\u00bd", "\u221a", "\u00b2", "\u2212", "1,234", "1e999", "0x10", "NaN", "inf", "None", "True",
    "__import__('os')", "lambda x:", "x if x else",
)  # fmt: skip


def answer_text(rng: random.Random) -> str:
    """Make a model's text: pieces at random, some of them very often, mostly with a box somewhere."""

    def some(n: int) -> str:
        return "".join(rng.choice(PIECES) for _ in range(n))

    inner = some(rng.randint(1, 30))
    act = rng.randrange(8)
    if act == 0:
        inner = some(rng.randint(0, 3)) + rng.choice(PIECES) * rng.choice((10, 400, 9_000)) + some(rng.randint(0, 3))
    elif act == 1:
        inner = (rng.choice(PIECES) + rng.choice(PIECES)) * rng.choice((10, 300, 4_000))
    elif act == 2:
        k = rng.choice((3, 15, 80, 600))
        inner = rng.choice(("\\exp(", "\\frac{1}{", "(", "{", "\\sqrt{", "10^{", "\\text{")) * k + some(2) + "}" * k
    elif act == 3:
        inner = "^".join(f"{{{rng.choice((2, 9, 99, 10_000))}" for _ in range(rng.randint(2, 9))) + "}" * 9
    before, after = some(rng.choice((0, 2, 20))), some(rng.choice((0, 0, 3)))
    return rng.choice((f"{before}\\boxed{{{inner}}}{after}", f"{before}The answer is {inner}.{after}", inner))
