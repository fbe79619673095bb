"""Find the checkout's files, for the tests that read the repository itself."""

from __future__ import annotations

import importlib.util
import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINKS = ("analysis", "dashboards", "benchmarks")  # top-level folders, installed as relift.NAME


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def product_files() -> Iterator[tuple[str, Path]]:
    """(module name, file) of every module that is installed; the links' targets once, under relift."""
    for folder, prefix in ((ROOT / "relift", "relift"), *((ROOT / name, f"relift.{name}") for name in LINKS)):
        for path in sorted(folder.rglob("*.py")):
            relative = path.relative_to(folder)
            if prefix == "relift" and relative.parts[0] in LINKS:
                continue
            parts = [prefix, *relative.with_suffix("").parts]
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def docs_script(name: str) -> ModuleType:
    """Import a script of docs/ as it runs: with its own folder first in the search path."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "docs"))
    return module


def benchmark_data() -> Path | None:
    """Folder with copies of published benchmarks (aime24.jsonl, ...): $RELIFT_BENCHMARK_DATA, or one that lies beside
    the checkout; None where there is none. The questions are not part of the project."""
    named = os.environ.get("RELIFT_BENCHMARK_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "benchmarks"
    return folder if folder.is_dir() else None
