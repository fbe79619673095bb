"""Export a checkpoint: what is copied, what the card says, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from relift.errors import InputError, StoreError
from relift.store import RunReader
from relift.trainer.export import CARD, export
from tests.resume.harness import config_of, run_here


@pytest.fixture(scope="module")
def run(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of ReLIFT, with checkpoints of both."""
    folder = tmp_path_factory.mktemp("exported") / "run"
    run_here(config_of(inputs, steps=2, checkpoint={"every": 1}, probe={"every": 1}), folder)
    return folder


def test_the_weights_are_those_of_the_step(run: Path, tmp_path: Path) -> None:
    target = export(f"{run}@1", tmp_path / "out" / "mine")
    assert sorted(p.name for p in target.iterdir()) == sorted(
        [CARD, "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    )
    theirs = AutoModelForCausalLM.from_pretrained(run / "weights" / "step-000001").state_dict()
    for name, tensor in AutoModelForCausalLM.from_pretrained(target).state_dict().items():
        assert torch.equal(tensor, theirs[name])
    assert [p.name for p in target.parent.iterdir()] == ["mine"]  # nothing half-made beside it


def test_the_card_says_what_the_record_says(run: Path, tmp_path: Path) -> None:
    text = (export(str(run), tmp_path / "newest") / CARD).read_text()
    row = RunReader(run).read("checkpoints").set_index("step").loc[2]
    assert f"- rollouts: {row['samples']}" in text and "after 2 steps of the recipe `relift`" in text
    assert f"- tokens of rollouts: {row['generated_tokens']:,}" in text
    attempts = RunReader(run).read("attempts", origin="probe", steps=[2])
    right, n = int((attempts["verdict"] == "correct").sum()), len(attempts)
    assert f"- probe at step 2: {right} of {n} decided attempts correct ({right / n:.1%}), 6 questions" in text
    assert "probe at step 0" in text and "| `sft.batch` | `4` |" in text
    assert "`train.jsonl`" in text and str(run.parent) not in text and "/" + "base" not in text  # no folders of ours
    assert text.startswith("---\nlibrary_name: transformers\n") and "base_model:" not in text  # a folder is no hub id


def test_what_cannot_be_exported(run: Path, inputs: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").touch()
    with pytest.raises(InputError, match="there is something already"):
        export(str(run), full)
    with pytest.raises(InputError, match="not a training run"):
        export(str(inputs / "base"), tmp_path / "out")
    with pytest.raises(InputError, match="no checkpoint of step 7"):
        export(f"{run}@7", tmp_path / "out")
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises((InputError, StoreError)):
        export(str(run), blocked / "below")
    assert not (tmp_path / "out").exists()
