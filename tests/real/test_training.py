"""Three steps of ReLIFT on real pretrained weights: killed and continued as if nothing had been, probed and exported.

A checkpoint of Gemma 3 270M with both optimizers has 5.4 GB: the test needs 12 GB of disk and 9 GB of memory.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from relift.engines.hf_model import load_model
from relift.engines.tokens import Request, Sampling
from relift.engines.torch_sampler import TorchSampler
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
max_prompt_tokens = 64
max_demo_tokens = 40
[rollout]
questions_per_step = 4
attempts_per_question = 2
max_tokens = 8
batch_rows = 16
[sft]
batch = 2
[probe]
every = 3
attempts = 1
score_base = false
[checkpoint]
every = 2
[runtime]
threads = 1
"""


def write_config(checkpoint: Path, folder: Path) -> Path:
    """Write questions that both models get wrong within 8 tokens, each with a demonstration, and a configuration."""
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


def table(run: Path, name: str) -> pd.DataFrame:
    """Read a table but for times and the run's own id, which its folder names."""
    frame = RunReader(run).read(name)
    return frame[[c for c in frame.columns if "seconds" not in c and c != "run_id"]].reset_index(drop=True)


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


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    """Give a folder that is empty again after the test: pytest would keep gigabytes of three runs."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def greedy(model: torch.nn.Module, prompt: list[int], n: int) -> list[int]:
    """Answer with transformers' own generate: n tokens, fewer where an end token comes before."""
    with torch.no_grad():
        ids = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=n)  # type: ignore[operator]
    return list(ids[0, len(prompt) :].tolist())


def test_a_killed_run_continues_and_its_weights_are_evaluated(checkpoint: Path, room: Path) -> None:
    config = write_config(checkpoint, room)
    whole, killed = room / "whole", room / "killed"
    relift("train", config, "--out", whole, "--quiet", "--set", f"checkpoint.every={STEPS}")
    shutil.rmtree(whole / "weights")  # makes room for the others; its record is compared
    kill_after_step(config, killed, 2)
    relift("train", config, "--out", killed, "--quiet")

    updates = table(whole, "updates")
    assert set(updates["kind"]) >= {"rl", "sft"}, "no question was wrong in both attempts: nothing was fine-tuned"
    assert np.isfinite(updates["grad_norm"].dropna()).all()
    for name in ("attempts", "updates", "trajectories"):
        pd.testing.assert_frame_equal(table(whole, name), table(killed, name))
    assert not check_run(killed).problems

    relift("probe", killed, "--questions", room / "q.jsonl", "--samples", 1, "--max-tokens", 8,
           "--out", room / "after", "--engine-option", "batch_rows=16", "--quiet")  # fmt: skip
    assert len(RunReader(room / "after").read("attempts")) == 4

    relift("export", killed, "--out", room / "exported")
    shutil.rmtree(killed)  # what was exported stands alone
    prompt = list(AutoTokenizer.from_pretrained(room / "exported")("What is 5170 + 2996?").input_ids)
    theirs = greedy(AutoModelForCausalLM.from_pretrained(room / "exported", dtype=torch.float32), prompt, 8)
    model = load_model(str(room / "exported"), device=torch.device("cpu"))
    sampler = TorchSampler(model, batch_rows=16, copied=False)
    ((ours,),) = sampler.generate([Request(tuple(prompt), (0,))], Sampling(8, temperature=0.0))
    assert len(theirs) and ours.token_ids_T.tolist()[: len(theirs)] == theirs
    base = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    same = torch.equal(base.get_input_embeddings().weight, model.get_input_embeddings().weight)
    assert not same, "the exported weights are the base's"
