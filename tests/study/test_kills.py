"""A study that was killed and started again has the same table as one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from relift.store import check_run, resolve_runs

STUDY = """
name = "tiny"
seeds = [1, 2]
reference = "rl"
[bases.b]
arith = 1
[arith]
base = "quick"
train = 16
test = 8
ends = 2
dev = 8
[run]
steps = 3
rollout = { questions_per_step = 8, attempts_per_question = 2, max_tokens = 40 }
data = { max_prompt_tokens = 64, max_demo_tokens = 160 }
sft = { batch = 4, optimizer = { lr = 3e-4, warmup_share = 0.0, schedule = "constant" } }
probe = { every = 2, attempts = 2, score_base = false }
checkpoint = { every = 1 }
[sweep]
factors = [1.0, 2.0]
steps = 1
[methods.rl]
recipe = "grpo"
rl = { optimizer = { lr = 1e-3 } }
[methods.sft]
recipe = "sft"
budget = { flops = "rl" }
"""


def command(folder: Path, out: str) -> list[str]:
    return [sys.executable, "-m", "relift.cli", "study", str(folder / "tiny.toml"), "--out", str(folder / out)]


def kill_once_there(folder: Path, out: str, awaited: str, number: int) -> None:
    """Start the study, and signal it with all its processes once a file is there."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    process = subprocess.Popen(command(folder, out), env=environment, start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    deadline = time.monotonic() + 200
    while not (folder / out / awaited).exists():
        assert process.poll() is None and time.monotonic() < deadline, f"{awaited} never came"
        time.sleep(0.02)
    os.killpg(process.pid, number)
    assert process.wait(60) != 0


def tables(folder: Path, out: str) -> dict[str, str]:
    """Every table as text, without seconds and minutes."""
    found = {}
    for path in sorted((folder / out / "tables").glob("*.csv")):
        frame = pd.read_csv(path).drop(columns=["seconds", "run_id"], errors="ignore")
        found[path.name] = frame.to_csv(index=False)
    lines = (folder / out / "table.md").read_text().splitlines()
    found["table.md"] = "\n".join(line.rpartition(" | ")[0] for line in lines if line.startswith("|"))
    return found


@pytest.mark.slow
def test_killed_and_continued_it_gives_the_same_table(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(STUDY)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    kill_once_there(tmp_path, "killed", "sweep/rl-x2-b-seed-0/run.json", signal.SIGKILL)
    kill_once_there(tmp_path, "killed", "runs/b-seed-1/rl/commits/step-000001.json", signal.SIGKILL)
    kill_once_there(tmp_path, "killed", "runs/b-seed-2/frozen/run.json", signal.SIGTERM)
    for out in ("killed", "whole"):
        done = subprocess.run(command(tmp_path, out), env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "failed" not in done.stderr
    assert tables(tmp_path, "killed") == tables(tmp_path, "whole")
    assert {"accuracy.csv", "differences.csv", "excess.csv", "sweep.csv", "table.md"} <= tables(
        tmp_path, "whole"
    ).keys()
    for run in resolve_runs([tmp_path / "killed" / "runs"]).runs:
        assert check_run(run).problems == []
    again = subprocess.run(command(tmp_path, "killed"), env=environment, capture_output=True, text=True)
    assert again.returncode == 0 and tables(tmp_path, "killed") == tables(tmp_path, "whole")  # nothing trained twice
    changed = STUDY.replace("attempts_per_question = 2", "attempts_per_question = 4")
    (tmp_path / "tiny.toml").write_text(changed)
    refused = subprocess.run(command(tmp_path, "killed"), env=environment, capture_output=True, text=True)
    assert refused.returncode == 2 and "made with another rollout.attempts_per_question" in refused.stderr
