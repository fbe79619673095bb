"""Print the list of commands in whole lines, and say which name a mistyped one is nearest to."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperGroup
from typer.exceptions import TyperException

from relift.suggest import hint

_COMMAND = re.compile(r"No such command '(.*?)'")


class WholeLines(TyperGroup):
    """List the commands with the whole first line of their help, wrapped, never cut off."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a row for each command: its name and the first line of its help."""
        named = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, first_line(command.help)) for name, command in named if command and not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def first_line(help_text: str | None) -> str:
    """Return the first paragraph of a help text as one line, without its final full stop."""
    return " ".join((help_text or "").split("\n\n")[0].split()).rstrip(".")


def usage_line(error: TyperException) -> str:
    """Write an error of the command line as one line: what is wrong, the nearest known name, where to look."""
    context: Any = getattr(error, "ctx", None)
    where = context.command_path if context else "relift"
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):
        known = [name for parameter in context.command.params for name in parameter.opts] if context else []
        message = f"No such option: {option}{hint(option, known)}"
    elif context and (command := _COMMAND.match(error.message)):
        message = f"No such command {command[1]!r}{hint(command[1], context.command.commands)}"
    else:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
    return f"{where}: {message.rstrip('.')} (see: {where} --help)"
