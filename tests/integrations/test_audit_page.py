"""docs/audit.md: its loop runs as it stands, and its blocks name what there is."""

from __future__ import annotations

import ast
import inspect
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from relift.arith.world import make_questions
from relift.data.questions import read_questions
from relift.importers.export import export_questions
from relift.integrations.recorder import Recorder
from relift.integrations.trl import ProbeCallback, record
from relift.store import RunReader, check_run
from relift.trainer.configuration import load_config
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


def test_all_wrong_questions_of_a_recorded_run_get_their_worked_solutions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way from a recorded run to ReLIFT: of three questions one was never solved, and it alone is trained on."""
    asked = make_questions("train", 768, seed=1)[:3]
    recorder = Recorder(tmp_path / "run", strict=True)
    for question, reward in zip(asked, ([1, 1], [1, 0], [0, 0]), strict=True):
        recorder.rollouts(
            1, [question.problem] * 2, ["1", "2"], rewards=reward, golds=[question.answer] * 2, n_tokens=[2, 2],
            truncated=[False, False],
        )  # fmt: skip
    recorder.finish()
    export_questions(tmp_path / "run", tmp_path / "hard.jsonl", select=["all wrong"], origin="rollout")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["audit_relift.py", "hard.jsonl", "checkpoint", "--out", "hard", "--steps", "2"])
    runpy.run_path(str(ROOT / "docs" / "audit_relift.py"), run_name="__main__")
    written = read_questions(tmp_path / "hard" / "train.jsonl")
    assert [question.question_id for question in written.questions] == [asked[2].question_id]
    [demonstration] = written.demonstrations
    assert f"\\boxed{{{asked[2].answer}}}" in demonstration.text
    for recipe in ("relift", "grpo", "frozen"):
        config = load_config(tmp_path / "hard" / f"{recipe}.toml")
        assert (config.recipe, config.model.path) == (recipe, str(tmp_path / "checkpoint"))


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
