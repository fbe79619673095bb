"""Take a run folder: what may become one, its lock and the holder of it, leftovers of a killed writer."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from relift.errors import InputError, RunInUse
from relift.store.files import DEL, TMP, Disk, remove_tree
from relift.store.ledger import LEDGERS
from relift.store.tables import PER_STEP, WHOLE

LOCK, HOLDER, STARTING, RUN_JSON, CONFIG = ".lock", ".writer.json", ".starting", "run.json", "config.toml"
_OWN = (
    RUN_JSON,
    CONFIG,
    *LEDGERS,
    *(f"{table}.parquet" for table in WHOLE),
    *PER_STEP,
    "commits",
    "weights",
    "orphaned",
)
LOCK_SECONDS = 0.3  # `relift check` holds the lock for an instant to see whether a writer lives


def require_run_folder(folder: Path) -> None:
    """Refuses with InputError, before anything is written, a folder that holds something else than a run."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, not a folder; choose another folder")
    if not folder.is_dir() or _is_ours(folder):
        return
    try:
        foreign = sorted(path.name for path in folder.iterdir() if not _is_leftover(path))
    except OSError as error:
        raise InputError(f"{folder}: cannot read: {error.strerror}; choose another folder") from error
    if foreign and not _is_ours(folder):  # asked again: another process may just be starting a run here
        raise InputError(f"{folder}: holds {foreign[0]!r} but no run.json: choose an empty folder or that of a run")


def refuse_links(folder: Path) -> None:
    """Refuse to write where a part of the run is a link: what is written or deleted there lies elsewhere.

    Raises InputError.
    """
    for link in links_in(folder):
        raise InputError(f"{link}: is a link, and a run is only written where it lies: replace it")


def links_in(folder: Path) -> Iterator[Path]:
    """Find the links in a run folder at any depth, none of them followed; what vanishes meanwhile is passed over."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_symlink():
                yield Path(entry.path)
            elif entry.is_dir():
                yield from links_in(Path(entry.path))


def refuse_other_file(path: Path, *, begins: bytes, what: str) -> None:
    """Refuse to write an output over a file of a run, and over a file that is none of this kind: somebody's own.

    `begins`: the first bytes of such files, `what` their name in words. Raises InputError.
    """
    refuse_run_file(path)
    if path.is_file() and path.stat().st_size:
        with open(path, "rb") as file:
            same = file.read(len(begins)).lower() == begins.lower()
        if not same:
            raise InputError(f"{path}: is there and is no {what}: choose another name, or remove it first")


def refuse_run_file(path: Path) -> None:
    """Refuse to write an output over a file of a run. Raises InputError."""
    at = path.absolute()
    for folder in (at.parent, at.parent.parent):
        inside = at.relative_to(folder).parts[0]
        if (folder / RUN_JSON).exists() and (inside in _OWN or inside.startswith(".")):
            raise InputError(f"{path}: is a file of the run in {folder}: choose another place")


def _is_ours(folder: Path) -> bool:
    return (folder / STARTING).exists() or (folder / RUN_JSON).exists()


def _is_leftover(path: Path) -> bool:
    return path.name in (LOCK, HOLDER) or path.name.startswith(TMP)


def clear_leftovers(folder: Path, disk: Disk) -> None:
    """Removes what a killed writer left: temporary files, half-deleted ones, a start that did not finish."""
    for place in (folder, *(folder / name for name in (*PER_STEP, "commits", "weights"))):
        for path in sorted(place.iterdir()) if place.is_dir() else []:
            if path.name.startswith((TMP, DEL)):
                remove_tree(disk, path)
    if (folder / STARTING).exists():
        if not (folder / RUN_JSON).exists():
            for name in (CONFIG, *(f"{table}.parquet" for table in WHOLE)):
                disk.unlink(folder / name)
            disk.fsync(folder)
        disk.unlink(folder / STARTING)


def take_lock(folder: Path) -> FileLock:
    """Raises RunInUse, naming process and host, if another writer has it; OSError if the folder is not writable."""
    # The writer may work in another thread than the one that opened it, so the lock is the process's.
    lock = FileLock(folder / LOCK, timeout=LOCK_SECONDS, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise RunInUse(f"{folder}: {_holder(folder)} is writing there; wait for it or choose another folder") from None
    return lock


def holder_bytes() -> bytes:
    """Make the content of .writer.json while we hold the lock."""
    return (json.dumps({"host": socket.gethostname(), "pid": os.getpid()}) + "\n").encode()


def _holder(folder: Path) -> str:
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:  # the holder names itself just after it has the lock
        try:
            holder = json.loads((folder / HOLDER).read_bytes())
            host, pid = str(holder["host"]), int(holder["pid"])
            if host != socket.gethostname() or _lives(pid):
                return f"process {pid} on {host}"
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        time.sleep(0.02)
    return "another process"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
