"""Read the rows of large files one after the other: Parquet, jsonl, folders of them, data sets of the hub.

No more than a batch of rows is in memory at a time. What a row means is said by relift.data.layouts.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from relift.data.bounds import LARGEST_ROW, MOST_ROWS, limit, too_much
from relift.data.files import BATCH_ROWS, python_values, require_small_cells
from relift.data.hub import hub_data, open_hub
from relift.errors import InputError

SUFFIXES = (".parquet", ".jsonl")

Row = tuple[str, Mapping[str, Any]]  # where it stands, for people; values by column


def stream_rows(source: str) -> Iterator[Row]:
    """Read every row of `file.parquet`, `file.jsonl`, a folder of such files, or `hf:owner/name[:config]/split`.

    Raises InputError, naming file and row: nothing to read, a line that is no JSON object, more rows or larger ones
    than relift.data.bounds allows. The files themselves are looked for before the first row.
    """
    of_hub = hub_data(source)
    if of_hub is not None:
        rows: Iterator[Row] = (
            (f"{source}: row {number}", values) for number, values in enumerate(open_hub(of_hub), start=1)
        )
        return _bounded(source, rows)
    files = source_files(Path(source))
    return _bounded(source, (row for path in files for row in file_rows(path)))


def source_files(source: Path) -> list[Path]:
    """List the files of a source: itself, or those of a folder and of the folders in it, by name. Raises InputError."""
    try:
        if source.is_dir():
            files = sorted(p for p in source.rglob("*") if p.suffix in SUFFIXES and not p.name.startswith("."))
            if not files:
                raise InputError(f"{source}: no .parquet or .jsonl file there")
        else:
            files = [source]
        for path in files:
            if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for ever
                raise InputError(f"{path}: cannot be read: a plain file is needed, no pipe or device")
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL in the name
        raise InputError(f"{str(source)!r}: cannot be read: {error}") from None
    if files[0].suffix not in SUFFIXES:
        raise InputError(f"{source}: rows are read from .parquet, .jsonl, a folder of them or hf:owner/name/split")
    return files


def _bounded(source: str, rows: Iterator[Row]) -> Iterator[Row]:
    most = limit("RELIFT_MAX_DATA_ROWS", MOST_ROWS)
    for number, row in enumerate(rows, start=1):
        if number > most:
            raise too_much(source, f"it has {number:,} rows or more", most, "RELIFT_MAX_DATA_ROWS")
        yield row


def file_rows(path: Path) -> Iterator[Row]:
    """Read every row of one .parquet or .jsonl file. Raises InputError."""
    return _parquet_rows(path) if path.suffix == ".parquet" else _jsonl_rows(path)


def _parquet_rows(path: Path) -> Iterator[Row]:
    number = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise InputError(f"{path}: two columns are called {twice[0]!r}")
            require_small_cells(path, file)
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                columns = {name: python_values(pa.chunked_array([batch.column(name)])) for name in names}
                for at in range(batch.num_rows):
                    number += 1
                    yield f"{path}: row {number}", {name: column[at] for name, column in columns.items()}
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: no parquet file: {str(error).splitlines()[0]}") from None


def _jsonl_rows(path: Path) -> Iterator[Row]:
    longest = limit("RELIFT_MAX_ROW_BYTES", LARGEST_ROW)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(longest + 2), b""), start=1):
                if len(line) > longest + 1:
                    more = f"line {number} has more than {longest:,} bytes"
                    raise too_much(path, more, longest, "RELIFT_MAX_ROW_BYTES")
                text = line.decode("utf-8", "surrogateescape").removeprefix("\ufeff" if number == 1 else "")
                if text.strip():
                    yield f"{path}: row {number}", _object(text, path, number)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _object(text: str, path: Path, number: int) -> Mapping[str, Any]:
    try:
        value = json.loads(text, strict=False)  # not strict: a tab inside a text is no reason to refuse
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: row {number}: no JSON: {str(error)[:80]}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: row {number}: a JSON object is needed, this is of type {type(value).__name__}")
    return value
