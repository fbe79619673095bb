"""Read the files of other projects row by row, naming file and row of what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from relift.data.stream import file_rows
from relift.errors import InputError

T = TypeVar("T")


def read_each(path: Path, read: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
    """Read every row of a .jsonl or .parquet file with a function that raises for what a row lacks.

    Raises InputError with file and row.
    """
    for where, row in file_rows(path):
        try:
            yield read(row)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            said = f"has no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
            raise InputError(f"{where}: {' '.join(said.split())[:200]}") from None


def text_in(row: Mapping[str, Any], name: str) -> str:
    """Read a text of a row. Raises KeyError where it is missing, TypeError for anything else."""
    value = row[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is of type {type(value).__name__}, not text")
    return value


def number_in(row: Mapping[str, Any], name: str) -> float | None:
    """Read a number of a row; None where there is none."""
    value = row.get(name)
    return float(value) if isinstance(value, int | float) and value == value else None
