"""The command line: one command, subcommands in an explicit table. Heavy imports wait until a command needs them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer
from typer.exceptions import Abort, TyperException

from relift.cli import analysis, evaluation, training
from relift.errors import ReliftError

COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": training.demo,
    "train": training.train,
    "check": training.check,
    "eval": evaluation.eval_,
    "compare": analysis.compare,
    "probe": evaluation.probe,
    "topup": evaluation.topup,
    "regrade": evaluation.regrade,
    "cross-check": evaluation.cross_check,
    "analyze": analysis.analyze,
    "report": analysis.report,
    "dashboard": analysis.dashboard,
    "import": analysis.import_,
}

app = typer.Typer(
    name="relift",
    help="What did training change, question by question?",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _relift(context: typer.Context) -> None:
    """What did training change, question by question?"""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


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
