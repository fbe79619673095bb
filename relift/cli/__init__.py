"""Define the command line: one command, subcommands in a table. Heavy imports wait until a command needs them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer
from typer.exceptions import Abort, TyperException

from relift.cli import analysis, evaluation, training
from relift.cli.help import WholeLines, usage_line
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
    cls=WholeLines,
    help="Show, question by question, what training changed.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _relift(context: typer.Context) -> None:
    """Show, question by question, what training changed."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def main() -> NoReturn:
    """Run the command; errors for people become one line on standard error and their exit status."""
    try:
        status = app(standalone_mode=False)
        if status == 130:  # what typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
    except TyperException as error:  # a mistyped option or command, a value of the wrong type
        print(usage_line(error), file=sys.stderr)
        status = 2
    except ReliftError as error:
        print(f"relift: {' '.join(str(error).split())}", file=sys.stderr)
        status = error.exit_status
    except (KeyboardInterrupt, Abort):
        print("relift: interrupted; start the same command again to continue", file=sys.stderr)
        status = 130
    sys.exit(status or 0)
