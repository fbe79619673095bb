"""Check the floors: allowed imports, and that reading a run needs no torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import LINKS, ROOT, product_files, pyproject

HEAVY = ("torch", "transformers", "vllm", "streamlit")
CONTRACTS = {contract["id"]: contract for contract in pyproject()["tool"]["importlinter"]["contracts"]}

# What must stay free of torch wherever it exists. The contracts in pyproject.toml can only name modules that do.
WITHOUT_TORCH = {
    "light": {
        "relift.errors", "relift.confined", "relift.schema", "relift.run_record", "relift.store", "relift.data",
        "relift.prompts", "relift.config", "relift.stats", "relift.grading", "relift.analysis", "relift.benchmarks",
        "relift.engines.tokens", "relift.integrations.recorder", "relift.arith.world", "relift.arith.corpus",
    },
    "scripted": {
        "relift.learner.update", "relift.learner.losses", "relift.trainer.recipes", "relift.trainer.recipe",
        "relift.trainer.components", "relift.trainer.advantages", "relift.trainer.norms",
        "relift.trainer.configuration", "relift.trainer.demos", "relift.trainer.loop",
    },
}  # fmt: skip
EXEMPT = ("relift.benchmarks.speed", "relift.benchmarks.lighteval")  # they drive the trainer, or a peer

# Imports each module named on stdin in a process of its own that has seen no other module of ours; prints what
# went wrong. The third-party packages are imported once, before the forks, and must be free of torch as well.
CHILD = """
import importlib, os, sys, traceback
HEAVY = %r
import matplotlib.figure, numpy, pandas, pyarrow.parquet, pydantic, rich.progress, scipy.optimize, scipy.stats, typer
for name in sys.stdin.read().split():
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            importlib.import_module(name)
            bad = [heavy for heavy in HEAVY if heavy in sys.modules]
            if bad:
                print(name, "imports", *bad)
        except BaseException:
            print(name, "fails:", traceback.format_exc().strip().splitlines()[-1])
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)
"""


def light_modules() -> list[str]:
    roots = (*WITHOUT_TORCH["light"], *WITHOUT_TORCH["scripted"], "relift.cli")
    return [
        name
        for name, _ in product_files()
        if any(f"{name}.".startswith(f"{root}.") for root in roots)
        and not any(f"{name}.".startswith(f"{exempt}.") for exempt in EXEMPT)
    ]


def what_fails(names: list[str], *, heavy: tuple[str, ...] = HEAVY, path: Path = ROOT) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD % (heavy,)],
        input="\n".join(names), capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(path)},
    )  # fmt: skip
    return done.stdout.splitlines()


def test_light_modules_leave_torch_out() -> None:
    names = light_modules()
    assert {"relift.schema", "relift.analysis", "relift.grading.base"} <= set(names)
    assert what_fails(names) == []


def test_the_import_check_can_fail() -> None:
    assert what_fails(["relift.schema", "relift.no_such"], heavy=("pyarrow",)) == [
        "relift.schema imports pyarrow",
        "relift.no_such fails: ModuleNotFoundError: No module named 'relift.no_such'",
    ]


@pytest.mark.parametrize("contract", sorted(WITHOUT_TORCH))
def test_contracts_name_all_light_modules(contract: str) -> None:
    present = {name for name, _ in product_files()}
    named = set(CONTRACTS[contract]["source_modules"])
    assert named == WITHOUT_TORCH[contract] & present
    assert CONTRACTS[contract]["forbidden_modules"] == list(HEAVY)


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(folder)}
    )


def copy_of_the_checkout(folder: Path) -> Path:
    for name in ("relift", *LINKS):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_floors_are_kept() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


def test_planted_imports_break_the_floors(tmp_path: Path) -> None:
    """One upward import, one import of torch in what reads runs, one in the rules of the loop, one of a measurement,
    one module without a floor: each contract must say no."""
    folder = copy_of_the_checkout(tmp_path)
    with (folder / "relift" / "schema.py").open("a") as schema:
        schema.write("\nimport relift.learner.update\n")
    with (folder / "analysis" / "__init__.py").open("a") as analysis:
        analysis.write("\n\ndef later() -> None:\n    import torch\n")
    with (folder / "relift" / "learner" / "update.py").open("a") as batch:
        batch.write("\nimport torch\nimport relift.benchmarks.speed\n")
    (folder / "relift" / "leftovers.py").touch()
    done = lint_imports(folder)
    assert done.returncode == 1
    for identity in ("floors", "light", "scripted", "speed"):
        assert f"{CONTRACTS[identity]['name']} BROKEN" in done.stdout
    assert "relift.leftovers" in done.stdout and "relift.schema -> relift.learner.update" in done.stdout
