"""How a published row holds its question, and how to read it: one of LAYOUTS for each benchmark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from string import ascii_uppercase
from typing import Any

from relift.data.files import Reshape

Columns = Mapping[str, str]  # ours -> theirs
Row = Mapping[str, Any]

CORRECT = "Correct Answer"  # the columns of GPQA
INCORRECT = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def gold_text(value: Any) -> Any:
    """A gold answer as text: 142.0 of a column of floats is 142, a list of answers stands as `$a$, $b$`.

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
    """A column with the problem, one with the gold: a text, a number, or a list of them."""
    names = {columns.get("answer", "answer"), "answer"}

    def apply(row: Row) -> Row:
        return {**row, **{name: gold_text(row[name]) for name in names if name in row}}

    return Reshape(tuple(sorted(names)), apply)


def options_layout(columns: Columns) -> Reshape:
    """A column with the list of options, one with the letter of the right one."""
    return Reshape((), lambda row: row)


def labelled_layout(columns: Columns) -> Reshape:
    """A column with parallel lists `text` and `label`; the gold names a label, which may be 1 to 5."""
    choices, answer = columns["options"], columns["answer"]

    def apply(row: Row) -> Row:
        given = row.get(choices)
        if not isinstance(given, Mapping):
            return row  # a local copy with our columns
        labels, texts = [str(label).strip() for label in given["label"]], list(given["text"])
        key = str(row.get(answer)).strip()
        if len(labels) != len(texts) or labels.count(key) != 1:
            raise ValueError(f"{answer} {key!r} is none of the labels {', '.join(labels)}")
        return {**row, choices: texts, answer: ascii_uppercase[labels.index(key)]}

    return Reshape((choices, answer), apply)


def correct_first_layout(columns: Columns) -> Reshape:
    """A column with the right answer, three with wrong ones: they become options with the right one first, to be
    permuted after the question has its id (load.permuted)."""

    def apply(row: Row) -> Row:
        if CORRECT not in row:
            return row
        texts = [row.get(name) for name in (CORRECT, *INCORRECT)]
        return {**row, "options": [t.strip() if isinstance(t, str) else t for t in texts], "answer": "A"}

    return Reshape((CORRECT, *INCORRECT), apply)


LAYOUTS: dict[str, Callable[[Columns], Reshape]] = {
    "text": text_layout,
    "options": options_layout,
    "labelled": labelled_layout,
    "correct_first": correct_first_layout,
}
