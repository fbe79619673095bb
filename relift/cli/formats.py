"""Define the options of printing: quiet, and tables as JSON, Markdown or LaTeX."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from relift.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="print one JSON object")]
Markdown = Annotated[bool, typer.Option("--markdown", help="print tables as Markdown")]
Latex = Annotated[bool, typer.Option("--latex", help="print tables as LaTeX")]
Quiet = Annotated[bool, typer.Option("--quiet", help="show no progress")]
Format = Literal["terminal", "json", "markdown", "latex"]


def one_format(*, as_json: bool, markdown: bool, latex: bool) -> Format:
    """Return the format that was asked for. Raises InputError for two."""
    wanted: dict[Format, bool] = {"json": as_json, "markdown": markdown, "latex": latex}
    chosen = [name for name, on in wanted.items() if on]
    if len(chosen) > 1:
        raise InputError(f"--{chosen[0]} and --{chosen[1]}: choose one")
    return chosen[0] if chosen else "terminal"
