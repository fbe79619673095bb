"""Define the command `relift export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from relift.errors import InputError


def export(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="a training RUN (its newest checkpoint) or RUN@STEP; with --merge several, checkpoint folders and hub "
            "ids among them",
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="folder to make; default: exports/RUN-stepN")] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="make one checkpoint of several: the mean of their weights")
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option("--weights", help="--merge: weight of each, as 0.7,0.3; default: equal ones that sum to 1"),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            help="--merge: add the weighted differences from this model to it (task arithmetic); RUN@0 is a run's base",
        ),
    ] = None,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="of a run with lora.rank: the adapter alone, for peft; else merged")
    ] = False,
) -> None:
    """Copy a checkpoint out with a model card, or merge several.

    It is a plain transformers checkpoint; the card has base, recipe, data, and the numbers of the record, or of what it
    was merged and how. An adapter is merged into its base, or copied as it is with --adapter.
    """

    def warn(line: str) -> None:
        print(f"warning: {line}", file=sys.stderr)

    if merge and adapter:
        raise InputError(
            "--adapter copies one adapter as it is, --merge makes a whole checkpoint: leave one of them out"
        )
    if merge:
        from relift.trainer.merge_export import export_merged

        print(export_merged(models, out, weights=parse_weights(weights), base=base, warn=warn))
        return
    if weights is not None or base is not None:
        raise InputError(f"{'--weights' if weights is not None else '--base'} is of --merge: add --merge")
    if len(models) > 1:
        raise InputError(f"export takes one run, not {len(models)}: add --merge to make one checkpoint of them")

    from relift.trainer.export import export as copy_out

    print(copy_out(models[0], out, as_adapter=adapter, warn=warn))


def parse_weights(text: str | None) -> list[float] | None:
    """Read numbers with commas between them. Raises InputError for what is none."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--weights {text}: write a number for each model, with commas, as 0.7,0.3") from None
