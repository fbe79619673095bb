"""Load a run's configuration with the numbers of its recipe, and refuse what no recipe can do. Numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from relift import config
from relift.config import Config
from relift.errors import InputError
from relift.trainer.recipes import RECIPES, build


def load_config(source: str | Path, *, overrides: Sequence[str] = ()) -> Config:
    """Resolve a TOML file or preset, as relift.config.load_config, on top of the numbers of the recipe it names.

    Raises InputError naming the file and what is wrong, also for names and settings that the recipe refuses.
    """
    defaults = {name: method.defaults for name, method in RECIPES.items()}
    resolved = config.load_config(source, recipes=defaults, overrides=overrides)
    try:
        build(resolved)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    return resolved
