"""docs/audit.md: its loop runs as it stands, and its blocks name what there is."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

from relift.integrations.trl import ProbeCallback, record
from relift.store import RunReader, check_run
from tests.repository import ROOT

PAGE = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_loop_of_the_page_runs(tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text(BLOCKS[-1])
    done = subprocess.run(
        [sys.executable, "loop.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert check_run(tmp_path / "runs/mine").problems == []
    reader = RunReader(tmp_path / "runs/mine")
    assert reader.steps("attempts", origin="probe") == [0, 3]
    assert reader.steps("attempts", origin="rollout") == [1, 2, 3]


def test_options_of_the_page_exist() -> None:
    known = {name: set(inspect.signature(made).parameters) for name, made in
             (("record", record), ("ProbeCallback", ProbeCallback))}  # fmt: skip
    seen = set()
    for block in BLOCKS:
        for node in ast.walk(ast.parse(block)):
            name = getattr(node.func, "id", None) if isinstance(node, ast.Call) else None
            if isinstance(node, ast.Call) and name in known:
                seen.add(name)
                assert {keyword.arg for keyword in node.keywords} <= known[name]
    assert seen == set(known)
