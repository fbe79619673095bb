"""Suggest the known name that is nearest to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known name most like `name`, or None when none is alike (difflib's ratio below `cutoff`)."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return close[0] if close else None


def hint(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return `; nearest: KNOWN` to put behind an error, or an empty text when no name is alike."""
    near = nearest(name, known, cutoff=cutoff)
    return f"; nearest: {near}" if near else ""
