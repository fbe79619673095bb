"""A base of which each of two processes reads its own rows: the same weights to the byte, in half the memory."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from relift.errors import InputError
from relift.learner.learner import Learner
from relift.trainer.base_by_shards import without_weights
from relift.trainer.tensor_files import TensorFiles
from tests.learner.tiny import tiny_model

ROOT = Path(__file__).parents[2]
MIB = 2**20


def load(base: Path, out: Path, *, engine: str, n: int = 2) -> list[dict[str, Any]]:
    """Load in n processes; give what each of them tells."""
    out.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    group = {"WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "tests.trainer.loading_by_shards", str(base), engine, str(out)]
    processes = [
        subprocess.Popen(
            command, cwd=ROOT, env=os.environ | group | {"RANK": str(rank)}, stderr=subprocess.PIPE, text=True
        )
        for rank in range(n)
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors[-2000:]
    finally:
        for process in processes:
            process.kill()
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(n)]


@pytest.mark.parametrize(("architecture", "head"), [("llama", "tied"), ("qwen2", "untied")])
def test_the_weights_are_the_same_to_the_byte(architecture: str, head: str, tmp_path: Path) -> None:
    tiny_model(architecture, tied=head == "tied").save_pretrained(
        tmp_path / "base", max_shard_size="20KB"
    )  # several files
    (whole,) = load(tmp_path / "base", tmp_path / "one", engine="torch", n=1)
    shards = load(tmp_path / "base", tmp_path / "two", engine="vllm")
    assert not whole["by_shards"] and all(told["by_shards"] for told in shards)
    for told in shards:
        assert told["hashes"] == whole["hashes"]
        assert told["scores"] == pytest.approx(whole["scores"], rel=1e-6)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[40, 3] = torch.nan
    model.save_pretrained(tmp_path)
    stored = dict(TensorFiles([tmp_path / "model.safetensors"]))
    with pytest.raises(InputError, match="model.path: its weights hold numbers that are not finite"):
        Learner(without_weights(model.config, dtype=torch.float32), {}, weights=stored)


@pytest.mark.slow
def test_no_process_holds_more_than_its_half(tmp_path: Path) -> None:
    """151 M random parameters, stored in bfloat16 as published ones are and loaded as float32, 575 MiB: 16 layers of
    8.4 M, and embedding and head of 8.2 M each.

    Each process keeps half, 287 MiB, and took 52 to 83 MiB more in ten loads: pieces of tensors, the checked copy of
    the first layers, torch's own. Loading whole takes the model and the stored copy. Stored in float32 it would not
    tell: on a CPU a whole model is then mapped from its file and takes no memory of the process's own.
    """
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=8000, hidden_size=1024, intermediate_size=1365, num_hidden_layers=16, num_attention_heads=16,
        num_key_value_heads=16, tie_word_embeddings=False, max_position_embeddings=256,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    whole = 4 * model.num_parameters()
    model.to(torch.bfloat16).save_pretrained(tmp_path / "base")
    del model
    shards = load(tmp_path / "base", tmp_path / "two", engine="vllm")
    before = load(tmp_path / "base", tmp_path / "whole", engine="torch")
    assert shards[0]["hashes"] == before[0]["hashes"]
    for told in shards:
        assert 0.5 * whole < told["peak"] < 0.5 * whole + 100 * MIB
    for told in before:
        assert told["peak"] > 1.1 * whole, "what loading whole takes, so that the test can tell"
