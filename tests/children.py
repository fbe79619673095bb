"""Servers of tests end with the tests, also where these are killed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence


def tied(command: Sequence[str]) -> list[str]:
    """The command so that its process gets SIGTERM when we die; as it is where util-linux is missing."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--", *command] if setpriv else list(command)
