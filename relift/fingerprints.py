"""Tell runs apart: hashes of JSON values, differences between two identities, names and versions for the record."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


def digest(value: object) -> str:
    """Hash a JSON value (16 bytes, hex)."""
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def plain_values(value: object) -> Any:
    """Turn a value into what it is after it was written as JSON and read again: tuples become lists."""
    return json.loads(json.dumps(value, allow_nan=False))


def files_in(folder: Path, pattern: str) -> list[Path]:
    """List the files of a folder whose names match, sorted. Raises OSError where Path.glob would find nothing: a folder
    that may not be read is not an empty one."""
    return sorted(folder / name for name in os.listdir(folder) if fnmatch.fnmatchcase(name, pattern))


def files_fingerprint(folder: Path, patterns: Sequence[str]) -> str:
    """Hash the names and contents of the files of a folder that match."""
    total = hashlib.blake2b(digest_size=16)
    for path in sorted({p for pattern in patterns for p in files_in(folder, pattern)}):
        total.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def differences(stored: Mapping[str, object], now: Mapping[str, object], *, bare: str | None = None) -> list[str]:
    """List the differences of two identities, a phrase for each leaf: "sampling.temperature is 0.6 there, 0.7 here".

    Names of the part called `bare` stand without it.
    """
    return [d for name in {**stored, **now} for d in _differences(name, stored.get(name), now.get(name), bare)]


def _differences(name: str, old: object, new: object, bare: str | None) -> list[str]:
    if old == new:
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        inside = "" if name == bare else f"{name}."
        return [d for k in sorted({*old, *new}) for d in _differences(f"{inside}{k}", old.get(k), new.get(k), bare)]
    return [f"{name} is {old!r} there, {new!r} here"]


def versions() -> dict[str, str]:
    """Return the versions of what computes, for the record."""
    return {name: version(name) for name in ("relift", "numpy", "pandas", "pyarrow")} | {
        "python": platform.python_version()
    }


def plain_name(folder: Path) -> str:
    """Return the folder's name in the letters that a run_id may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.absolute().name).strip(".-_")[:80] or "run"
