"""Files that are whole or absent: atomic writes, checksums, and records that carry their own.

Every change in a run folder goes through a `Disk`, one method per file-system operation, so that tests can let
any single one fail, or stop the program before or after it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from relift.errors import ReadFailed, StoreError

_NETWORK = ("nfs", "cifs", "smb", "fuse", "9p", "lustre", "ceph", "glusterfs", "gpfs", "beegfs", "afs")
TMP, DEL = ".tmp-", ".del-"  # being written; being deleted. Readers skip names that begin with a dot.


class Disk:
    """The operations a run folder is written with. Each raises OSError as the system does."""

    def mkdir(self, path: Path) -> None:
        path.mkdir(exist_ok=True)

    def write(self, path: Path, data: bytes) -> None:
        """Create or overwrite; `path` is always a temporary name."""
        with open(path, "wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]

    def fsync(self, path: Path) -> None:
        """Make the content of a file, or the names in a folder, survive a power cut."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def rmdir(self, path: Path) -> None:
        path.rmdir()

    def free_bytes(self, path: Path) -> int:
        return shutil.disk_usage(path).free


DISK = Disk()


@contextlib.contextmanager
def storing(path: Path, *, disk: Disk = DISK, n_bytes: int = 0) -> Iterator[None]:
    """Turns an OSError from writing under `path` into a StoreError of one line."""
    try:
        yield
    except OSError as error:
        what = f"{error.filename or path}: cannot write: {error.strerror or error} (errno {error.errno})"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            free = _free_or_none(disk, path)
            what += f"; {n_bytes:,} bytes needed" if n_bytes else ""
            what += f", {free:,} free" if free is not None else ""
            what += ": make room and start again, the run goes on from its last checkpoint"
        raise StoreError(what) from error


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an OSError from reading `path` into a ReadFailed of one line; FileNotFoundError passes."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        where = error.filename or path
        raise ReadFailed(f"{where}: cannot read: {error.strerror or error} (errno {error.errno})") from error


def _free_or_none(disk: Disk, path: Path) -> int | None:
    for folder in (path, *path.parents):
        if folder.is_dir():
            with contextlib.suppress(OSError):
                return disk.free_bytes(folder)
    return None


def network_file_system(path: Path) -> str | None:
    """Type of the file system `path` lies on, if it is one where locks and fsync may not hold; None if not known."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:  # not Linux
        return None
    mounts = [line.split()[1:3] for line in lines]
    above = {str(folder) for folder in (path, *path.parents)}
    kind = max(((point, kind) for point, kind in mounts if point in above), key=lambda m: len(m[0]), default=("", ""))[
        1
    ]
    return kind if kind.startswith(_NETWORK) else None


def tmp_name(target: Path) -> Path:
    """Temporary name in the same folder: a rename never crosses file systems."""
    return target.with_name(f"{TMP}{target.name}-{os.getpid()}")


def make_folder(disk: Disk, path: Path) -> None:
    """Creates the folder and makes its name durable, if it is not there yet."""
    if not path.is_dir():
        if path.parent != path:
            make_folder(disk, path.parent)
        disk.mkdir(path)
        disk.fsync(path.parent)


def write_atomic(disk: Disk, path: Path, data: bytes) -> None:
    """The file appears whole or not at all, and is durable on return. On failure the temporary file is removed.

    Raises StoreError.
    """
    tmp = tmp_name(path)
    with storing(path, disk=disk, n_bytes=len(data)):
        try:
            make_folder(disk, path.parent)
            disk.write(tmp, data)
            disk.fsync(tmp)
            disk.replace(tmp, path)
            disk.fsync(path.parent)
        except OSError:
            remove_quietly(disk, [tmp])
            raise


def remove_quietly(disk: Disk, paths: Iterable[Path]) -> None:
    """Clean-up after a failure: another failure changes nothing, the next start cleans again."""
    for path in paths:
        with contextlib.suppress(OSError):
            remove_tree(disk, path)


def remove_tree(disk: Disk, path: Path) -> None:
    """Deletes a file or a folder with all in it; symbolic links are removed, never followed."""
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            remove_tree(disk, child)
        disk.rmdir(path)
    else:
        disk.unlink(path)


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _body_sha256(body: Mapping[str, Any]) -> str:
    return sha256_of(json.dumps(body, sort_keys=True, allow_nan=False).encode())


def record_bytes(body: Mapping[str, Any]) -> bytes:
    """JSON with the SHA-256 of its own body (JSON alone hides most flipped bits)."""
    body = {key: value for key, value in body.items() if key != "body_sha256"}
    return (json.dumps({**body, "body_sha256": _body_sha256(body)}, indent=1, allow_nan=False) + "\n").encode()


def parse_record(data: bytes, path: Path) -> dict[str, Any]:
    """The body of a record, without its checksum. Raises StoreError, naming `path`, if it is damaged."""
    try:
        record = json.loads(data)
        body = {key: value for key, value in record.items() if key != "body_sha256"}
        good = record["body_sha256"] == _body_sha256(body)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        good = False
    if not good:
        raise StoreError(f"{path}: damaged: it does not match its own checksum; `relift check` lists what else is")
    return body


def read_record(path: Path) -> dict[str, Any]:
    """Raises StoreError if damaged or unreadable, FileNotFoundError if absent."""
    with reading(path):
        data = path.read_bytes()
    return parse_record(data, path)
