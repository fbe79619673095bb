"""Disks that fail, die or keep a log, in place of the real one."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from relift.store.files import Disk


class Died(BaseException):
    """The process is gone: no handler runs any more operations."""


class FaultyDisk(Disk):
    """The k-th operation (from 1) fails: "die_before", "die_after", "ENOSPC" or "EIO". A failed write is torn."""

    def __init__(self, k: int, kind: str):
        self.k, self.kind, self.n_operations, self.dead = k, kind, 0, False

    def _operation(self, act: Callable[[], None], *, torn: Callable[[], None] = lambda: None) -> None:
        if self.dead:
            raise Died
        self.n_operations += 1
        if self.n_operations != self.k:
            act()
        elif self.kind == "die_after":
            act()
            self.dead = True
            raise Died
        else:
            torn()
            if self.kind == "die_before":
                self.dead = True
                raise Died
            number = getattr(errno, self.kind)
            raise OSError(number, "injected")

    def mkdir(self, path: Path) -> None:
        self._operation(lambda: super(FaultyDisk, self).mkdir(path))

    def write(self, path: Path, data: bytes) -> None:
        write = super().write
        self._operation(lambda: write(path, data), torn=lambda: write(path, data[: len(data) // 2]))

    def fsync(self, path: Path) -> None:
        self._operation(lambda: super(FaultyDisk, self).fsync(path))

    def replace(self, source: Path, target: Path) -> None:
        self._operation(lambda: super(FaultyDisk, self).replace(source, target))

    def unlink(self, path: Path) -> None:
        self._operation(lambda: super(FaultyDisk, self).unlink(path))

    def rmdir(self, path: Path) -> None:
        self._operation(lambda: super(FaultyDisk, self).rmdir(path))


class DyingDisk(FaultyDisk):
    """Dies just before something gets this name."""

    def __init__(self, name: str):
        super().__init__(0, "die_before")
        self.name = name

    def replace(self, source: Path, target: Path) -> None:
        if target.name == self.name:
            self.k = self.n_operations + 1
        super().replace(source, target)


class LoggingDisk(Disk):
    """Asserts, while a run is written, that a power cut at any moment could lose nothing that counts.

    A name may only come to point at content that was fsynced, and a commit record may only get its name when the
    files it names have theirs durably.
    """

    def __init__(self) -> None:
        self.dirty: set[Path] = set()  # written, not fsynced
        self.synced: set[Path] = set()  # content fsynced at least once under this name
        self.unsynced_folders: set[Path] = set()  # a name in it was set, the folder not fsynced
        self.n_replaced = 0

    def mkdir(self, path: Path) -> None:
        super().mkdir(path)
        self.unsynced_folders.add(path.parent)

    def write(self, path: Path, data: bytes) -> None:
        super().write(path, data)
        self.dirty.add(path)

    def fsync(self, path: Path) -> None:
        super().fsync(path)
        self.dirty.discard(path)
        self.synced.add(path)
        self.unsynced_folders.discard(path)

    def replace(self, source: Path, target: Path) -> None:
        if source.name.startswith(".tmp-"):
            contents = [*source.iterdir(), source] if source.is_dir() else [source]
            for path in contents:
                assert path not in self.dirty and path in self.synced, f"{path.name} gets its name before its fsync"
        if target.name == "manifest.json" or target.parent.name == "commits" or target.name == "run.json":
            others = self.unsynced_folders - {target.parent}
            assert not others, f"{target.name} lands before the names in {sorted(p.name for p in others)} are durable"
        super().replace(source, target)
        self.n_replaced += 1
        self.unsynced_folders.add(target.parent)
        self.unsynced_folders.add(source.parent)
