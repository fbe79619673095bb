"""Train, save, load and write down what came of it, in each of the two processes of test_learner_processes."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from relift.learner.learner import Learner
from relift.learner.lora import LoraSpec
from relift.learner.losses import gspo, sft
from relift.learner.optim import OptimizerSpec
from relift.learner.update import Update
from relift.schema import UpdateKind
from tests.learner.tiny import component, some_sequences, tiny_model

SPECS = {"rl": OptimizerSpec(lr=1e-2, max_grad_norm=0.1), "sft": OptimizerSpec(lr=1e-2)}
# AdamW divides a gradient by its own size. Of an adapter whose B began at 0, some gradients are rounding noise after
# the first step, which a tiny eps makes into whole steps in either direction.
ADAPTER_SPECS = {name: replace(spec, eps=1e-3) for name, spec in SPECS.items()}


def specs_of(kind: str) -> dict[str, OptimizerSpec]:
    """Give the optimizers of a case."""
    return ADAPTER_SPECS if "lora" in kind else SPECS


def update(step: int) -> Update:
    """Three components' worth of everything; step 2 has one sequence only, so that one process has none."""
    n = 1 if step == 2 else 14
    rl = component(
        "rl", some_sequences(n, seed=step), gspo(0.2, 0.28), float(n), entropy_weight=0.01, per_sequence=True
    )
    demo = component("demo", some_sequences(5, seed=50 + step, old=False), sft(), 60.0)
    return Update(UpdateKind.mixed, "rl", (rl,) if step == 2 else (rl, demo))


def train(learner: Learner, steps: range) -> list[dict[str, object]]:
    """Steps alternate between the optimizers; a score between backward and step must not disturb it."""
    rows = []
    for step in steps:
        learner.forward_backward(update(step))
        learner.score(some_sequences(3, seed=step))
        stats = learner.optim_step("sft" if step % 2 else "rl")
        rows.append({k: v for k, v in vars(stats).items() if k != "seconds"})
    return rows


SETTINGS: dict[str, dict[str, Any]] = {
    "tied": {},
    "untied": {"offload_moments": True},  # two claims on one start of two processes
    "mixed": {"compute": torch.bfloat16, "sync_gradients": "last", "checkpoint_activations": True},
    "lora": {"lora": LoraSpec(4, 8.0, "base"), "checkpoint_activations": True},
    "lora_mixed": {"lora": LoraSpec(4, 8.0, "base"), "compute": torch.bfloat16},
}


def work(out: Path, kind: str) -> None:
    """Four steps, a save in the middle; then a second learner loads the middle and repeats the last two."""
    torch.set_num_threads(1)
    tied = kind != "untied"
    dtype = torch.bfloat16 if kind == "lora_mixed" else torch.float32  # of the frozen weights
    learner = Learner(tiny_model(tied=tied).to(dtype), specs_of(kind), token_budget=60, **SETTINGS[kind])
    rows = train(learner, range(2))
    tensors, scalars = learner.state_dict()
    if learner.rank == 0:
        save_file({n: t.contiguous() for n, t in tensors.items()}, out / "middle.safetensors")
    if learner.world_size > 1:
        torch.distributed.barrier()
    rows += train(learner, range(2, 4))
    # Of an adapter a state holds no more than it: the other learner must have the same base.
    other = tiny_model(seed=0 if "lora" in SETTINGS[kind] else 5, tied=tied).to(dtype)
    again = Learner(other, specs_of(kind), token_budget=60, **SETTINGS[kind])
    again.load_state_dict(load_file(out / "middle.safetensors"), scalars)
    again_rows = train(again, range(2, 4))
    scores = learner.score(some_sequences(5))
    model, model_again = learner.model_state_dict(), again.model_state_dict()
    if learner.rank == 0:
        save_file({n: t.clone() for n, t in model.items()}, out / "end.safetensors")
        save_file({n: t.clone() for n, t in model_again.items()}, out / "again.safetensors")
        np.save(out / "scores.npy", np.concatenate(scores))
        (out / "rows.json").write_text(json.dumps([rows, again_rows, scalars]))
    if learner.world_size > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    # One process of a group, as torchrun starts it: folder, one of SETTINGS, rank, number, port.
    folder, kind, rank, number, port = sys.argv[1:]
    if int(number) > 1:
        os.environ |= {"RANK": rank, "WORLD_SIZE": number, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
        torch.distributed.init_process_group("gloo")
    work(Path(folder), kind)
