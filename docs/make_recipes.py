"""Write the table of recipes in docs/method.md from the recipes themselves: `python docs/make_recipes.py`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relift.trainer.recipes import RECIPES

TARGET = Path(__file__).with_name("method.md")
BEGIN, END = "<!-- recipes: written by docs/make_recipes.py -->", "<!-- end of recipes -->"


def table() -> str:
    """Write a row per recipe: its name, the first line of its file, when it uses demonstrations, its numbers."""
    lines = ["| recipe | what it is | demonstrations | numbers |", "|---|---|---|---|"]
    for name, method in RECIPES.items():
        module = importlib.import_module(f"relift.trainer.recipes.{name}")
        summary = (module.__doc__ or "").splitlines()[0].rstrip(".").replace("|", "\\|")
        lines.append(f"| `{name}` | {summary} | {method.demonstrations.value} | {numbers(method.defaults)} |")
    return "\n".join(lines)


def numbers(defaults: Mapping[str, Any], prefix: str = "") -> str:
    """Spell values as they would be set: `rl.clip_high` 0.28, ..."""
    parts = []
    for key, value in defaults.items():
        if isinstance(value, Mapping):
            parts.append(numbers(value, f"{prefix}{key}."))
        else:
            spelled = list(value) if isinstance(value, tuple) else str(value).lower() if value is True else value
            parts.append(f"`{prefix}{key}` {spelled}")
    return ", ".join(parts)


def main() -> int:
    """Rewrite the page, or with --check only say whether it is current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if docs/method.md is not current")
    check = parser.parse_args().check
    text = TARGET.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    made = f"{head}{BEGIN}\n{table()}\n{END}{tail}"
    if check:
        if made != text:
            print("docs/method.md is not current: run python docs/make_recipes.py", file=sys.stderr)
        return int(made != text)
    TARGET.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
