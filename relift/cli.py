"""The command line: one command, subcommands. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.exceptions import Abort, TyperException

from relift.errors import ReliftError

app = typer.Typer(
    name="relift",
    help="What did training change, question by question?",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override one key of the configuration")
]


@app.callback()
def _relift(context: typer.Context) -> None:
    """What did training change, question by question?"""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="a TOML file, or the name of a preset")],
    out: Annotated[Path | None, typer.Option("--out", help="run folder; default: runs/NAME")] = None,
    set_: Set = None,
    allow_change: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="resume although this tunable field has changed")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress display")] = False,  # noqa: FBT002
) -> None:
    """Train one run; started again with the same folder it continues."""
    from relift.trainer.command import run_training

    run_training(config, out, overrides=set_ or [], allow_changes=allow_change or [], quiet=quiet)


@app.command()
def check(
    runs: Annotated[list[Path], typer.Argument(help="run folders")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,  # noqa: FBT002
) -> None:
    """Verify run folders: checksums, keys, counts, orphans; trajectories rebuilt from attempts."""
    from relift.store import check_run

    reports = {str(folder): check_run(folder) for folder in runs}
    if as_json:
        print(json.dumps({k: {"problems": r.problems, "summary": r.summary} for k, r in reports.items()}, indent=2))
    else:
        for folder, report in reports.items():
            for row in report.summary:
                print(f"{folder}: {row['table']}: {row['files']} files, {row['rows']:,} rows, {row['bytes']:,} bytes")
            for problem in report.problems:
                print(f"{folder}: PROBLEM {problem}")
            n = len(report.problems)
            print(f"{folder}: {f'{n} problem' + 's' * (n > 1) if n else 'ok'}")
    if any(r.problems for r in reports.values()):
        raise typer.Exit(5)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="folder for the runs, the table and the figures")] = Path(
        "runs/demo"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="a smoke version of under a minute")] = False,  # noqa: FBT002
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="repeat the whole with so many seeds")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,  # noqa: FBT002
) -> None:
    """The whole story on a CPU: a base model, RL, SFT, ReLIFT, SFT then RL, a table and four figures."""
    from relift.arith.demo import run_demo

    run_demo(out, quick=quick, seeds=seeds, as_json=as_json)


def main() -> NoReturn:
    """Entry point: errors for people are one line on standard error, with their exit status."""
    try:
        status = app(standalone_mode=False)
        if status == 130:  # what typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
    except TyperException as error:  # a mistyped option or command
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "relift"
        print(f"{where}: {message.rstrip('.')} (see: {where} --help)", file=sys.stderr)
        status = 2
    except ReliftError as error:
        print(f"relift: {' '.join(str(error).split())}", file=sys.stderr)
        status = error.exit_status
    except (KeyboardInterrupt, Abort):
        print("relift: interrupted; start the same command again to continue", file=sys.stderr)
        status = 130
    sys.exit(status or 0)


if __name__ == "__main__":
    main()
