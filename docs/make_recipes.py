"""Write docs/recipes.md and the table in docs/method.md from the recipes themselves: `python docs/make_recipes.py`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relift.config import preset_names
from relift.trainer.configuration import load_config
from relift.trainer.recipes import RECIPES

METHOD, PAGE = Path(__file__).with_name("method.md"), Path(__file__).with_name("recipes.md")
BEGIN, END = "<!-- recipes: written by docs/make_recipes.py -->", "<!-- end of recipes -->"
# Recipes by what they learn from, in the order of the page; what stands in no group comes last.
GROUPS = {
    "Demonstrations of what RL cannot reach": ("relift", "hpt", "hdpo"),
    "Demonstrations alone, or before RL": ("sft", "dft", "sft_rl"),
    "Rewards alone": ("grpo", "drgrpo", "dapo", "gspo", "cispo"),
    "Demonstrations beside rollouts": ("luffy", "srft", "chord"),
    "The start of a solution": ("prefix_rl", "prefix_rft", "bread", "hint_rl", "ghpo"),
    "A teacher's log-probabilities": ("opd", "opd_rl", "kdrl", "sdpo", "srpo"),
}
USES = {
    "never": "none",
    "stream": "in steps of their own",
    "buffered": "of all-wrong questions, when M wait",
    "at_once": "of all-wrong questions, at once",
    "joined": "one in every group",
    "given": "given to attempts",
    "beside": "in every update",
}
HEAD = """# Recipes

A recipe says which attempts a step makes and what it trains on: `relift train CONFIG --set recipe=NAME`, or a preset by
its name (`relift train relift-iclr2026`). Start with [relift](#relift). The symbols: `p` the policy's probability of a
token, `r` its ratio to the policy that sampled, `A` the advantage, `H` the entropy of the next token, `N` how many
tokens an average is over ([method.md](method.md)). How each differs from its source: [differences.md](differences.md).
This page is written by `docs/make_recipes.py` from the recipes' files; [add-a-recipe.md](add-a-recipe.md) adds one.
"""


def summary(name: str) -> str:
    """Give the first line of a recipe's file."""
    return docstring(name).splitlines()[0].rstrip(".")


def docstring(name: str) -> str:
    """Read what the file of a recipe says of it."""
    return (importlib.import_module(f"relift.trainer.recipes.{name}").__doc__ or "").strip()


def grouped() -> dict[str, list[str]]:
    """Sort the recipes into the groups of the page, each once."""
    groups = {title: [name for name in names if name in RECIPES] for title, names in GROUPS.items()}
    rest = [name for name in RECIPES if not any(name in names for names in groups.values())]
    return groups | ({"Others": rest} if rest else {})


def table() -> str:
    """Write a row per recipe: its name, the first line of its file, when it uses demonstrations."""
    lines = ["| recipe | what it is | demonstrations |", "|---|---|---|"]
    for name, method in RECIPES.items():
        shown = summary(name).replace("|", "\\|")
        lines.append(f"| [`{name}`](recipes.md#{name}) | {shown} | {USES[method.demonstrations.value]} |")
    return "\n".join(lines)


def page() -> str:
    """Write the page: what there is, by what it learns from, then each recipe."""
    presets: dict[str, list[str]] = {}
    for preset in preset_names():
        presets.setdefault(load_config(preset).recipe, []).append(preset)
    parts = [HEAD]
    for title, names in grouped().items():
        parts.append(f"**{title}**\n\n" + "\n".join(f"- [{name}](#{name}): {summary(name)}" for name in names) + "\n")
    for names in grouped().values():
        parts += [section(name, presets.get(name, [])) for name in names]
    return "\n".join(parts)


def section(name: str, presets: list[str]) -> str:
    """Write the section of a recipe: its docstring, whether it uses demonstrations, its presets, its numbers."""
    method = RECIPES[name]
    about = "\n".join(line.rstrip() for line in docstring(name).splitlines()[1:]).strip("\n")
    shown = ", ".join(f"`{preset}`" for preset in presets) or "none"
    return f"""## {name}

{summary(name)}.

{about}

Demonstrations: {USES[method.demonstrations.value]}. Presets: {shown}. Numbers that it sets: {numbers(method.defaults)}.
File: `relift/trainer/recipes/{name}.py`.
"""


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
    """Rewrite the pages, or with --check only say whether they are current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a page is not current")
    check = parser.parse_args().check
    text = METHOD.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    made = {METHOD: f"{head}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}", PAGE: page()}
    stale = [path for path, new in made.items() if not path.exists() or path.read_text(encoding="utf-8") != new]
    for path in stale:
        if check:
            print(f"docs/{path.name} is not current: run python docs/make_recipes.py", file=sys.stderr)
        else:
            path.write_text(made[path], encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    raise SystemExit(main())
