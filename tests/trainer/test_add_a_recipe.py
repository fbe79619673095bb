"""Adding a recipe is one file and one line: docs/add-a-recipe.md is done as it says, in a copy, and trained."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import relift
from relift.store import RunReader, check_run

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "add-a-recipe.md"
PROGRAM = """
import sys
from pathlib import Path
from relift.trainer.configuration import load_config
from relift.trainer import recipes
from tests.resume.harness import lay_inputs, run_here
folder = Path(sys.argv[1])
assert Path(recipes.__file__).is_relative_to(folder), recipes.__file__
inputs = lay_inputs(folder / "inputs")
sets = [f"model.path={inputs / 'base'}", f"data.questions={inputs / 'train.jsonl'}", "data.prompt=plain",
        "rollout.questions_per_step=8", "rollout.attempts_per_question=8", "rollout.max_tokens=12"]
run_here(load_config(folder / "maxrl.toml", overrides=sets), folder / "run")
"""


def test_the_recipe_of_the_document_trains(tmp_path: Path) -> None:
    text = DOCUMENT.read_text()
    file, line = re.findall(r"```(?:python|text)\n(.*?)```", text, re.DOTALL)
    (config,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (name,) = re.findall(r"`relift/trainer/recipes/(\w+)\.py`:", text)
    source = Path(relift.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__", "results")
    copied = shutil.copytree(source, tmp_path / "relift", ignore=ignored) / "trainer" / "recipes"
    (copied / f"{name}.py").write_text(file)
    table = (copied / "__init__.py").read_text()
    table = table.replace("    relift,\n", f"    {name},\n    relift,\n", 1)
    (copied / "__init__.py").write_text(table.replace('    "hpt": hpt.METHOD,\n', '    "hpt": hpt.METHOD,\n' + line))
    (tmp_path / "maxrl.toml").write_text(config)
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert check_run(tmp_path / "run").problems == []
    reader = RunReader(tmp_path / "run")
    assert reader.run.recipe == name
    assert reader.read("updates")["kind"].tolist() == ["rl"] * 3
    attempts = reader.read("attempts", columns=["step", "question_ix", "reward", "advantage"], origin="rollout")
    mean = attempts.groupby(["step", "question_ix"])["reward"].transform("mean").to_numpy(np.float64)
    mixed = (mean > 0) & (mean < 1)
    assert mixed.any()
    expected = (attempts["reward"].to_numpy(np.float64) - mean)[mixed] / mean[mixed]
    np.testing.assert_allclose(attempts["advantage"].to_numpy(np.float64)[mixed], expected, rtol=1e-6)
