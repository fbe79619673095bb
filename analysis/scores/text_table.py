"""Draw a table of strings as text for a terminal, Markdown or LaTeX."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from relift.inert import sentence_for_markdown

Format = Literal["terminal", "markdown", "latex", "json"]
FORMATS: tuple[Format, ...] = ("terminal", "markdown", "latex", "json")

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


@dataclass(frozen=True)
class TextTable:
    """Hold cells by row; `left` columns are aligned left, the others right; `rules`: rows with a line before them."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Collection[int] = (0,)
    rules: Collection[int] = ()


def draw(table: TextTable, *, format: Format, notes: Sequence[str] = ()) -> str:
    """Draw the table and, below it, its notes; LaTeX needs the package booktabs and has the notes as comments."""
    if format == "terminal":
        return _terminal(table, notes)
    if format == "markdown":
        return _markdown(table, notes)
    if format == "latex":
        return _latex(table, notes)
    raise ValueError(f"a table cannot be drawn as {format!r}")


def one_line(text: str) -> str:
    """Return text from anywhere as one line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def escape_latex(text: str) -> str:
    """Escape text as LaTeX that prints it; a minus before a number is one."""
    escaped = "".join(_LATEX.get(c, c) for c in text)
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", escaped)


def _terminal(table: TextTable, notes: Sequence[str]) -> str:
    cells = [[one_line(cell) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]

    def line(row: Sequence[str]) -> str:
        aligned = (
            c.ljust(w) if i in table.left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(aligned).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [line(cells[0]), rule]
    for number, row in enumerate(cells[1:]):
        lines += [rule, line(row)] if number in table.rules else [line(row)]
    return "\n".join([*lines, *([""] if notes else []), *(one_line(note) for note in notes)])


def _markdown(table: TextTable, notes: Sequence[str]) -> str:
    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(sentence_for_markdown(cell) for cell in row) + " |"

    marks = "|" + "|".join("---" if i in table.left else "---:" for i in range(len(table.columns))) + "|"
    lines = [line(table.columns), marks, *(line(row) for row in table.rows)]
    return "\n".join([*lines, *(f"\n{sentence_for_markdown(note)}" for note in notes)])


def _latex(table: TextTable, notes: Sequence[str]) -> str:
    def line(row: Sequence[str]) -> str:
        return "  " + " & ".join(escape_latex(one_line(cell)) for cell in row) + r" \\"

    aligned = "".join("l" if i in table.left else "r" for i in range(len(table.columns)))
    lines = [rf"\begin{{tabular}}{{{aligned}}}", r"  \toprule", line(table.columns), r"  \midrule"]
    for number, row in enumerate(table.rows):
        lines += [r"  \midrule", line(row)] if number in table.rules else [line(row)]
    comments = [f"% {one_line(note)}" for note in notes]
    return "\n".join([*comments, *lines, r"  \bottomrule", r"\end{tabular}"])
