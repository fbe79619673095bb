"""Tables as files: their names, frames cast to the schema, bytes that depend on the rows alone, verified reads."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from relift.errors import StoreError
from relift.run_record import RUN_ID
from relift.schema import TABLES, Assistance, Column, Origin, Table
from relift.store.files import sha256_of
from relift.store.footers import Footers

PER_STEP = tuple(name for name, table in TABLES.items() if table.per_step)
WHOLE = tuple(name for name, table in TABLES.items() if not table.per_step)
NAME_PART = RUN_ID  # what may become a part of a path
# A question's rows are fetched without decoding the others. Of 800,000 attempts 16,384 rows decode in 1 ms, all in 70;
# smaller groups make passes over a whole table slower.
GROUP_ROWS = {"responses": 1_024, "attempts": 16_384}
ONE_GROUP = 1 << 20
_STEP = r"step-(\d{6,9})"
_ORIGINS = "|".join(Origin)
_TABLE_FILE = re.compile(rf"{_STEP}(?:\.({_ORIGINS})\.d(\d{{1,4}}))?(?:\.p(\d{{1,9}}))?\.parquet")
_COMMIT_FILE = re.compile(rf"{_STEP}(\.[A-Za-z0-9][A-Za-z0-9._-]{{0,60}})?\.json")
_CONSTANT = ("run_id", "origin", "draw", "step")  # the same in every row of a per-step file


@dataclass(frozen=True)
class TableFile:
    """One file of a per-step table. `origin` and `draw` are None in tables without them, `part` mostly is."""

    path: Path
    table: str
    step: int
    origin: str | None = None
    draw: int | None = None
    part: int | None = None


def table_file(
    root: Path, table: str, *, step: int, origin: str | None, draw: int | None, part: int | None
) -> TableFile:
    """Find the file in which these rows live. ValueError: wrong table, origin, or a negative number."""
    if table not in PER_STEP:
        raise ValueError(f"{table!r} is not a per-step table ({', '.join(PER_STEP)})")
    numbers = {"step": step, "draw": draw, "part": part}
    for name, number in numbers.items():
        if number is not None and not 0 <= number < 10**9:
            raise ValueError(f"{table}: {name} is {number}, must be at least 0")
    has_origin = any(column.name == "origin" for column in TABLES[table].columns)
    if has_origin != (origin is not None) or (draw is not None and not has_origin):
        raise ValueError(f"{table}: origin and draw {'are' if has_origin else 'do not'} belong to this table's files")
    name = f"step-{step:06d}"
    if origin is not None:
        draw = 0 if draw is None else draw
        name += f".{Origin(origin).value}.d{draw}"
    if part is not None:
        name += f".p{part}"
    return TableFile(root / table / f"{name}.parquet", table, int(step), origin, draw, part)


def parse_table_file(root: Path, relative: str) -> TableFile | None:
    """The inverse: None for a name that is not a per-step table's (records are data; names are never trusted)."""
    table, _, name = relative.partition("/")
    match = _TABLE_FILE.fullmatch(name)
    if table not in PER_STEP or match is None:
        return None
    step, origin, draw, part = match.groups()
    return TableFile(
        root / table / name, table, int(step), origin, None if draw is None else int(draw),
        None if part is None else int(part),
    )  # fmt: skip


def commit_name(step: int, suffix: str) -> str:
    name = f"step-{step:06d}{suffix}.json"
    if not _COMMIT_FILE.fullmatch(name):
        raise ValueError(f"commit suffix {suffix!r} must be a dot and letters, digits, '.', '_' or '-'")
    return name


def commit_step(name: str) -> int | None:
    """Step of a commit record by its file name; None for other files."""
    match = _COMMIT_FILE.fullmatch(name)
    return int(match.group(1)) if match else None


def step_in(name: str) -> int:
    """Read the step out of the name of an entry of `appended`, as probe.step-000008.d5; -1 where there is none."""
    match = re.search(r"\.step-(\d{6,9})\.", name)
    return int(match.group(1)) if match else -1


def conform(table: Table, frame: pd.DataFrame | pa.Table, constants: Mapping[str, Any]) -> pa.Table:
    """The frame as this table: columns in order, cast, sorted by key; what is absent and may be is filled in.

    In a pandas column NaN means "missing" if the column is nullable and is kept as a number if it is not; hand over
    an Arrow table to keep both. Raises ValueError naming the columns (a bug of the caller) for unknown or missing
    columns, values that do not fit the type, nulls where none may be, constants that differ, duplicate keys.
    """
    names = list(frame.column_names if isinstance(frame, pa.Table) else frame.columns)
    known = [column.name for column in table.columns]
    unknown = [name for name in names if name not in known]
    constants = {c.name: c.default for c in table.columns if c.default is not None and c.name not in names} | {
        **constants
    }
    missing = [c.name for c in table.columns if c.name not in names and not c.nullable and c.name not in constants]
    if unknown or missing or len(set(names)) < len(names):
        raise ValueError(f"{table.name}: unknown columns {unknown}, missing columns {missing} (of {names})")
    arrays = {column.name: _column(table, column, frame, names, constants) for column in table.columns}
    arrow = pa.table(arrays)
    arrow = _in_key_order(table, arrow) if table.per_step else _whole_checked(table, arrow)
    # Encoded last, so that dictionaries stand in order of first appearance: equal rows, equal bytes.
    columns = [
        arrow.column(c.name).combine_chunks().cast(c.type) if pa.types.is_dictionary(c.type) else arrow.column(c.name)
        for c in table.columns
    ]
    return pa.Table.from_arrays(columns, schema=table.arrow_schema())


def _plain(column: Column) -> pa.DataType:
    return column.type.value_type if pa.types.is_dictionary(column.type) else column.type


def _column(
    table: Table, column: Column, frame: pd.DataFrame | pa.Table, names: Sequence[str], constants: Mapping[str, Any]
) -> pa.Array:
    name, plain = column.name, _plain(column)
    if name not in names:
        return pa.repeat(pa.scalar(constants.get(name), plain), len(frame))
    try:
        if isinstance(frame, pa.Table):
            array = frame.column(name).combine_chunks()
        else:
            series = frame[name]
            array = pa.array(series, from_pandas=column.nullable or series.dtype.kind != "f")
        array = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
        array = array.cast(plain)
    except (pa.ArrowException, OverflowError, TypeError, UnicodeEncodeError) as error:
        raise ValueError(f"{table.name}.{name}: values do not fit {plain}: {error}") from error
    if array.null_count and not column.nullable:
        raise ValueError(f"{table.name}.{name}: {array.null_count} nulls in a column that has none")
    if name in constants and len(frame) and not pc.all(pc.equal(array, pa.scalar(constants[name], plain))).as_py():
        raise ValueError(f"{table.name}.{name}: not {constants[name]!r} in every row of this file")
    return array


def row_key(table: str) -> tuple[str, ...]:
    """List the columns that tell the rows of one per-step file apart, in the order in which they are stored.

    The order is the same for every table of one set of attempts, so that the answers of one question lie together.
    """
    if table == "responses":
        return ("question_ix", "attempt")
    return tuple(name for name in TABLES[table].key if name not in _CONSTANT)


def _in_key_order(table: Table, arrow: pa.Table) -> pa.Table:
    keys = [arrow.column(name).to_numpy() for name in row_key(table.name)]
    order = np.lexsort(keys[::-1])
    if not np.array_equal(order, np.arange(len(order))):
        arrow = arrow.take(pa.array(order))
        keys = [key[order] for key in keys]
    if len(order) > 1:
        same = np.logical_and.reduce([key[1:] == key[:-1] for key in keys])
        if same.any():
            row = int(np.flatnonzero(same)[0])
            what = ", ".join(f"{n} {k[row]}" for n, k in zip(row_key(table.name), keys, strict=True))
            raise ValueError(f"{table.name}: {int(same.sum())} duplicate keys, the first is {what}")
    if table.name == "responses":
        if not np.array_equal(arrow.column("response_id").to_numpy(), np.arange(len(order))):
            raise ValueError(
                "responses: response_id is not the row number in order of question_ix and attempt; "
                "relift.store.split_responses numbers them"
            )
    return arrow


def _whole_checked(table: Table, arrow: pa.Table) -> pa.Table:
    uniques: list[Sequence[str]] = [table.key]
    if table.name == "questions":
        uniques.append(("question_ix",))
    for names in uniques:
        keys = arrow.select(list(names)).to_pandas()
        if keys.duplicated().any():
            first = keys[keys.duplicated()].iloc[0].to_dict()
            raise ValueError(f"{table.name}: {int(keys.duplicated().sum())} duplicate keys, the first is {first}")
    return arrow


def split_responses(attempts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Attempts with a column `text` (null: not kept) as the rows of `attempts` and of `responses`.

    Sorts by question_ix and attempt and numbers the kept texts: response_id is the row in the responses file.
    """
    attempts = attempts.sort_values(["question_ix", "attempt"], kind="stable", ignore_index=True)
    kept = attempts["text"].notna().to_numpy()
    ids = np.where(kept, np.cumsum(kept) - 1, -1)
    columns = [n for n in ("run_id", "origin", "draw", "step", "question_ix", "attempt", "text") if n in attempts]
    responses = attempts.loc[kept, columns].reset_index(drop=True)
    responses.insert(0, "response_id", np.arange(len(responses), dtype=np.int64))
    attempts = attempts.drop(columns="text")
    attempts["response_id"] = pd.array(ids, dtype="Int64")
    attempts.loc[~kept, "response_id"] = pd.NA
    return attempts, responses


def encode(table: Table, arrow: pa.Table) -> bytes:
    """The Parquet file: the same rows give the same bytes (no time, no pandas metadata)."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        arrow, sink, compression="zstd", write_page_checksum=True, write_page_index=True,
        row_group_size=GROUP_ROWS.get(table.name, ONE_GROUP),
    )  # fmt: skip
    return sink.getvalue().to_pybytes()


def read_parquet(
    path: Path,
    *,
    columns: Sequence[str] | None = None,
    question_ixs: Collection[int] | None = None,
    footer_sha256: str | None = None,
    footers: Footers | None = None,
) -> pa.Table:
    """Rows of one file, page checksums verified, and the footer's where its SHA-256 is known.

    `question_ixs` reads only the row groups that can hold these questions, then filters. `footers`: where those read
    for questions are kept. Raises StoreError naming the file if it is damaged, FileNotFoundError if it is gone.
    """
    try:
        with pa.OSFile(str(path)) as file:  # held open: a file that is replaced meanwhile is still read whole
            if footers is None or question_ixs is None:  # who reads whole files does not come again
                footers = Footers()
            footer = footers.of(path, file, footer_sha256)
            parquet = pq.ParquetFile(file, metadata=footer.metadata, page_checksum_verification=True)
            there = parquet.schema_arrow.names
            wanted = list(there) if columns is None else [name for name in columns if name in there]
            if question_ixs is None:
                return parquet.read(columns=wanted, use_threads=False)
            ask = pa.array(sorted(set(question_ixs)), pa.int32())
            groups = footer.groups_with(question_ixs)
            with_key = wanted if "question_ix" in wanted else [*wanted, "question_ix"]
            rows = parquet.read_row_groups(groups, columns=with_key, use_threads=False)
            return rows.filter(pc.is_in(rows.column("question_ix"), ask)).select(wanted)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise StoreError(f"{path}: damaged or unreadable ({reason}); `relift check` lists what else is") from error


def read_whole(root: Path, table: str, known: Mapping[str, Collection[str]]) -> pa.Table:
    """Read the rows of a table that is kept whole, none if it was never written. `known`: run.json's hashes by file
    name.

    Raises StoreError if the file matches none of its hashes, or is missing.
    """
    if table not in WHOLE:
        raise ValueError(f"{table!r} is not one of {', '.join(WHOLE)}")
    path = root / f"{table}.parquet"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        if must_exist(table, known):
            raise StoreError(f"{path}: missing: put it back from a copy and start again") from None
        return TABLES[table].arrow_schema().empty_table()
    except OSError as error:
        raise StoreError(f"{path}: cannot read: {error.strerror} (errno {error.errno})") from error
    if sha256_of(data) not in known.get(path.name, ()):
        raise StoreError(f"{path}: damaged: run.json knows another SHA-256; `relift check` lists what else is")
    try:
        rows = pq.read_table(pa.BufferReader(data), page_checksum_verification=True, use_threads=False)
    except (OSError, pa.ArrowException, ValueError) as error:  # the right hash, of what is no table
        raise StoreError(f"{path}: not a readable table: {' '.join(str(error).split())[:200]}") from error
    rows = with_later_columns(TABLES[table], rows)
    require_schema(path, TABLES[table], rows)
    return rows


def must_exist(table: str, known: Mapping[str, Collection[str]]) -> bool:
    """Tell whether a table that is kept whole was written, by run.json's hashes: questions and demonstrations are
    there before run.json is; of the others the first hash lands before the file, so that one alone proves nothing."""
    hashes = known.get(f"{table}.parquet", ())
    return len(hashes) > (0 if table in ("questions", "demonstrations") else 1)


def with_later_columns(table: Table, rows: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Bring rows of an older file to the schema: columns that it lacks get their default, or null for "not measured",
    counts that it kept in 16 bits get 32, and columns that had no nulls then may have some."""
    names = [c.name for c in table.columns] if columns is None else list(columns)
    types = {column.name: column.type for column in table.columns}
    optional = {column.name for column in table.columns if column.nullable}
    fields = [f.with_nullable(nullable=True) if f.name in optional else f for f in rows.schema]
    rows = rows.cast(pa.schema(fields, metadata=rows.schema.metadata)) if fields != list(rows.schema) else rows
    for at, field in enumerate(rows.schema):
        if field.type == pa.int16() and types.get(field.name) == pa.int32():
            wider = pa.field(field.name, pa.int32(), nullable=field.nullable)
            rows = rows.set_column(at, wider, rows.column(at).cast(pa.int32()))
    later = [table.column(name) for name in names if name not in rows.column_names]
    later = [column for column in later if column.nullable or column.default is not None]
    for column in later:
        values = pa.repeat(pa.scalar(column.default, _plain(column)), len(rows)).cast(column.type)
        rows = rows.append_column(pa.field(column.name, column.type, nullable=column.nullable), values)
    return rows.select(names) if later else rows


def require_schema(path: Path, table: Table, rows: pa.Table, columns: Sequence[str] | None = None) -> None:
    """Refuse rows whose columns or types are not the schema's, as a file of somebody else may have them.

    Raises StoreError.
    """
    names = [c.name for c in table.columns] if columns is None else list(columns)
    there = dict(zip(rows.schema.names, rows.schema.types, strict=True))
    odd = [f"{name} is {there.get(name, 'missing')}" for name in names if there.get(name) != table.column(name).type]
    if odd:
        raise StoreError(f"{path}: not a table of relift: {', '.join(odd[:3])}; `relift check` lists what else is")


def unassisted(attempts: pa.Table) -> pa.Table:
    """Keep the attempts that count as what the model can do: those without assistance."""
    if "assistance" not in attempts.column_names:
        return attempts
    given = attempts.column("assistance").combine_chunks()
    if pa.types.is_dictionary(given.type):
        if given.dictionary.to_pylist() == [Assistance.none]:  # all of them, in all but a few files
            return attempts
        given = given.dictionary_decode()
    return attempts.filter(pc.equal(given, pa.scalar(str(Assistance.none))))
