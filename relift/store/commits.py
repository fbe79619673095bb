"""Read commit records: what a step consists of, and whether all records up to a step are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relift.errors import StoreError
from relift.store.files import read_record, reading, sha256_of, sha256_of_file
from relift.store.tables import commit_name, commit_step

_ENTRY = {"bytes": int, "rows": int, "sha256": str, "footer_sha256": str}
Hashes = dict[str, str]  # SHA-256 by name of a commit record


def commit_records(root: Path) -> list[tuple[int, Path]]:
    """List (step, path) of every commit record, whole or damaged, in rising order."""
    folder = root / "commits"
    with reading(folder):
        found = [(commit_step(path.name), path) for path in folder.iterdir()] if folder.is_dir() else []
    return sorted((step, path) for step, path in found if step is not None)


def committed_files(record: Mapping[str, Any], path: Path | str) -> dict[str, dict[str, Any]]:
    """Take the files with their sizes and hashes out of a record. Raises StoreError where it is no commit record."""
    files = record.get("files")
    named = type(record.get("step")) is int and isinstance(record.get("run_id"), str)
    if not named or not isinstance(files, dict) or not all(map(_is_entry, files.values())):
        raise StoreError(f"{path}: not the commit record of a step; `relift check` lists what else is wrong")
    return files


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and all(type(entry.get(name)) is kind for name, kind in _ENTRY.items())


def hashes_up_to(root: Path, step: int, known: Hashes) -> Hashes:
    """Hash the records of the steps up to `step`; those of other draws and parts, which may come later, left out.

    `known` keeps what was hashed before: while a writer holds the folder, nobody changes them.
    """
    found = {}
    for at, path in commit_records(root):
        if at <= step and path.name == commit_name(at, ""):
            if path.name not in known:
                known[path.name] = sha256_of_file(path)
            found[path.name] = known[path.name]
    return found


def seal_of(hashes: Hashes) -> dict[str, Any]:
    """Make what a checkpoint's manifest says of the commit records before it: their number and one hash of all."""
    lines = "".join(f"{name} {sha}\n" for name, sha in sorted(hashes.items()))
    return {"n": len(hashes), "sha256": sha256_of(lines.encode())}


def require_whole(root: Path, step: int, sealed: object, *, newest: int) -> None:
    """Refuse to go on from a checkpoint before which a commit record is damaged, missing or another.

    `sealed`: what its manifest says of them; None in checkpoints of relift 0.1.0. Raises StoreError, which says what
    may be done: nothing is given up without somebody's word.
    """
    wrong, since = None, 0
    for at, path in commit_records(root):
        if at <= step:
            try:
                committed_files(read_record(path), path)
            except StoreError as error:
                wrong, since = str(error).partition("; `relift check`")[0], at
                break
    else:
        found = seal_of(hashes_up_to(root, step, {}))
        if sealed is not None and found != sealed:
            n = sealed.get("n") if isinstance(sealed, dict) else None
            wrong, since = f"{root / 'commits'}: {found['n']} records up to step {step}, not the {n} of this run", 0
    if wrong is not None:
        raise StoreError(
            f"{wrong}. Put it back from a copy and start again; or give up all that was trained from step {since} on: "
            f"move the folders of weights/ from step-{since:06d} to step-{newest:06d} somewhere else"
        )
