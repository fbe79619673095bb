"""Set aside what lies past a checkpoint, so that every key exists once when the steps are done again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from relift.store.checkpoints import checkpoint_folder, steps_with_weights
from relift.store.commits import commit_records, committed_files
from relift.store.files import Disk, make_folder, read_record, storing
from relift.store.tables import PER_STEP, parse_table_file


def set_aside_past(limit: int, root: Path, aside: Path, *, disk: Disk, on_event: Callable[[str], None]) -> None:
    """Move commit records past `limit`, then table files that no record names any more, then checkpoints past it.

    Renames only: may be interrupted anywhere and repeated. Raises StoreError, also for a damaged record that stays.
    """
    # newest first, so that whatever happens the records left are those up to some step
    records = [path for step, path in reversed(commit_records(root)) if step > limit]
    _move(records, root, aside, disk=disk, on_event=on_event)
    _move(_unnamed_files(root), root, aside, disk=disk, on_event=on_event)
    weights = [checkpoint_folder(root, step) for step in steps_with_weights(root) if step > limit]
    _move(weights, root, aside, disk=disk, on_event=on_event)


def _unnamed_files(root: Path) -> list[Path]:
    named: set[Path] = set()
    for _, path in commit_records(root):
        named.update(root / name for name in committed_files(read_record(path), path))
    found: list[Path] = []
    for table in PER_STEP:
        folder = root / table
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path not in named and parse_table_file(root, f"{table}/{path.name}") is not None:
                found.append(path)
    return found


def _move(paths: list[Path], root: Path, aside: Path, *, disk: Disk, on_event: Callable[[str], None]) -> None:
    if not paths:
        return
    with storing(aside, disk=disk):
        for path in paths:
            target = aside / path.relative_to(root)
            make_folder(disk, target.parent)
            disk.replace(path, target)
        for folder in sorted({path.parent for path in paths}):
            disk.fsync(aside / folder.relative_to(root))
            disk.fsync(folder)
    on_event(f"set aside {len(paths)} of {paths[0].parent.name}/ in {aside.relative_to(root)}")
