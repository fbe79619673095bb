"""`relift check`: is this run folder what it says it is? Reads every byte and trusts neither writer nor reader.

Here: checksums, commit records, orphans, checkpoints. The rows themselves: relift.store.check_rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock, Timeout

from relift.errors import InputError, StoreError
from relift.run_record import RunRecord, parse_run
from relift.schema import TABLES
from relift.store.check_rows import RowCheck
from relift.store.checkpoints import steps_with_weights, verify_checkpoint
from relift.store.commits import committed_files
from relift.store.files import DEL, TMP, read_record, reading, sha256_of_file
from relift.store.ledger import LEDGERS, read_ledger
from relift.store.tables import (
    PER_STEP,
    WHOLE,
    TableFile,
    commit_step,
    must_exist,
    parse_table_file,
    read_parquet,
    read_whole,
    with_later_columns,
)

SETTLE_SECONDS, SETTLE_PASSES = 0.3, 3  # beside a live writer, what is still wrong after these is wrong


@dataclass
class CheckReport:
    """Report what was found. `problems`: one line each, none if the folder is sound; `notes`: what is no fault.

    `summary`: a row for each table and one for the checkpoints: table, files, rows, bytes.
    """

    folder: Path
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    summary: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems


def check_run(folder: Path, *, on_progress: Callable[[int, int], None] | None = None) -> CheckReport:
    """Verifies checksums, keys, counts and references, and rebuilds trajectories from attempts to compare.

    Works beside a writer: then a problem counts only if it is still there a moment later. `on_progress` is told
    (table files read, table files in all). Raises InputError if the folder holds no run.
    """
    folder = Path(folder).absolute()
    if not (folder / "run.json").is_file():
        raise InputError(f"{folder}: no run.json there: not a run folder")
    report = _Check(folder, on_progress).run()
    for _ in range(SETTLE_PASSES):
        if not report.problems:
            break
        live = _writer_lives(folder)
        time.sleep(SETTLE_SECONDS if live else 0.0)
        again = _Check(folder, on_progress).run()  # also if no writer lives now: it may just have ended
        again.problems = [problem for problem in again.problems if problem in report.problems]
        report = again
        if not live:
            break
        report.notes.append("a writer is at work: what it was just changing was left out")
    return report


def _writer_lives(folder: Path) -> bool:
    if not (folder / ".lock").exists():
        return False
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # a folder we may not write in: nobody of ours does
        return False
    lock.release(force=True)
    return False


class _Check:
    """One pass over one folder."""

    def __init__(self, folder: Path, on_progress: Callable[[int, int], None] | None):
        self.folder = folder
        self.report = CheckReport(folder)
        self._on_progress = on_progress or (lambda done, total: None)
        self._entries: dict[TableFile, dict[str, Any]] = {}
        self._steps: set[int] = set()
        self._sizes: dict[str, list[int]] = {name: [0, 0, 0] for name in (*TABLES, "weights")}  # files, rows, bytes

    def run(self) -> CheckReport:
        run = self._read_run()
        if run is None:
            return self.report
        self._check_config(run)
        whole = {table: self._read_whole(table, run) for table in WHOLE}
        self._read_commits(run)
        self._find_orphans()
        rows = RowCheck(self.folder, run.run_id, whole, self._problem)
        order = sorted(self._entries, key=lambda file: (file.step, PER_STEP.index(file.table), file.path.name))
        for done, file in enumerate(order, start=1):
            table = self._read_file(file, self._entries[file])
            if table is not None:
                rows.add(file, table)
            self._on_progress(done, len(order))
        rows.finish()
        self._check_weights(whole["checkpoints"])
        self._check_ledgers()
        self._list_leftovers()
        self.report.summary = [
            {"table": name, "files": files, "rows": n_rows, "bytes": n_bytes}
            for name, (files, n_rows, n_bytes) in self._sizes.items()
        ]
        return self.report

    def _problem(self, line: str) -> None:
        self.report.problems.append(line)

    def _count(self, table: str, *, rows: int, n_bytes: int) -> None:
        for i, more in enumerate((1, rows, n_bytes)):
            self._sizes[table][i] += more

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _read_run(self) -> RunRecord | None:
        """The record of the run; None if it is damaged. Raises InputError if it is none."""
        path = self.folder / "run.json"
        try:
            return parse_run(read_record(path), str(path))
        except (StoreError, FileNotFoundError):
            self._problem("run.json: damaged: it does not match its own checksum, so nothing else could be checked")
            return None

    def _check_config(self, run: RunRecord) -> None:
        path = self.folder / "config.toml"
        if not path.is_file():
            self._problem("config.toml: missing")
            return
        try:
            with reading(path):
                known = sha256_of_file(path) in run.files.get("config.toml", ())
        except StoreError as error:
            self._problem(_short(error, self.folder))
            return
        if not known:
            self._problem("config.toml: changed since the run began: run.json knows another SHA-256")

    def _read_whole(self, table: str, run: RunRecord) -> pa.Table:
        path = self.folder / f"{table}.parquet"
        empty = TABLES[table].arrow_schema().empty_table()
        if not path.is_file():
            if must_exist(table, run.files) or table == "questions":
                self._problem(f"{path.name}: missing")
            return empty
        try:
            rows = read_whole(self.folder, table, run.files)
        except (StoreError, pa.ArrowException, OSError) as error:
            self._problem(_short(error, self.folder))
            return empty
        self._count(table, rows=len(rows), n_bytes=path.stat().st_size)
        return rows

    def _read_commits(self, run: RunRecord) -> None:
        folder = self.folder / "commits"
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            step = commit_step(path.name)
            if step is None:
                if not path.name.startswith(TMP):
                    self._problem(f"commits/{path.name}: not a commit record")
                continue
            try:
                record = read_record(path)
                files = committed_files(record, path)
            except (StoreError, FileNotFoundError) as error:
                self._problem(_short(error, self.folder))
                continue
            self._steps.add(step)
            if record["step"] != step or record["run_id"] != run.run_id:
                self._problem(f"commits/{path.name}: is of run {record['run_id']}, step {record['step']}")
            for name, entry in files.items():
                file = parse_table_file(self.folder, name)
                if file is None or file.step != step:
                    self._problem(f"commits/{path.name}: names {name!r}, which is no table file of its step")
                elif file in self._entries:
                    self._problem(f"{name}: named by two commit records")
                else:
                    self._entries[file] = entry

    def _find_orphans(self) -> None:
        named = {file.path for file in self._entries}
        for table in PER_STEP:
            folder = self.folder / table
            for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                if path not in named and not path.name.startswith(TMP):
                    self._problem(f"{table}/{path.name}: orphan: no commit record names it")

    def _read_file(self, file: TableFile, entry: dict[str, Any]) -> pa.Table | None:
        name = self._relative(file.path)
        try:
            if file.path.stat().st_size != entry["bytes"] or sha256_of_file(file.path) != entry["sha256"]:
                self._problem(f"{name}: damaged: its size or SHA-256 is not what the commit record says")
                return None
            table = read_parquet(file.path, footer_sha256=entry["footer_sha256"])
        except FileNotFoundError:
            self._problem(f"{name}: missing, though a commit record names it")
            return None
        except (StoreError, OSError) as error:
            self._problem(_short(error, self.folder))
            return None
        table = with_later_columns(TABLES[file.table], table)
        if not table.schema.equals(TABLES[file.table].arrow_schema()):
            self._problem(f"{name}: columns differ from those of the schema")
            return None
        self._count(file.table, rows=len(table), n_bytes=entry["bytes"])
        return table

    def _check_weights(self, checkpoints: pa.Table) -> None:
        good = set()
        for step in steps_with_weights(self.folder):
            try:
                found = verify_checkpoint(self.folder, step)
            except FileNotFoundError:
                continue
            except StoreError as error:
                self._problem(_short(error, self.folder))
                continue
            good.add(self._relative(found.path))
            files = [file for file in found.path.iterdir() if file.is_file()]
            self._count("weights", rows=0, n_bytes=sum(file.stat().st_size for file in files))
        for row in checkpoints.select(["step", "path"]).to_pylist():
            if row["path"] is not None and row["path"] not in good:
                self._problem(f"checkpoints: step {row['step']} points at {row['path']!r}, no good checkpoint")
            if row["step"] not in self._steps:
                self._problem(f"checkpoints: step {row['step']} is not committed")

    def _check_ledgers(self) -> None:
        for path in (self.folder / name for name in LEDGERS):
            try:
                contents = read_ledger(path)
            except StoreError as error:
                self._problem(_short(error, self.folder))
                continue
            self.report.problems += [f"{path.name}: line {number}: damaged" for number in contents.damaged_lines]
            if contents.torn:
                self.report.notes.append(f"{path.name}: its last line was cut off by a kill")
            if contents.unanswered:
                self.report.notes.append(f"{path.name}: {len(contents.unanswered)} requests without a reply")

    def _list_leftovers(self) -> None:
        for folder in (self.folder, *(self.folder / name for name in (*PER_STEP, "commits", "weights"))):
            for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                if path.name.startswith((TMP, DEL)):
                    self.report.notes.append(f"{self._relative(path)}: left by a writer that was killed")
        aside = self.folder / "orphaned"
        if aside.is_dir():
            n_files = sum(path.is_file() for path in aside.rglob("*"))
            self.report.notes.append(f"orphaned/: {n_files} files that resumes set aside")


def _short(error: BaseException, folder: Path) -> str:
    return str(error).replace(f"{folder}/", "").replace("; `relift check` lists what else is", "")
