"""Bring a published row into the shape of our columns; a layout that one benchmark alone needs is in its task file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from relift.data.files import Reshape

Columns = Mapping[str, str]  # ours -> theirs
Row = Mapping[str, Any]
Layout = Callable[[Columns], Reshape]


def gold_text(value: Any) -> Any:
    """Write a gold answer as text: 142.0 of a column of floats is 142, a list of answers stands as `$a$, $b$`.

    What is none of these is returned as it is. Raises ValueError for an empty list and for a float that is no number.
    """
    if isinstance(value, list):
        if not value:
            raise ValueError("the list of answers is empty")
        texts = [str(gold_text(v)) for v in value]
        return texts[0] if len(texts) == 1 else ", ".join(t if "$" in t else f"${t}$" for t in texts)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"the answer is {value}")
        return str(int(value)) if value.is_integer() else repr(value)
    return value


def text_layout(columns: Columns) -> Reshape:
    """Read a column with the problem and one with the gold: a text, a number, or a list of them."""
    names = {columns.get("answer", "answer"), "answer"}

    def apply(row: Row) -> Row:
        return {**row, **{name: gold_text(row[name]) for name in names if name in row}}

    return Reshape(tuple(sorted(names)), apply)


def options_layout(columns: Columns) -> Reshape:
    """Read a column with the list of options and one with the letter of the right one."""
    return Reshape((), lambda row: row)
