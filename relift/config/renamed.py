"""Know the fields that had other names: refuse them where people write, translate them where older runs recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

# old name -> (new name, new value of an old one)
RENAMED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "rl.clip": ("rl.loss", lambda clip: "ppo_clip" if clip else "ratio"),
    "sft.mean": ("sft.denominator", lambda mean: mean),
}


def old_names(values: Mapping[str, Any]) -> list[str]:
    """Say for each old name among nested values what to write instead."""
    lines = []
    for old, (new, translate) in RENAMED.items():
        section, key = old.split(".")
        inside = values.get(section)
        if isinstance(inside, Mapping) and key in inside:
            lines.append(f'{old} has another name now: write {new} = "{translate(inside[key])}"')
    return lines


def with_new_names(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the old names among dotted ones, as an older run recorded them."""
    found = dict(flat)
    for old, (new, translate) in RENAMED.items():
        if old in found:
            found[new] = translate(found.pop(old))
    return found
