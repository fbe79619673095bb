"""How much is printed, and how a table is: on the terminal, or as one of three formats."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from relift.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="one JSON object")]
Markdown = Annotated[bool, typer.Option("--markdown", help="tables as Markdown")]
Latex = Annotated[bool, typer.Option("--latex", help="tables as LaTeX")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress display")]
Format = Literal["terminal", "json", "markdown", "latex"]


def one_format(*, as_json: bool, markdown: bool, latex: bool) -> Format:
    """The one that was asked for. Raises InputError for two."""
    wanted: dict[Format, bool] = {"json": as_json, "markdown": markdown, "latex": latex}
    chosen = [name for name, on in wanted.items() if on]
    if len(chosen) > 1:
        raise InputError(f"--{chosen[0]} and --{chosen[1]}: choose one")
    return chosen[0] if chosen else "terminal"
