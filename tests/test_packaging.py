"""Check that the installation is the checkout: packages, links, data files, dependencies."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import relift.analysis
from tests.repository import LINKS, ROOT, product_files, pyproject

# Import name -> distribution, where they differ.
DISTRIBUTIONS = {"math_verify": "math-verify", "tomli_w": "tomli-w", "mpl_toolkits": "matplotlib"}
# Peers that live in environments of their own, and what a dependency of ours brings along by its own promise.
ELSEWHERE = {"trl", "verl", "lm_eval", "inspect_ai"}


def test_every_package_folder_is_listed() -> None:
    listed = pyproject()["tool"]["setuptools"]["packages"]
    found = {name for name, path in product_files() if path.name == "__init__.py"}
    assert sorted(found) == sorted(listed)


def test_every_folder_with_code_is_a_package() -> None:
    """Without __init__.py a folder is invisible to import-linter, and an upward import in it passes."""
    folders = {path.parent for _, path in product_files()}
    folders |= {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("name", LINKS)
def test_links_lead_home(name: str) -> None:
    link = ROOT / "relift" / name
    assert link.is_symlink(), f"relift/{name} is no link: clone again with core.symlinks=true"
    assert os.readlink(link) == f"../{name}"
    assert link.resolve() == ROOT / name


def test_linked_folder_is_the_package() -> None:
    assert Path(str(relift.analysis.__file__)).resolve() == ROOT / "analysis" / "__init__.py"


def test_data_files_are_declared() -> None:
    data = pyproject()["tool"]["setuptools"]["package-data"]
    assert (ROOT / "relift" / "py.typed").is_file() and "py.typed" in data["relift"]
    assert "*.toml" in data["relift.config.presets"] and "*.json" in data["relift.benchmarks.results"]


def imported_names(path: Path) -> set[str]:
    """Top-level names of the absolute imports of a file, those inside functions included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_every_import_is_a_declared_dependency() -> None:
    project = pyproject()["project"]
    extras = (line for group in project["optional-dependencies"].values() for line in group)
    declared = {re.split(r"[<>=!~\[ ;]", line)[0].lower() for line in (*project["dependencies"], *extras)}
    undeclared = {
        (module, name)
        for module, path in product_files()
        for name in imported_names(path) - set(sys.stdlib_module_names) - {"relift"} - ELSEWHERE
        if DISTRIBUTIONS.get(name, name) not in declared
    }
    assert sorted(undeclared) == []


def test_constraints_pin_every_direct_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {line.partition("==")[0].lower().replace("_", "-") for line in lines if not line.startswith("#")}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines if not line.startswith("#"))
    project = pyproject()["project"]
    wanted = (
        *project["dependencies"],
        *project["optional-dependencies"]["train"],
        *project["optional-dependencies"]["dev"],
    )
    names = {re.split(r"[<>=!~\[ ;]", line)[0].lower() for line in wanted}
    assert sorted(names - pins) == []


@pytest.mark.slow
def test_wheel_holds_all_modules_and_data(tmp_path: Path) -> None:
    """Built from a copy, so that nothing is left in the checkout."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    source = tmp_path / "source"
    for name in filter(None, files):
        origin, copy = ROOT / name, source / name
        if not os.path.lexists(origin):
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_symlink():
            copy.symlink_to(os.readlink(origin))
        else:
            copy.write_bytes(origin.read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path / "wheel"), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheel").glob("relift-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    modules = {
        name.replace(".", "/") + ("/__init__.py" if path.name == "__init__.py" else ".py")
        for name, path in product_files()
    }
    assert sorted(modules - held) == []
    presets = {f"relift/config/presets/{path.name}" for path in (ROOT / "relift" / "presets").glob("*.toml")}
    assert sorted(presets - held) == [] and "relift/py.typed" in held
    tops = {name.partition("/")[0] for name in held}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"relift"}
    assert any(name.endswith("licenses/LICENSE") for name in held)
