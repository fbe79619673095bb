"""The one writer of a run folder. Nothing else writes there.

Order of guarantees: content is on disk before a name points at it; all files of a step before its commit record;
the commit record before the checkpoint. What no commit record names does not exist for readers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa

from relift.errors import InputError, StoreError
from relift.run_record import RUN_ID, STORED, RunRecord, Start, as_json, parse_run
from relift.schema import SCHEMA_VERSION, TABLES
from relift.store.checkpoints import Checkpoints, SavedCheckpoint, WriteFiles
from relift.store.commits import commit_records
from relift.store.files import (
    DISK,
    Disk,
    make_folder,
    network_file_system,
    read_record,
    reading,
    record_bytes,
    remove_quietly,
    sha256_of,
    sha256_of_file,
    storing,
    tmp_name,
    write_atomic,
)
from relift.store.folder import (
    CONFIG,
    HOLDER,
    RUN_JSON,
    STARTING,
    clear_leftovers,
    holder_bytes,
    refuse_links,
    require_run_folder,
    take_lock,
)
from relift.store.footers import footer_of
from relift.store.rollback import set_aside_past
from relift.store.tables import (
    WHOLE,
    TableFile,
    commit_name,
    conform,
    encode,
    read_whole,
    step_in,
    table_file,
)


@dataclass(frozen=True)
class _Pending:
    """A table file written under its temporary name, waiting for the commit."""

    file: TableFile
    tmp: Path
    entry: dict[str, Any]  # what the commit record will say of it


class RunWriter:
    """Takes the folder for writing until closed; a context manager.

    Raises RunInUse if another process has it, InputError if it cannot be a run folder, StoreError if it is damaged
    or storage fails. `on_event` is told, in one line, of what was skipped or repaired. `disk` is for tests.
    """

    folder: Path
    is_new: bool

    def __init__(self, folder: Path, *, on_event: Callable[[str], None] | None = None, disk: Disk = DISK):
        self.folder = Path(folder).absolute()
        self._disk = disk
        self._on_event: Callable[[str], None] = on_event or (lambda event: None)
        self._pending: list[_Pending] = []
        self._failed = False
        self._run: RunRecord | None = None
        self._body: dict[str, Any] = {}  # of run.json, with keys that this relift does not know
        self._checkpoints = Checkpoints(self.folder, disk=disk, on_event=self._on_event)
        require_run_folder(self.folder)
        refuse_links(self.folder)  # the lock too may be one
        try:
            make_folder(disk, self.folder)
            self._lock = take_lock(self.folder)
        except OSError as error:
            reason = f"{error.strerror or error} (errno {error.errno})"
            raise InputError(f"{self.folder}: cannot write there: {reason}; choose another folder") from error
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        require_run_folder(self.folder)  # again: it may have changed while nobody had the lock
        refuse_links(self.folder)
        with storing(self.folder, disk=self._disk):
            clear_leftovers(self.folder, self._disk)
        write_atomic(self._disk, self.folder / HOLDER, holder_bytes())
        kind = network_file_system(self.folder)
        if kind is not None:
            self._on_event(f"{self.folder} is on {kind}: locks and durability are not promised there")
        self.is_new = not (self.folder / RUN_JSON).exists()
        if not self.is_new:
            path = self.folder / RUN_JSON
            self._body = read_record(path)
            self._run = parse_run(self._body, str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Drops what was not committed and frees the folder. Twice does no harm."""
        try:
            self._drop_pending()
            if self._lock.is_locked:
                remove_quietly(self._disk, [self.folder / HOLDER])
        finally:
            self._lock.release(force=True)

    # ---- the run -----------------------------------------------------------------------------------------------

    @property
    def run(self) -> RunRecord:
        """The record of the run. Raises ValueError before `start`."""
        if self._run is None:
            raise ValueError("start the run first")
        return self._run

    def start(
        self,
        run: RunRecord,
        *,
        config_toml: str,
        questions: pd.DataFrame | pa.Table,
        demonstrations: pd.DataFrame | pa.Table | None,
    ) -> None:
        """Lay a new run: run.json lands last, so the run exists entirely or not at all."""
        if not self.is_new:
            raise ValueError(f"{self.folder} holds a run already")
        if not RUN_ID.fullmatch(run.run_id):
            raise ValueError(f"run_id must be letters, digits, '.', '_' and '-', not {run.run_id!r}")
        contents = {CONFIG: config_toml.encode()}
        frames = {"questions": questions, "demonstrations": demonstrations}
        for table, frame in frames.items():
            if frame is not None:
                rows = conform(TABLES[table], frame, {"run_id": run.run_id})
                contents[f"{table}.parquet"] = encode(TABLES[table], rows)
        # The marker says that the files beside it are ours until run.json has landed: an unfinished start may then
        # be cleared away, but a user's own questions.parquet never is.
        write_atomic(self._disk, self.folder / STARTING, b"")
        for name, data in contents.items():
            write_atomic(self._disk, self.folder / name, data)
        files = {name: (sha256_of(data),) for name, data in contents.items()}
        self._write_run(replace(run, starts=(Start(start=1),), files=files))
        self.is_new = False
        with storing(self.folder, disk=self._disk):
            self._disk.unlink(self.folder / STARTING)

    def update_run(self, **fields: Any) -> None:
        """Set fields of the record; run.json is rewritten whole."""
        taken = [name for name in fields if name in STORED]
        if taken:
            raise ValueError(f"run.json: {taken} are set by the store alone")
        self._write_run(replace(self._require_run(), **fields))

    def _write_run(self, run: RunRecord) -> None:
        run = replace(run, schema_version=SCHEMA_VERSION)  # what is written from now on is of this version
        known = {f.name for f in dataclass_fields(run)}
        body = {**{name: value for name, value in self._body.items() if name not in known}, **as_json(run)}
        run = parse_run(body, str(self.folder / RUN_JSON))  # what could not be read is never written
        write_atomic(self._disk, self.folder / RUN_JSON, record_bytes(body))
        self._run, self._body = run, body

    def _require_run(self) -> RunRecord:
        run = self.run
        if not self._lock.is_locked:
            raise ValueError("this writer is closed")
        if self._failed:
            raise StoreError(
                f"{self.folder}: an earlier write failed; start again, the run goes on from its checkpoint"
            )
        return run

    @property
    def _start(self) -> int:
        return len(self.run.starts)

    # ---- tables ------------------------------------------------------------------------------------------------

    def write(
        self,
        table: str,
        frame: pd.DataFrame | pa.Table,
        *,
        step: int,
        origin: str | None = None,
        draw: int | None = None,
        part: int | None = None,
    ) -> None:
        """Writes one file of a per-step table; it counts from the next commit on. `draw` is 0 unless given.

        run_id, step, origin and draw are filled in when absent, missing nullable columns become null, rows are
        sorted by key. Raises ValueError for a frame that does not fit (see relift.store.tables.conform), StoreError.
        """
        run = self._require_run()
        if origin is not None and draw is None:
            draw = 0
        file = table_file(self.folder, table, step=step, origin=origin, draw=draw, part=part)
        if any(pending.file.path == file.path for pending in self._pending):
            raise ValueError(f"{file.path.name}: {table} of this step, origin, draw and part was written already")
        constants = {"run_id": run.run_id, "step": step, "origin": file.origin, "draw": file.draw}
        rows = conform(TABLES[table], frame, constants)
        data = encode(TABLES[table], rows)
        entry = {
            "bytes": len(data), "sha256": sha256_of(data),
            "footer_sha256": sha256_of(footer_of(data)), "rows": len(rows),
        }  # fmt: skip
        pending = _Pending(file, tmp_name(file.path), entry)
        self._pending.append(pending)
        with self._failing(), storing(file.path, disk=self._disk, n_bytes=len(data)):
            make_folder(self._disk, file.path.parent)
            self._disk.write(pending.tmp, data)

    def commit(self, step: int, *, suffix: str = "") -> None:
        """Makes all files written since the last commit durable, then lays the record that makes them count.

        A second commit of a step (another draw, a part of an evaluation) needs a suffix such as ".probe-d1".
        Raises StoreError; then nothing of this step counts, and this writer writes no more.
        """
        run = self._require_run()
        others = sorted({pending.file.step for pending in self._pending} - {step})
        record = self.folder / "commits" / commit_name(step, suffix)
        if others or record.exists():
            raise ValueError(f"{record.name}: " + (f"files of steps {others} wait" if others else "committed already"))
        disk, pending = self._disk, self._pending
        with self._failing(), storing(self.folder, disk=disk):
            for item in pending:
                disk.fsync(item.tmp)
            for item in pending:
                disk.replace(item.tmp, item.file.path)
            for parent in sorted({item.file.path.parent for item in pending}):
                disk.fsync(parent)
        files = {item.file.path.relative_to(self.folder).as_posix(): item.entry for item in pending}
        body = {
            "schema_version": SCHEMA_VERSION, "run_id": run.run_id, "step": int(step), "start": self._start,
            "files": dict(sorted(files.items())),
        }  # fmt: skip
        with self._failing():
            write_atomic(disk, record, record_bytes(body))
        self._pending = []

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """After a StoreError inside, this writer writes no more: once an fsync has failed the kernel may have dropped
        the pages, and trying again could only seem to work."""
        try:
            yield
        except StoreError:
            self._failed = True
            self._drop_pending()
            raise

    def _drop_pending(self) -> None:
        remove_quietly(self._disk, [pending.tmp for pending in self._pending])
        self._pending = []

    @property
    def committed_step(self) -> int | None:
        """The newest committed step."""
        return max((step for step, _ in commit_records(self.folder)), default=None)

    def write_whole(self, table: str, frame: pd.DataFrame | pa.Table) -> None:
        """Rewrites questions, demonstrations, checkpoints or scores. Readers see the old rows or the new ones."""
        if table not in WHOLE:
            raise ValueError(f"{table!r} is not one of {', '.join(WHOLE)}")
        run = self._require_run()
        path = self.folder / f"{table}.parquet"
        data = encode(TABLES[table], conform(TABLES[table], frame, {"run_id": run.run_id}))
        # run.json names the hashes that are right before and after the rename, so no instant looks damaged
        known = run.files.get(path.name, ())
        with reading(path):
            now = sha256_of_file(path) if path.exists() else None
        hashes = (*(sha for sha in known if sha == now), sha256_of(data))
        with self._failing():
            self._write_run(replace(run, files={**run.files, path.name: hashes}))
            write_atomic(self._disk, path, data)

    def read_whole(self, table: str) -> pd.DataFrame:
        """The rows of a table that is kept whole; an empty frame with its columns if there is none yet."""
        rows = read_whole(self.folder, table, self.run.files)
        return rows.to_pandas()

    # ---- checkpoints -------------------------------------------------------------------------------------------

    def save_checkpoint(self, step: int, write_files: WriteFiles, *, info: dict[str, Any]) -> Path:
        """Saves what `write_files(folder)` puts into an empty folder, after the step's commit; returns its path.

        It may return the SHA-256 of files that were hashed already, by name; the others are hashed here.

        `info` must be JSON. What write_files raises is passed on, and nothing is left of the checkpoint.
        Raises StoreError if twice the last checkpoint does not fit on the disk.
        """
        self._require_run()
        return self._checkpoints.save(step, write_files, info=info)

    def checkpoints(self) -> Iterator[SavedCheckpoint]:
        """Verified checkpoints, newest first; bad ones are reported through on_event and skipped."""
        return self._checkpoints.verified()

    def retire_checkpoints(self, *, keep: int, protect: Collection[int] = ()) -> list[int]:
        """Deletes checkpoints older than the newest `keep` good ones, never going below 2; returns their steps.

        Their rows in `checkpoints` lose their path first, so no row points at nothing.
        """
        self._require_run()
        steps = self._checkpoints.retirable(keep=keep, protect=protect)
        rows = self.read_whole("checkpoints")
        gone = rows["step"].isin(steps) & rows["path"].notna()
        if gone.any():
            self.write_whole("checkpoints", rows.assign(path=rows["path"].where(~gone, None)))
        self._checkpoints.delete(steps)
        return steps

    # ---- resuming ----------------------------------------------------------------------------------------------

    def roll_back(self, step: int | None) -> None:
        """Begin a new start from the checkpoint of `step` (None: from nothing): what lies past it is set aside.

        Commit records past it, then table files that are past it or that no record names, then checkpoints, move to
        orphaned/start-000N/; rows past it leave `checkpoints` and `scores`. Never touches teacher.jsonl.
        May be interrupted anywhere and repeated. Raises StoreError.
        """
        run = self._require_run()
        for table in WHOLE:  # before anything is moved
            read_whole(self.folder, table, run.files)
        self._drop_pending()
        start = Start(start=self._start + 1, from_step=step)
        limit = -1 if step is None else step
        appended = {name: entry for name, entry in run.appended.items() if step_in(name) <= limit}
        self._write_run(replace(run, starts=(*run.starts, start), appended=appended))  # first: its number is used once
        aside = self.folder / "orphaned" / f"start-{self._start:04d}"
        self._checkpoints.forget_commits()
        set_aside_past(limit, self.folder, aside, disk=self._disk, on_event=self._on_event)
        for table in ("checkpoints", "scores"):
            rows = self.read_whole(table)
            if (rows["step"] > limit).any():
                self.write_whole(table, rows[rows["step"] <= limit])
