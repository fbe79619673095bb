"""Define the command `relift export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[str, typer.Argument(help="a training RUN (its newest checkpoint) or RUN@STEP")],
    out: Annotated[Path | None, typer.Option("--out", help="folder to make; default: exports/RUN-stepN")] = None,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="of a run with lora.rank: the adapter alone, for peft; else merged")
    ] = False,
) -> None:
    """Copy a checkpoint out, with a model card.

    It is a plain transformers checkpoint; the card has base, recipe, data, and the numbers of the record. An adapter is
    merged into its base, or copied as it is with --adapter.
    """
    from relift.trainer.export import export as copy_out

    target = copy_out(run, out, as_adapter=adapter, warn=lambda line: print(f"warning: {line}", file=sys.stderr))
    print(target)
