"""Sources made by the projects themselves become runs that pass `relift check`.

Each project lives in an environment of its own, named by a variable (docs/importers.md): RELIFT_LM_EVAL_PYTHON,
RELIFT_INSPECT_PYTHON, RELIFT_TRL_PYTHON, RELIFT_VERIFIERS_PYTHON. Logs of Inspect are read where inspect_ai is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relift.store import RunReader, check_run
from tests.engines.tiny import write_checkpoint
from tests.repository import ROOT

SCRIPT = Path(__file__).with_name("importer_source.py")
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


@pytest.mark.peers
@pytest.mark.parametrize(
    ("kind", "variable", "source", "n_answers"),
    [
        ("lm-eval", "RELIFT_LM_EVAL_PYTHON", "out/*", 6),  # 3 questions x 2
        ("inspect", "RELIFT_INSPECT_PYTHON", "out", 6),
        ("trl", "RELIFT_TRL_PYTHON", "out", 16),  # 2 steps x a batch of 8
        ("prime-rl", "RELIFT_VERIFIERS_PYTHON", "out", 12),  # 3 questions, 4 batches
    ],
)
def test_a_source_of_the_project_is_a_sound_run(
    tmp_path: Path, kind: str, variable: str, source: str, n_answers: int
) -> None:
    python = os.environ.get(variable)
    if python is None:
        pytest.skip(f"{variable} names no interpreter")
    model = write_checkpoint(tmp_path / "model")
    environment = {**os.environ, **OFFLINE}
    made = subprocess.run(
        [python, str(SCRIPT), kind, str(tmp_path), str(model)], capture_output=True, text=True, env=environment,
        timeout=600, cwd=tmp_path,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-2_000:]
    [place] = tmp_path.glob(source)
    reader = python if kind == "inspect" else sys.executable
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [reader, "-m", "relift.cli", "import", kind, str(place), "--into", str(tmp_path / "run")],
        capture_output=True, text=True, env=environment, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    assert check_run(tmp_path / "run").problems == []
    assert len(RunReader(tmp_path / "run").read("attempts", columns=["verdict"])) == n_answers
