"""Bound what is read of other people's files, so that a small file cannot unpack to more than fits into memory."""

from __future__ import annotations

import os
from pathlib import Path

from relift.errors import InputError

# What a file may hold, each raised by an environment variable: the largest set of questions with worked answers that is
# known to us, OpenR1-Math-220k, has 220,000 rows and some gigabytes.
LARGEST_DATA = 8 * 2**30  # bytes, unpacked: RELIFT_MAX_DATA_BYTES
LARGEST_ROW = 16 * 2**20  # bytes: RELIFT_MAX_ROW_BYTES
MOST_ROWS = 5_000_000  # RELIFT_MAX_DATA_ROWS


def limit(variable: str, usual: int) -> int:
    """Read a limit from the environment variable of this name. Raises InputError for what is no positive number."""
    value = os.environ.get(variable, "")
    if not value:
        return usual
    if not value.isdecimal() or not 0 < len(value) < 19 or int(value) == 0:
        raise InputError(f"{variable}: a positive number is needed")
    return int(value)


def require_rows(path: Path | str, n_rows: int) -> None:
    """Refuse more rows than anybody means."""
    most = limit("RELIFT_MAX_DATA_ROWS", MOST_ROWS)
    if n_rows > most:
        raise too_much(path, f"it has {n_rows:,} rows or more", most, "RELIFT_MAX_DATA_ROWS")


def too_much(path: Path | str, what: str, most: int, variable: str) -> InputError:
    """Make the error for a file that holds more than its bound."""
    return InputError(f"{path}: {what}, more than {most:,}: if that is meant, set {variable} higher")
