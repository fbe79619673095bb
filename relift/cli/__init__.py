"""Define the command line: one command, subcommands in a table. Heavy imports wait until a command needs them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer
from typer.exceptions import Abort, TyperException

from relift.cli import analysis, evaluation, exporting, training
from relift.cli import data as questions
from relift.cli.endings import (
    BROKEN_PIPE,
    OUT_OF_MEMORY,
    file_line,
    memory_line,
    one_line,
    print_plainly,
    printing_failed,
)
from relift.cli.help import WholeLines, usage_line
from relift.errors import ReliftError

COMMANDS: dict[str, Callable[..., Any] | typer.Typer] = {
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
    "import": questions.import_,
    "data": questions.data,
    "export": exporting.export,
    "export-questions": questions.export_questions,
}


class InTableOrder(WholeLines):
    """List the commands as they stand in the table, groups of commands among them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name the commands in order."""
        return [name for name in COMMANDS if name in self.commands]


app = typer.Typer(
    name="relift",
    cls=InTableOrder,
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
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name)
    else:
        app.command(_name)(_command)


def main() -> NoReturn:
    """Run the command; errors for people become one line on standard error and their exit status."""
    print_plainly()
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    words: str | None = None
    try:
        status = app(standalone_mode=False)
        if status == 130:  # what typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
        sys.stdout.flush()  # here a full disk or a closed pipe can still be told
    except SystemExit as end:  # of a command; or typer's own, for a pipe that was closed
        status = BROKEN_PIPE if type(sys.stdout).__name__ == "PacifyFlushWrapper" else end.code
    except TyperException as error:  # a mistyped option or command, a value of the wrong type
        words, status = usage_line(error), 2
    except ReliftError as error:
        words, status = f"relift: {error}", error.exit_status
    except (KeyboardInterrupt, Abort):
        words, status = "relift: interrupted; start the same command again to continue", 130
    except OSError as error:
        ending = printing_failed(error, sys.stdout) or file_line(error)
        if ending is None:
            raise
        status, said = ending
        words = None if said is None else f"relift: {said}"
    except (MemoryError, RuntimeError) as error:
        said = memory_line(error, command)
        if said is None:
            raise
        words, status = f"relift: {said}", OUT_OF_MEMORY
    try:
        if words is not None:
            print(one_line(words), file=sys.stderr)
        sys.stderr.flush()
    except OSError as error:  # nobody reads it, or there is no room: the status says it
        printing_failed(error, sys.stderr)
    sys.exit(status or 0)
