"""Three steps of ReLIFT on real pretrained weights: killed and continued as if nothing had been, and probed after."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from transformers import AutoTokenizer

from relift.store import RunReader, check_run

pytestmark = pytest.mark.real

STEPS = 3
CONFIG = """
recipe = "relift"
steps = {steps}
seed = 3
[model]
path = "{checkpoint}"
[data]
questions = "{questions}"
prompt = "{template}"
max_prompt_tokens = 128
max_demo_tokens = 128
[rollout]
questions_per_step = 4
attempts_per_question = 2
max_tokens = 24
batch_rows = 16
[sft]
batch = 2
[probe]
every = 3
attempts = 1
[checkpoint]
every = 1
[runtime]
threads = 1
"""


def write_config(checkpoint: Path, folder: Path) -> Path:
    """Write questions that both models get wrong within 24 tokens, each with a demonstration, and a configuration."""
    rows = [
        {
            "problem": f"What is {a} + {b}?",
            "answer": str(a + b),
            "demonstration": f"{a} + {b} = {a + b}, so the sum is \\boxed{{{a + b}}}.",
        }
        for a, b in ((5170, 2996), (1234, 8765), (7081, 4449), (9320, 1888))
    ]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    template = "boxed" if AutoTokenizer.from_pretrained(checkpoint).chat_template else "plain"
    path = folder / "run.toml"
    text = CONFIG.format(steps=STEPS, checkpoint=checkpoint, questions=folder / "q.jsonl", template=template)
    path.write_text(text)
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "relift.cli", *map(str, arguments)]


def relift(*arguments: object) -> None:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def table(run: Path, name: str, *, without: tuple[str, ...] = ()) -> pd.DataFrame:
    frame = RunReader(run).read(name)
    return frame[[c for c in frame.columns if "seconds" not in c and c not in without]].reset_index(drop=True)


def kill_after_step(config: Path, run: Path, step: int) -> None:
    """Train in a process of its own and kill it as soon as this step is committed."""
    child = subprocess.Popen(command("train", config, "--out", run, "--quiet"), stderr=subprocess.DEVNULL)
    until = time.monotonic() + 900
    try:
        while time.monotonic() < until and child.poll() is None:
            if run.is_dir() and (run / "run.json").exists() and (RunReader(run).committed_step or 0) >= step:
                break
            time.sleep(0.2)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert child.returncode == -signal.SIGKILL, "it had ended before it could be killed"


def test_a_killed_run_continues_and_its_weights_are_evaluated(checkpoint: Path, tmp_path: Path) -> None:
    config = write_config(checkpoint, tmp_path)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    relift("train", config, "--out", whole, "--quiet")
    kill_after_step(config, killed, 1)
    relift("train", config, "--out", killed, "--quiet")

    updates = table(whole, "updates")
    assert set(updates["kind"]) >= {"rl", "sft"}, "no question was wrong in both attempts: nothing was fine-tuned"
    assert np.isfinite(updates["grad_norm"].dropna()).all()
    for name in ("attempts", "updates", "trajectories"):
        pd.testing.assert_frame_equal(table(whole, name), table(killed, name))
    assert not check_run(killed).problems

    relift("probe", killed, "--questions", tmp_path / "q.jsonl", "--samples", 1, "--max-tokens", 16,
           "--out", tmp_path / "after", "--engine-option", "batch_rows=16", "--quiet")  # fmt: skip
    assert len(RunReader(tmp_path / "after").read("attempts")) == 4
