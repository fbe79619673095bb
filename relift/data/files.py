"""Read rows of a file or of a data set of the hub, under our column names, noting by row everything that is wrong.

A column may be named by a path into it: `prompt.0.content`, `reward_model.ground_truth`.

What an editor or a download does to a text (a byte-order mark, CRLF, NUL, lone surrogates) is repaired and counted.
What the rows mean is said by relift.data.questions.
"""

from __future__ import annotations

import json
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from relift.data.bounds import LARGEST_DATA, LARGEST_ROW, limit, require_rows, too_much
from relift.data.escapes import repaired_escapes
from relift.data.hub import HubData, hub_data, open_hub
from relift.errors import InputError
from relift.suggest import nearest

SHOWN_PROBLEMS = 20
LONGEST_WAY = 80  # characters of a path into a cell that is offered in a message

BATCH_ROWS = 256  # unpacked at a time

_COMMIT = re.compile(r"hf://datasets/[^@]+@([0-9a-f]{40})/")  # how `datasets` names the files it has read


@dataclass(frozen=True)
class Reshape:
    """Gives a row our columns when they cannot be had by renaming. `reads`: the columns it needs beside the mapped
    ones; `apply`: a row to a row, raising ValueError that says what is wrong with it."""

    reads: tuple[str, ...]
    apply: Callable[[Mapping[str, Any]], Mapping[str, Any]]


Columns = Mapping[str, str | Sequence[str]]  # ours -> theirs; of several, the first that there is


@dataclass
class RowTable:
    """Rows as read, keyed by our column names, and what is wrong with them."""

    source: str
    columns: Mapping[str, str]  # ours -> theirs
    rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # (row number from 1, values)
    problems: list[tuple[int, str]] = field(default_factory=list)  # row 0: the file as a whole
    repairs: Counter[str] = field(default_factory=Counter)
    revision: str | None = None  # of a data set of the hub: the commit that was read

    def readable_rows(self) -> list[tuple[int, dict[str, Any]]]:
        """List the rows, or none if the file as a whole is wrong: then there is no point in judging them."""
        return [] if any(row == 0 for row, _ in self.problems) else self.rows

    def text(self, row: int, values: Mapping[str, Any], name: str, *, number: bool = False) -> str | None:
        """Read the repaired text of a cell; None when it is absent or null. A wrong type is noted, and gives None."""
        value = values.get(name)
        if number and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is not None and not isinstance(value, str):
            inner = f"{self.columns[name]}.{_a_way_in(value)}"
            near = inner[-1] != "." and len(inner) <= LONGEST_WAY
            mend = f"; name the text in it, as in data.columns.{name} = {inner!r}" if near else ""
            if any(said.endswith(mend) for _, said in self.problems):  # once is enough, in a line of many rows
                mend = ""
            self.problems.append((row, f"{self.columns[name]} is of type {type(value).__name__}, not text{mend}"))
        return self.repaired(value) if isinstance(value, str) else None

    def texts(self, row: int, values: Mapping[str, Any], name: str) -> tuple[str, ...]:
        """Read the repaired texts of a cell that holds a list of them; () when it is absent or null. Anything else, and
        an empty text among them, is noted, and gives ()."""
        value = values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            self.problems.append((row, f"{self.columns[name]} is no list of texts"))
            return ()
        texts = tuple(self.repaired(v) for v in value)
        if not all(t.strip() for t in texts):
            self.problems.append((row, f"{self.columns[name]} holds an empty text"))
            return ()
        return texts

    def repaired(self, text: str) -> str:
        """Rid a text of what editors, downloads and broken exports leave in it; each repair is counted.

        Damaged escapes come first: the carriage return of a damaged `\\right` is no end of a line.
        """
        text, n_escapes = repaired_escapes(text)
        if n_escapes:
            self.repairs["escape"] += n_escapes
        return self.cleaned(text)

    def cleaned(self, text: str) -> str:
        """Rid a text, or a line of JSON, of what is no text; each repair is counted."""
        for name, pattern, replacement in _REPAIRS:
            text, n = pattern.subn(replacement, text)
            if n:
                self.repairs[name] += 1
        return text


_REPAIRS = (
    ("bom", re.compile("^\ufeff"), ""),
    ("crlf", re.compile("\r\n?"), "\n"),
    ("nul", re.compile("\0"), ""),
    ("surrogate", re.compile("[\ud800-\udfff]"), "\ufffd"),
)


def read_rows(
    source: str | Path | HubData,
    *,
    known: Sequence[str],
    columns: Columns,
    needed: Sequence[str],
    reshape: Reshape | None = None,
) -> RowTable:
    """Read the rows of `file.jsonl`, `file.parquet`, `hf:owner/name[:config]/split` or a HubData.

    known: our column names; needed: those that must be there, else row 0 has a problem.
    Raises InputError when there is nothing to read, and for a column that is not ours.
    """
    odd = sorted(set(columns) - set(known))
    if odd:
        raise InputError(
            f"data.columns: unknown column {odd[0]!r}{_quoted_hint(odd[0], known)}; known: {', '.join(known)}"
        )
    theirs_of = {ours: _candidates(columns.get(ours, ours)) for ours in known}
    table = RowTable(str(source), {})
    theirs = {name for names in theirs_of.values() for name in names}
    wanted = theirs | {name.partition(".")[0] for name in theirs} | set(reshape.reads if reshape else ())
    names, raw = _raw_rows(source, table, wanted)
    if reshape is not None:
        raw = _reshaped(raw, reshape, table)
        names = list(dict.fromkeys(name for _, values in raw for name in values))
    table.columns = {
        ours: next((t for t in theirs if _is_there(t, names)), theirs[0]) for ours, theirs in theirs_of.items()
    }
    table.rows = [(row, {ours: cell(values, theirs) for ours, theirs in table.columns.items()}) for row, values in raw]
    if not table.rows and not table.problems:
        table.problems.append((0, "it holds no rows"))
    elif table.rows:
        table.problems += [
            (0, f"it has no column {theirs!r}{_quoted_hint(theirs, names)}")
            for ours, theirs in table.columns.items()
            if not _is_there(theirs, names) and ours in needed
        ]
    return table


def refuse(tables: Iterable[RowTable]) -> None:
    """Raise one InputError for all problems of all tables."""
    found = [(t.source, row, text) for t in tables for row, text in sorted(t.problems, key=lambda p: p[0])]
    if not found:
        return
    shown, last = [], ""
    for source, row, text in found[:SHOWN_PROBLEMS]:
        shown.append(f"{'' if source == last else source + ': '}{f'row {row}: ' if row else ''}{text}")
        last = source
    left = len(found) - len(shown)
    total = f" ({len(found)} problems)" if len(found) > 1 else ""
    raise InputError("; ".join(shown) + (f"; and {left} more" if left else "") + total)


def _quoted_hint(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known, cutoff=0.5)  # columns may have blanks in their names, so they are quoted
    return f"; nearest: {near!r}" if near else ""


RawRows = list[tuple[int, Mapping[str, Any]]]  # (row number from 1, values under their names)


def _is_there(theirs: str, names: Sequence[str]) -> bool:
    return theirs in names or ("." in theirs and theirs.partition(".")[0] in names)


def cell(values: Mapping[str, Any], theirs: str) -> Any:
    """Get the value of a column, or what a path leads to inside it; None where the path ends."""
    if theirs in values or "." not in theirs:
        return values.get(theirs)
    value: Any = values
    for step in theirs.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _a_way_in(value: Any) -> str:
    """Find the path to the first text of some length inside a list or struct; "" if there is none."""
    found = ""
    if isinstance(value, Mapping):
        inner = {str(key): v for key, v in islice(value.items(), 64)}
        order = sorted(inner, key=lambda key: key not in ("content", "ground_truth", "text"))
    elif isinstance(value, list):
        inner = {str(i): v for i, v in enumerate(value[:4])}  # a list may have millions
        order = [*inner]
    else:
        return found
    for key in order:
        if isinstance(inner[key], str):
            return key
        if deeper := _a_way_in(inner[key]):
            return f"{key}.{deeper}"
    return found


def _candidates(theirs: str | Sequence[str]) -> Sequence[str]:
    return (theirs,) if isinstance(theirs, str) else theirs


def _raw_rows(source: str | Path | HubData, table: RowTable, wanted: set[str]) -> tuple[list[str], RawRows]:
    """Their column names, and the rows."""
    if isinstance(source, HubData):
        return _hub_rows(source, table)
    of_hub = hub_data(str(source))
    if of_hub is not None:
        return _hub_rows(of_hub, table)
    if Path(source).suffix == ".jsonl":
        return _jsonl_rows(Path(source), table)
    if Path(source).suffix == ".parquet":
        return _parquet_rows(Path(source), wanted)
    raise InputError(f"{source}: questions are read from .jsonl, .parquet or hf:owner/name[:config]/split")


def _reshaped(raw: RawRows, reshape: Reshape, table: RowTable) -> RawRows:
    rows: RawRows = []
    for row, values in raw:
        try:
            rows.append((row, reshape.apply(values)))
        except ValueError as error:
            table.problems.append((row, str(error)))
    return rows


def _jsonl_rows(path: Path, table: RowTable) -> tuple[list[str], RawRows]:
    names: dict[str, None] = {}
    rows: RawRows = []
    longest = limit("RELIFT_MAX_ROW_BYTES", LARGEST_ROW)
    for number, line in enumerate(_bytes(path).split(b"\n"), start=1):
        if len(line) > longest:
            raise too_much(path, f"line {number} has {len(line):,} bytes", longest, "RELIFT_MAX_ROW_BYTES")
        require_rows(path, number)
        text = table.cleaned(line.removesuffix(b"\r").decode("utf-8", "surrogateescape"))
        if not text.strip():
            continue
        try:
            value = json.loads(text, strict=False)  # not strict: a tab inside a text is no reason to refuse
        except (ValueError, RecursionError) as error:
            table.problems.append((number, f"no JSON: {str(error)[:80]}"))
            continue
        if isinstance(value, dict):
            names |= dict.fromkeys(value)
            rows.append((number, value))
        else:
            table.problems.append((number, f"a JSON object is needed, this is of type {type(value).__name__}"))
    return list(names), rows


def _parquet_rows(path: Path, wanted: set[str]) -> tuple[list[str], RawRows]:
    try:
        file = pq.ParquetFile(pa.BufferReader(_bytes(path)), page_checksum_verification=True)
        names = file.schema_arrow.names
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise InputError(f"{path}: two columns are called {twice[0]!r}")
        require_rows(path, file.metadata.num_rows)
        require_small_cells(path, file)
        columns = _columns(path, file, [name for name in names if name in wanted])
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
        # ValueError: also names of columns that are no UTF-8; OverflowError: a date beyond those that Python has
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: no parquet file: {said}") from None
    return names, [(i + 1, {name: c[i] for name, c in columns.items()}) for i in range(file.metadata.num_rows)]


def _columns(path: Path, file: pq.ParquetFile, names: list[str]) -> dict[str, list[Any]]:
    """Read columns in small pieces, so that what unpacks to more than the limit is noticed before it is all there."""
    columns: dict[str, list[Any]] = {name: [] for name in names}
    most, n_bytes = limit("RELIFT_MAX_DATA_BYTES", LARGEST_DATA), 0
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names) if names else ():
        n_bytes += batch.nbytes
        if n_bytes > most:
            raise too_much(path, f"it unpacks to {n_bytes:,} bytes and more", most, "RELIFT_MAX_DATA_BYTES")
        for name, values in columns.items():
            values += python_values(pa.chunked_array([batch.column(name)]))
    return columns


def require_small_cells(path: Path, file: pq.ParquetFile) -> None:
    """Refuse a column whose cells are huge on average, by what the file says of itself: before they are unpacked."""
    longest = limit("RELIFT_MAX_ROW_BYTES", LARGEST_ROW)
    for group in map(file.metadata.row_group, range(file.metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            n_bytes = column.total_uncompressed_size // max(1, group.num_rows)
            if n_bytes > longest:
                what = f"column {column.path_in_schema} has rows of {n_bytes:,} bytes"
                raise too_much(path, what, longest, "RELIFT_MAX_ROW_BYTES")


def python_values(column: pa.ChunkedArray) -> list[Any]:
    """Python values of a column; bytes in a text that are no UTF-8 become lone surrogates, to be repaired."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.to_pylist()
    return [
        None if b is None else b.decode("utf-8", "surrogateescape") for b in column.cast(pa.large_binary()).to_pylist()
    ]


def _hub_rows(source: HubData, table: RowTable) -> tuple[list[str], RawRows]:
    data = open_hub(source)
    files = (getattr(getattr(data, "info", None), "download_checksums", None) or {}).keys()
    commits = {match[1] for file in files for match in [_COMMIT.match(str(file))] if match}
    require_rows(str(source), len(data))
    table.revision = commits.pop() if len(commits) == 1 else source.revision
    return list(data.column_names), [(i, values) for i, values in enumerate(data, start=1)]


def _bytes(path: Path) -> bytes:
    most = limit("RELIFT_MAX_DATA_BYTES", LARGEST_DATA)
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):  # reading a pipe would wait for ever
            raise InputError(f"{path}: cannot be read: a plain file is needed, no folder, pipe or device")
        if about.st_size > most:
            raise too_much(path, f"it has {about.st_size:,} bytes", most, "RELIFT_MAX_DATA_BYTES")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL in the name
        raise InputError(f"{str(path)!r}: cannot be read: {error}") from None
