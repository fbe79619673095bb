"""Check the list of commands and the errors for mistyped names, at the widths that terminals have."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.main import get_command

from relift.cli import COMMANDS, app
from relift.cli.help import first_line


def relift(*arguments: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": str(columns), "TERMINAL_WIDTH": str(columns)}
    return subprocess.run(
        [sys.executable, "-m", "relift.cli", *arguments], capture_output=True, text=True, env=environment, timeout=60
    )


@pytest.mark.parametrize("columns", [80, 100])
def test_every_command_stands_in_one_whole_line(columns: int) -> None:
    shown = relift("--help", columns=columns).stdout
    lines = [line.strip() for line in shown.partition("Commands:\n")[2].splitlines() if line.strip()]
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for line in lines:
        name, _, said = line.partition(" ")
        assert said.strip() == first_line(commands[name].help) and "..." not in said


def test_every_command_says_what_it_does_and_what_its_options_are() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        assert command.help, name
        silent = [parameter.name for parameter in command.params if not parameter.help and parameter.name != "help"]
        assert silent == [], name


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["eva"], "No such command 'eva'; nearest: eval (see: "),
        (["zzz"], "No such command 'zzz' (see: "),
        (["eval", "--temprature", "1"], "No such option: --temprature; nearest: --temperature (see: "),
        (["demo", "--quikc"], "No such option: --quikc; nearest: --quick (see: "),
        (["demo", "--zzz"], "No such option: --zzz (see: "),
    ],
)
def test_a_mistyped_name_gets_the_nearest_known_one(arguments: list[str], line: str) -> None:
    done = relift(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert line in done.stderr and done.stderr.count("\n") == 1
