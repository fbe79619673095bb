"""Measure the learner's peak of memory at a large vocabulary beside logits that are kept whole.

Run:  python -m relift.benchmarks.speed.head_memory --out FILE [--quick]

A micro-batch of 32,768 packed tokens (32 sequences of 1,024) through a model of one narrow layer with Qwen2.5's
vocabulary of 151,936: the head is all that counts. `learner` is a forward and backward pass of ours, with the gradient
of the entropy; `plain` is transformers' own loss with its logits in float32, on 1,024 tokens, since 32,768 would need
tens of GiB; its bytes grow with the tokens. Each runs in a process of its own. A peak is the resident memory's highest
beyond what was there before the pass (VmHWM after a reset by clear_refs, Linux); parameters, gradients of parameters
and a first small pass stand before it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from relift.benchmarks.speed.record import cpu_name, package_versions, write_result

SIDES = ("learner", "plain")
FLOAT = 4  # bytes


@dataclass(frozen=True)
class HeadTask:
    """Hold the sizes; `head_chunk`: logits that the learner computes at a time."""

    vocab: int = 151_936
    length: int = 1024
    sequences: int = 32
    width: int = 32
    head_chunk: int | None = None  # the learner's default

    @property
    def logits_bytes(self) -> int:
        """Count the bytes of all logits, in float32 and once."""
        return FLOAT * self.vocab * self.length * self.sequences


def peak_of(call: Callable[[], object]) -> int:
    """Return the bytes by which the resident memory rose at most during the call."""
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak begins anew
    before = memory("VmRSS")
    call()
    return memory("VmHWM") - before


def memory(field: str) -> int:
    """Read a field of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def model_of(task: HeadTask) -> Any:
    """Make the model: one layer, tied head, random weights."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=task.vocab, hidden_size=task.width, intermediate_size=task.width, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, max_position_embeddings=2 * task.length,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config)


def measure_learner(task: HeadTask) -> dict[str, Any]:
    """Measure a forward and backward pass of the learner over all sequences, in one micro-batch."""
    import numpy as np

    from relift.learner.learner import Learner
    from relift.learner.losses import sft
    from relift.learner.optim import OptimizerSpec
    from relift.learner.update import Component, Term, TrainSequence, Update
    from relift.schema import UpdateKind

    budget = task.length * task.sequences
    learner = Learner(
        model_of(task), {"sft": OptimizerSpec(lr=0.0)}, token_budget=budget, head_chunk=task.head_chunk, device="cpu"
    )
    rows = np.random.default_rng(0).integers(0, task.vocab, (task.sequences, task.length + 1)).astype(np.int32)

    def update(n: int, length: int) -> Update:
        sequences = tuple(TrainSequence((int(row[0]),), row[1 : length + 1]) for row in rows[:n])
        term = Term(sft(), float(n * length), entropy_weight=1e-4)
        return Update(UpdateKind.sft, "sft", (Component("demo", sequences, (term,)),))

    learner.forward_backward(update(1, 2))  # gradients of the parameters are there from here on
    begin = time.perf_counter()
    peak = peak_of(lambda: learner.forward_backward(update(task.sequences, task.length)))
    return {"tokens": budget, "peak_bytes": peak, "seconds": time.perf_counter() - begin}


def measure_plain(task: HeadTask) -> dict[str, Any]:
    """Measure transformers' loss on one sequence, logits and their gradient whole."""
    import torch

    model = model_of(task)
    ids = torch.randint(0, task.vocab, (1, task.length))
    model(ids[:, :2], labels=ids[:, :2]).loss.backward()
    begin = time.perf_counter()
    peak = peak_of(lambda: model(ids, labels=ids).loss.backward())
    return {"tokens": task.length, "peak_bytes": peak, "seconds": time.perf_counter() - begin}


def measure(task: HeadTask) -> dict[str, Any]:
    """Run each side in a process of its own."""
    sides = {}
    for side in SIDES:
        command = [
            sys.executable,
            "-m",
            "relift.benchmarks.speed.head_memory",
            "--side",
            side,
            json.dumps(asdict(task)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"head_memory: {side} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        sides[side] = json.loads(done.stdout.splitlines()[-1])
    ours = sides["learner"]["peak_bytes"] / sides["learner"]["tokens"]
    plain = sides["plain"]["peak_bytes"] / sides["plain"]["tokens"]
    return {
        **sides,
        "logits_bytes": task.logits_bytes,
        "logits_over_learner": task.logits_bytes / sides["learner"]["peak_bytes"],
        "plain_over_learner_per_token": plain / ours,
    }


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(description="Measure the learner's memory at a large vocabulary.")
    parser.add_argument("--out", type=Path, help="file for the result (JSON); without it, it is printed")
    parser.add_argument(
        "--quick", action="store_true", help="an eighth of the tokens and vocabulary: shows that it runs"
    )
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
    if args.side:
        side, task = args.side[0], HeadTask(**json.loads(args.side[1]))
        print(json.dumps({"learner": measure_learner, "plain": measure_plain}[side](task)))
        return
    task = HeadTask(vocab=18_992, sequences=4, head_chunk=2**21) if args.quick else HeadTask()
    write_result(
        {
            "what": "peak of memory of a forward and backward pass beyond parameters and gradients",
            "command": "python -m relift.benchmarks.speed.head_memory", "quick": args.quick, "task": asdict(task),
            "results": measure(task), "versions": package_versions("torch", "transformers"),
            "hardware": {"cpu": cpu_name(), "cores": os.cpu_count()}, "load_average": os.getloadavg(),
        },
        args.out,
    )  # fmt: skip


if __name__ == "__main__":
    main()
