"""The one reader of a run folder: committed rows only, verified, beside a writer or after it, without a lock."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from relift.errors import InputError, StoreError
from relift.run_record import RunRecord, parse_run
from relift.schema import TABLES
from relift.store.checkpoints import checkpoint_folder, verify_checkpoint
from relift.store.commits import committed_files
from relift.store.files import read_record, sha256_of
from relift.store.footers import Footers
from relift.store.tables import (
    PER_STEP,
    WHOLE,
    TableFile,
    commit_step,
    parse_table_file,
    read_parquet,
    read_whole,
    require_schema,
    with_later_columns,
)

RETRIES = 20  # a file may be replaced between listing and opening; more often than this it is missing
_FILTERED = ("checkpoints", "scores")  # rewritten whole: may hold rows of a step that is not committed yet


class RunReader:
    """Reads one run. Raises InputError if the folder holds no run or one of a newer relift, StoreError if damaged."""

    def __init__(self, folder: Path):
        self.folder = Path(folder).absolute()
        self._cache: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {}  # records by path
        self._parsed: tuple[dict[str, Any], RunRecord] | None = None  # of run.json: as read, as a record
        self._named: dict[str, tuple[dict[str, Any], dict[str, dict[TableFile, dict[str, Any]]]]] = {}
        self._footers = Footers()
        self.run_id = self.run.run_id

    @property
    def run(self) -> RunRecord:
        """The record of the run as it is now."""
        path = f"{self.folder}/run.json"
        body = self._record(path)
        if body is None:
            raise InputError(f"{self.folder}: no run.json there: not a run folder")
        if self._parsed is None or self._parsed[0] is not body:
            self._parsed = (body, parse_run(body, path))
        return self._parsed[1]

    @property
    def config_toml(self) -> str:
        """The resolved configuration as it was written. Raises StoreError if it has changed since."""
        path = self.folder / "config.toml"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path}: cannot read: {error.strerror} (errno {error.errno})") from error
        if sha256_of(data) not in self.run.files.get(path.name, ()):
            raise StoreError(f"{path}: changed since the run began: run.json knows another SHA-256")
        return data.decode()

    def _record(self, path: str) -> dict[str, Any] | None:
        """A record, parsed again only if its file is another one; None if there is none."""
        try:
            stat = os.stat(path)
            key = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if path not in self._cache or self._cache[path][0] != key:
                self._cache[path] = (key, read_record(Path(path)))
        except (FileNotFoundError, NotADirectoryError):
            self._cache.pop(path, None)
            return None
        return self._cache[path][1]

    def _entries(self, table: str) -> dict[TableFile, dict[str, Any]]:
        """Every committed file of a table with what its record says of it, in order of step, origin, draw, part."""
        try:
            with os.scandir(f"{self.folder}/commits") as found:
                records = [entry.path for entry in found if commit_step(entry.name) is not None]
        except FileNotFoundError:
            records = []
        entries: dict[TableFile, dict[str, Any]] = {}
        for path in records:
            entries.update(self._files_of(path).get(table, {}))
        return {file: entries[file] for file in sorted(entries, key=_order)}

    def _files_of(self, path: str) -> dict[str, dict[TableFile, dict[str, Any]]]:
        """List what one commit record names, by table; nothing if it is gone."""
        record = self._record(path)
        if record is None:
            return {}
        if path not in self._named or self._named[path][0] is not record:
            by_table: dict[str, dict[TableFile, dict[str, Any]]] = {}
            for name, entry in committed_files(record, path).items():
                file = parse_table_file(self.folder, name)
                if file is None:
                    raise StoreError(f"{path}: names {name!r}, which is no table file")
                by_table.setdefault(file.table, {})[file] = entry
            self._named[path] = (record, by_table)
        return self._named[path][1]

    @property
    def committed_step(self) -> int | None:
        """The newest committed step; None before the first."""
        folder = self.folder / "commits"
        steps = [commit_step(path.name) for path in folder.iterdir()] if folder.is_dir() else []
        return max((step for step in steps if step is not None), default=None)

    def steps(self, table: str, *, origin: str | None = None, draw: int | None = None) -> list[int]:
        """Committed steps that have rows files of this table (and origin, and draw), in rising order."""
        draws = None if draw is None else [draw]
        return sorted({file.step for file in self.files(table, origin=origin, draws=draws)})

    def files(
        self,
        table: str,
        *,
        origin: str | None = None,
        draws: Iterable[int] | None = None,
        steps: Iterable[int] | None = None,
    ) -> list[TableFile]:
        """Committed files of a per-step table, in order of step, origin, draw, part. None: all."""
        return list(self._select(table, origin=origin, draws=draws, steps=steps))

    def _select(
        self, table: str, *, origin: str | None, draws: Iterable[int] | None, steps: Iterable[int] | None
    ) -> dict[TableFile, dict[str, Any]]:
        if table not in PER_STEP:
            raise ValueError(f"{table!r} is not a per-step table ({', '.join(PER_STEP)})")
        want_draws = None if draws is None else {int(draw) for draw in draws}
        want_steps = None if steps is None else {int(step) for step in steps}
        return {
            file: entry
            for file, entry in self._entries(table).items()
            if (origin is None or file.origin == origin)
            and (want_draws is None or file.draw in want_draws)
            and (want_steps is None or file.step in want_steps)
        }

    def iter_tables(
        self,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        origin: str | None = None,
        draws: Iterable[int] | None = None,
        steps: Iterable[int] | None = None,
        question_ixs: Collection[int] | None = None,
    ) -> Iterator[tuple[TableFile, pa.Table]]:
        """One file after the other, with the columns asked for; a file that a resume set aside meanwhile is left out.

        Raises ValueError for unknown tables and columns, StoreError naming a damaged or missing file.
        """
        _require_columns(table, columns)
        for file, entry in self._select(table, origin=origin, draws=draws, steps=steps).items():
            rows = self._read_file(file, entry, columns, question_ixs)
            if rows is not None:
                yield file, rows

    def _read_file(
        self,
        file: TableFile,
        entry: dict[str, Any],
        columns: Sequence[str] | None,
        question_ixs: Collection[int] | None,
    ) -> pa.Table | None:
        for _ in range(RETRIES):
            try:
                rows = read_parquet(
                    file.path,
                    columns=columns,
                    question_ixs=question_ixs,
                    footer_sha256=entry["footer_sha256"],
                    footers=self._footers,
                )
                if question_ixs is None and len(rows) != entry["rows"]:
                    raise StoreError(f"{file.path}: damaged: {len(rows)} rows, its commit record says {entry['rows']}")
                rows = with_later_columns(TABLES[file.table], rows, columns)
                require_schema(file.path, TABLES[file.table], rows, columns)
                return rows
            except (FileNotFoundError, StoreError) as error:
                # A resume may have taken the record back, and the step may have been written again since.
                now = self._entries(file.table).get(file)
                if now is None:
                    return None
                if now == entry:
                    if isinstance(error, StoreError):
                        raise
                    raise StoreError(f"{file.path}: missing, though its commit record names it") from error
                entry = now
        raise StoreError(f"{file.path}: replaced {RETRIES} times while it was read")

    def read(
        self,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        origin: str | None = None,
        draws: Iterable[int] | None = None,
        steps: Iterable[int] | None = None,
        question_ixs: Collection[int] | None = None,
    ) -> pd.DataFrame:
        """Rows of any table; without any, an empty frame with its columns. Null becomes NaN or None.

        Give `columns` for attempts and responses, which may be large. `origin`, `draws` (per-step tables) and
        `steps`, `question_ixs` (where the table has the column) select rows.
        """
        _require_columns(table, columns)
        names = [column.name for column in TABLES[table].columns] if columns is None else list(columns)
        if table in WHOLE:
            if origin is not None or draws is not None:
                raise ValueError(f"{table} has no origin and no draw")
            rows = self._whole(table)
            for name, wanted in (("step", steps), ("question_ix", question_ixs)):
                if wanted is not None:
                    wanted = pa.array(sorted(wanted), TABLES[table].column(name).type)
                    rows = rows.filter(pc.is_in(rows.column(name), wanted))
            return rows.select(names).to_pandas()
        parts = self.iter_tables(
            table, columns=names, origin=origin, draws=draws, steps=steps, question_ixs=question_ixs
        )
        tables = [rows for _, rows in parts]
        empty = TABLES[table].arrow_schema().empty_table().select(names)
        return pa.concat_tables([empty, *tables]).to_pandas()

    def _whole(self, table: str) -> pa.Table:
        for attempt in range(RETRIES):
            last = self.committed_step
            try:
                rows = read_whole(self.folder, table, self.run.files)
                break
            except StoreError:  # rewritten between the two reads?
                if attempt == RETRIES - 1:
                    raise
        if table in _FILTERED:
            rows = rows.filter(pc.less_equal(rows.column("step"), -1 if last is None else last))
        return rows

    def weights(self, step: int) -> Path | None:
        """Folder of the weights of a step after its hashes were checked; None if there is none (or no longer).

        Raises StoreError if it is damaged.
        """
        path = checkpoint_folder(self.folder, step)
        try:
            return verify_checkpoint(self.folder, step).path
        except FileNotFoundError:
            return None
        except StoreError:
            if not path.is_dir():  # retired while we looked
                return None
            raise


def _order(file: TableFile) -> tuple[int, str, int, int]:
    return (file.step, file.origin or "", file.draw or 0, -1 if file.part is None else file.part)


def _require_columns(table: str, columns: Sequence[str] | None) -> None:
    if table not in TABLES:
        raise ValueError(f"{table!r} is no table; there are {', '.join(TABLES)}")
    unknown = set(columns or ()) - {column.name for column in TABLES[table].columns}
    if unknown:
        raise ValueError(f"{table} has no columns {sorted(unknown)}")
