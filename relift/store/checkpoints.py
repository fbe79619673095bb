"""Save and verify checkpoints: folders that appear whole and are checked before anything is loaded from them.

weights/step-000120/ holds what the caller wrote and manifest.json, written last: sizes and SHA-256 of every file,
SHA-256 of the commit record of the step, one hash of all commit records before it, the caller's `info`, SHA-256 of its
own body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relift.errors import ReadFailed, StoreError
from relift.store.commits import Hashes, hashes_up_to, require_whole, seal_of
from relift.store.files import (
    DEL,
    Disk,
    make_folder,
    read_record,
    reading,
    record_bytes,
    remove_quietly,
    remove_tree,
    sha256_of_file,
    storing,
    tmp_name,
)
from relift.store.tables import NAME_PART, commit_name

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
LEAST_KEPT = 2  # a damaged newest checkpoint must not end a run
WriteFiles = Callable[[Path], Mapping[str, str] | None]  # may give the SHA-256 of files that were hashed already
_FOLDER = re.compile(r"step-(\d{6,9})")


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint whose manifest, sizes and hashes hold. `info` is what was handed to save_checkpoint, `commits` what
    the manifest says of the commit records before it (relift.store.commits.seal_of)."""

    step: int
    path: Path
    info: dict[str, Any]
    commits: object = None


def checkpoint_folder(root: Path, step: int) -> Path:
    return root / "weights" / f"step-{step:06d}"


def steps_with_weights(root: Path) -> list[int]:
    """Steps that have a folder under weights/, good or bad, in rising order."""
    try:
        names = [path.name for path in (root / "weights").iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(match.group(1)) for name in names if (match := _FOLDER.fullmatch(name)))


def verify_checkpoint(root: Path, step: int, *, hashed: Collection[str] = ()) -> SavedCheckpoint:
    """Read every byte and compare; of the files named in `hashed`, which have just been hashed, compare the sizes.

    Raises StoreError saying what is wrong, ReadFailed where it cannot be read now, FileNotFoundError if there is none.
    """
    path = checkpoint_folder(root, step)
    manifest = _read_manifest(path)
    with reading(path):
        return _verified(root, step, path, manifest, hashed)


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = read_record(path / MANIFEST)
    except FileNotFoundError:
        if not path.is_dir():
            raise
        raise StoreError(f"{path}: incomplete: it has no {MANIFEST}") from None
    files = manifest.get("files")
    whole = isinstance(files, dict) and all(isinstance(entry, dict) for entry in files.values())
    if not whole or not isinstance(manifest.get("info"), dict):
        raise StoreError(f"{path / MANIFEST}: not the manifest of a checkpoint")
    return manifest


def _verified(root: Path, step: int, path: Path, manifest: dict[str, Any], hashed: Collection[str]) -> SavedCheckpoint:
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
        same = file.stat().st_size == entry.get("bytes")
        if not same or (name not in hashed and sha256_of_file(file) != entry.get("sha256")):
            raise StoreError(f"{file}: damaged: size or SHA-256 differ from {MANIFEST}")
    commit = root / "commits" / commit_name(step, "")
    if not commit.is_file() or sha256_of_file(commit) != manifest.get("commit_sha256"):
        raise StoreError(f"{path}: {commit.name}, the commit record it belongs to, is missing or another")
    return SavedCheckpoint(step, path, manifest["info"], manifest.get("commits"))


class Checkpoints:
    """The writing side; owned by RunWriter, which holds the lock."""

    def __init__(self, root: Path, *, disk: Disk, on_event: Callable[[str], None]):
        self._root, self._disk, self._on_event = root, disk, on_event
        self._verified: set[int] = set()  # hashed by this process already
        self._hashes: Hashes = {}  # of commit records

    def save(self, step: int, write_files: WriteFiles, *, info: dict[str, Any]) -> Path:
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
            hashed = write_files(tmp) or {}
            with storing(final, disk=disk):
                self._seal(tmp, step, commit, info, hashed)
                disk.replace(tmp, final)  # onto a folder with files in it this fails: nothing is overwritten
                disk.fsync(final.parent)
            done = True
        finally:  # whatever write_files raised goes on to the caller
            if not done:
                remove_quietly(disk, [tmp])
        # Finds our mistakes, not the disk's: this reads the page cache.
        verify_checkpoint(root, step, hashed=hashed)
        self._verified.add(step)
        return final

    def _seal(self, tmp: Path, step: int, commit: Path, info: dict[str, Any], hashed: Mapping[str, str]) -> None:
        files = {}
        for file in sorted(tmp.iterdir()):
            if not file.is_file() or not NAME_PART.fullmatch(file.name) or file.name == MANIFEST:
                raise ValueError(f"checkpoint files are plain files named like model.safetensors, not {file.name!r}")
            self._disk.fsync(file)
            files[file.name] = {"bytes": file.stat().st_size, "sha256": hashed.get(file.name) or sha256_of_file(file)}
        manifest = {
            "format_version": FORMAT_VERSION, "step": int(step), "files": files,
            "commit_sha256": sha256_of_file(commit), "commits": seal_of(hashes_up_to(self._root, step, self._hashes)),
            "info": info,
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
        """Yield good ones, newest first; bad ones are reported and left where they are, as evidence.

        Raises StoreError where a commit record before a good one is damaged, missing or cannot be read, and where a
        checkpoint cannot be read: going back to an older one would give up steps that are not lost.
        """
        self._hashes.clear()  # the records may have changed since they were hashed
        steps = steps_with_weights(self._root)
        for step in reversed(steps):
            try:
                found = verify_checkpoint(self._root, step)
            except ReadFailed:
                raise
            except StoreError as error:
                require_whole(self._root, step, None, newest=steps[-1])
                self._verified.discard(step)
                self._on_event(f"skipping checkpoint: {error}")
                continue
            except FileNotFoundError:
                continue
            require_whole(self._root, step, found.commits, newest=steps[-1])
            self._verified.add(step)
            yield found

    def forget_commits(self) -> None:
        """Forget the hashes of commit records: some were set aside, and their steps will be written again."""
        self._hashes.clear()

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
