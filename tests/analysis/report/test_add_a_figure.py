"""The page on adding a figure, followed to the letter in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.repository import ROOT
from tests.synthetic import write_run


def test_the_page_is_followed(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "add-a-figure.md").read_text(encoding="utf-8")
    (module,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (line,) = re.findall(r"^```diff\n\+(.*\n)```", page, re.MULTILINE)
    ignored = shutil.ignore_patterns("__pycache__", "dashboards", "speed", "results")
    shutil.copytree(ROOT / "relift", tmp_path / "relift", ignore=ignored)
    (tmp_path / "relift" / "analysis" / "questions" / "first_solved.py").write_text(module, encoding="utf-8")
    catalogue = tmp_path / "relift" / "analysis" / "report" / "catalogue.py"
    text = catalogue.read_text(encoding="utf-8")
    text = text.replace(
        "from relift.analysis.questions import (", "from relift.analysis.questions import (\n    first_solved,", 1
    )
    catalogue.write_text(text.replace("_FIGURES = (\n", f"_FIGURES = (\n{line}", 1), encoding="utf-8")
    write_run(tmp_path / "runs" / "rl", n_questions=40, n_steps=4, learn=0.5, seed=1, probe_every=2)
    program = "from relift.cli import main; main()"
    arguments = ["analyze", "runs/rl", "--out", "out", "--only", "first_solved", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {p.suffix for p in (tmp_path / "out" / "figures").glob("first_solved.*")} == {".pdf", ".svg", ".png", ".csv"}
    rows = (tmp_path / "out" / "figures" / "first_solved.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "run_id,run,step,count,n_questions"
    counts = [int(row.split(",")[3]) for row in rows[1:]]
    assert counts == sorted(counts) and len(counts) == 3
    assert "Questions solved so far" in (tmp_path / "out" / "index.md").read_text(encoding="utf-8")
