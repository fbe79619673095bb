"""Checkpoints: folders that appear whole, say what they hold, and are checked before anything is loaded from them.

weights/step-000120/ holds what the caller wrote and manifest.json, written last: sizes and SHA-256 of every file,
SHA-256 of the commit record of the step, the caller's `info`, SHA-256 of its own body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relift.errors import StoreError
from relift.store.files import (
    DEL,
    Disk,
    make_folder,
    read_record,
    record_bytes,
    remove_quietly,
    remove_tree,
    sha256_of_file,
    storing,
    tmp_name,
)
from relift.store.tables import NAME_PART, commit_name, commit_step

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
LEAST_KEPT = 2  # a damaged newest checkpoint must not end a run
_FOLDER = re.compile(r"step-(\d{6,9})")


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint whose manifest, sizes and hashes hold. `info` is what was handed to save_checkpoint."""

    step: int
    path: Path
    info: dict[str, Any]


def checkpoint_folder(root: Path, step: int) -> Path:
    return root / "weights" / f"step-{step:06d}"


def steps_with_weights(root: Path) -> list[int]:
    """Steps that have a folder under weights/, good or bad, in rising order."""
    try:
        names = [path.name for path in (root / "weights").iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(match.group(1)) for name in names if (match := _FOLDER.fullmatch(name)))


def verify_checkpoint(root: Path, step: int) -> SavedCheckpoint:
    """Reads every byte and compares. Raises StoreError saying what is wrong; FileNotFoundError if there is none."""
    path = checkpoint_folder(root, step)
    try:
        manifest = read_record(path / MANIFEST)
    except FileNotFoundError:
        if not path.is_dir():
            raise
        raise StoreError(f"{path}: incomplete: it has no {MANIFEST}") from None
    if manifest.get("format_version") != FORMAT_VERSION:
        raise StoreError(
            f"{path}: checkpoint format {manifest.get('format_version')}, this relift reads {FORMAT_VERSION}"
        )
    if manifest.get("step") != step:
        raise StoreError(f"{path}: its manifest is of step {manifest.get('step')}")
    for name, entry in manifest["files"].items():
        file = path / name
        if not NAME_PART.fullmatch(name) or file.is_symlink() or not file.is_file():
            raise StoreError(f"{file}: missing, or not a plain file")
        if file.stat().st_size != entry["bytes"] or sha256_of_file(file) != entry["sha256"]:
            raise StoreError(f"{file}: damaged: size or SHA-256 differ from {MANIFEST}")
    commit = root / "commits" / commit_name(step, "")
    if not commit.is_file() or sha256_of_file(commit) != manifest["commit_sha256"]:
        raise StoreError(f"{path}: {commit.name}, the commit record it belongs to, is missing or another")
    return SavedCheckpoint(step, path, manifest["info"])


class Checkpoints:
    """The writing side; owned by RunWriter, which holds the lock."""

    def __init__(self, root: Path, *, disk: Disk, on_event: Callable[[str], None]):
        self._root, self._disk, self._on_event = root, disk, on_event
        self._verified: set[int] = set()  # hashed by this process already

    def save(self, step: int, write_files: Callable[[Path], None], *, info: dict[str, Any]) -> Path:
        root, disk = self._root, self._disk
        final = checkpoint_folder(root, step)
        commit = root / "commits" / commit_name(step, "")
        if not commit.is_file():
            raise ValueError(f"step {step} is not committed: commit(step) comes before save_checkpoint(step)")
        if final.exists():
            raise ValueError(f"{final} exists: roll_back before saving a step again")
        self._require_room(step)
        tmp = tmp_name(final)
        done = False
        try:
            with storing(final, disk=disk):
                make_folder(disk, final.parent)
                remove_tree(disk, tmp)
                disk.mkdir(tmp)
            write_files(tmp)
            with storing(final, disk=disk):
                self._seal(tmp, step, commit, info)
                disk.replace(tmp, final)  # onto a folder with files in it this fails: nothing is overwritten
                disk.fsync(final.parent)
            done = True
        finally:  # whatever write_files raised goes on to the caller
            if not done:
                remove_quietly(disk, [tmp])
        verify_checkpoint(root, step)  # finds our mistakes, not the disk's: this reads the page cache
        self._verified.add(step)
        return final

    def _seal(self, tmp: Path, step: int, commit: Path, info: dict[str, Any]) -> None:
        files = {}
        for file in sorted(tmp.iterdir()):
            if not file.is_file() or not NAME_PART.fullmatch(file.name) or file.name == MANIFEST:
                raise ValueError(f"checkpoint files are plain files named like model.safetensors, not {file.name!r}")
            self._disk.fsync(file)
            files[file.name] = {"bytes": file.stat().st_size, "sha256": sha256_of_file(file)}
        manifest = {
            "format_version": FORMAT_VERSION, "step": int(step), "files": files,
            "commit_sha256": sha256_of_file(commit), "info": info,
        }  # fmt: skip
        self._disk.write(tmp / MANIFEST, record_bytes(manifest))
        self._disk.fsync(tmp / MANIFEST)
        self._disk.fsync(tmp)

    def _require_room(self, step: int) -> None:
        """Twice the last checkpoint must fit, or the run stops here, cleanly, with what it has."""
        steps = steps_with_weights(self._root)
        if not steps:
            return
        last = checkpoint_folder(self._root, steps[-1])
        needed = 2 * sum(file.stat().st_size for file in last.iterdir() if file.is_file())
        free = self._disk.free_bytes(last)
        if free < needed:
            raise StoreError(
                f"{checkpoint_folder(self._root, step)}: no room: {needed:,} bytes needed, {free:,} free: "
                "make room and start again, the run goes on from its last checkpoint"
            )

    def verified(self) -> Iterator[SavedCheckpoint]:
        """Good ones, newest first; bad ones are reported and left where they are, as evidence."""
        damaged = self._damaged_commits()
        for step in reversed(steps_with_weights(self._root)):
            try:
                found = verify_checkpoint(self._root, step)
            except StoreError as error:
                self._verified.discard(step)
                self._on_event(f"skipping checkpoint: {error}")
                continue
            except FileNotFoundError:
                continue
            broken = [name for at, name in damaged if at <= step]
            if broken:  # going on from here would leave steps in the record that nobody can read
                self._on_event(f"skipping checkpoint {found.path}: commits/{broken[0]} before it is damaged")
                continue
            self._verified.add(step)
            yield found

    def _damaged_commits(self) -> list[tuple[int, str]]:
        damaged = []
        folder = self._root / "commits"
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            step = commit_step(path.name)
            if step is not None:
                try:
                    read_record(path)
                except StoreError as error:
                    self._on_event(str(error))
                    damaged.append((step, path.name))
        return damaged

    def retirable(self, *, keep: int, protect: Collection[int]) -> list[int]:
        """Steps older than the newest `keep` good ones (at least 2) and not protected."""
        good: list[int] = []
        candidates: list[int] = []
        for step in reversed(steps_with_weights(self._root)):
            if len(good) >= max(keep, LEAST_KEPT):
                if step not in protect:
                    candidates.append(step)
            elif self._is_good(step):
                good.append(step)
        return sorted(candidates)

    def _is_good(self, step: int) -> bool:
        if step not in self._verified:
            try:
                verify_checkpoint(self._root, step)
            except (StoreError, FileNotFoundError) as error:
                self._on_event(f"bad checkpoint: {error}")
                return False
            self._verified.add(step)
        return True

    def delete(self, steps: Collection[int]) -> None:
        """Rename, then delete: a half-deleted checkpoint never carries a checkpoint's name."""
        folder = self._root / "weights"
        with storing(folder, disk=self._disk):
            doomed = []
            for step in steps:
                path = checkpoint_folder(self._root, step)
                target = path.with_name(DEL + path.name)
                remove_tree(self._disk, target)
                self._disk.replace(path, target)
                self._verified.discard(step)
                doomed.append(target)
            if doomed:
                self._disk.fsync(folder)
            for target in doomed:
                remove_tree(self._disk, target)
