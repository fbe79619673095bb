"""Whole trainings of an adapter: what a checkpoint holds, who loads it, kills, two processes, evaluation, export."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from relift.engines.hf_model import load_model
from relift.errors import InputError
from relift.grading import SCORERS
from relift.learner.learner import Learner
from relift.store import RunReader, check_run
from relift.trainer.export import CARD, export
from relift.trainer.run import Run, StepReport
from tests.cli.command import at_step, relift, write_config
from tests.resume.harness import HashGrader, config_of, contents, lay_inputs, run_here
from tests.trainer.test_parallel_run import assert_same_run, by_one, by_two, folder, kill

peft = pytest.importorskip("peft", reason="adapters are peft's: pip install 'relift[lora]'")
# peft's PeftModel asks transformers for a name that 5.23 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

LORA = {"rank": 4, "alpha": 16.0}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    exact = SCORERS["exact"]
    laid = lay_inputs(tmp_path_factory.mktemp("inputs"))
    SCORERS["exact"] = exact  # the harness puts its own grader there; here every command is told which
    return laid


@pytest.fixture(scope="module")
def config(inputs: Path) -> Path:
    """ReLIFT with a KL to the base, so that the reference is asked too."""
    values = config_of(inputs, steps=6, lora=LORA, rl={"optimizer": {"lr": 1e-2}, "kl_weight": 0.01})
    return write_config(inputs / "lora.toml", values)


@pytest.fixture(scope="module")
def one(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = folder(tmp_path_factory, "one")
    ended = by_one(config, run)
    assert ended.status == 0, ended.err
    return run


def test_a_checkpoint_is_the_adapter_and_peft_loads_it(one: Path, inputs: Path) -> None:
    step = one / "weights" / "step-000006"
    names = {path.name for path in step.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "config.json", "tokenizer.json"} <= names
    assert "model.safetensors" not in names
    assert json.loads((step / "adapter_config.json").read_text())["base_model_name_or_path"] == str(inputs / "base")
    model = AutoModelForCausalLM.from_pretrained(inputs / "base")
    n_base = model.num_parameters()
    theirs = peft.PeftModel.from_pretrained(model, str(step)).merge_and_unload().state_dict()
    ours = load_model(str(step), device=CPU).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    moved = load_file(step / "adapter_model.safetensors")
    assert any(tensor.abs().max() > 0 for name, tensor in moved.items() if "lora_B" in name)
    assert RunReader(one).run.n_parameters == n_base
    kl = RunReader(one).read("checkpoints").set_index("step")["kl_to_base"]
    # The base is the model with its adapter off: at first the same, to the rounding of sampler and learner.
    assert abs(kl.loc[0]) < 1e-6 < kl.loc[6]


def test_the_learner_of_the_run_and_the_loaded_checkpoint_agree(inputs: Path, tmp_path: Path) -> None:
    found: dict[str, torch.Tensor] = {}

    def keep(run: Run, report: StepReport) -> None:
        if report.step == 2:
            assert isinstance(run.learner, Learner)
            found.update({name: tensor.clone() for name, tensor in run.learner.model_state_dict().items()})

    run_here(config_of(inputs, steps=2, lora=LORA), tmp_path / "run", on_step=keep)
    loaded = load_model(str(tmp_path / "run" / "weights" / "step-000002"), device=CPU).state_dict()
    assert loaded.keys() == found.keys() and all(torch.equal(loaded[name], found[name]) for name in found)


def test_killed_and_taken_up(config: Path, one: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    ended = relift("train", config, "--out", run, "--quiet", grader=HashGrader, before=at_step(4, kill))
    assert ended.status == -signal.SIGKILL
    assert by_one(config, run).status == 0
    assert contents(run) == contents(one) and check_run(run).problems == []


def test_two_processes_are_one_and_take_up_each_others_runs(config: Path, one: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert [e.status for e in by_two(config, run, "--quiet", before=at_step(3, kill))] == [-signal.SIGKILL] * 2
    alone = relift("train", config, "--out", run, "--quiet", grader=HashGrader, before=at_step(5, kill))
    assert alone.status == -signal.SIGKILL
    ended = by_two(config, run)
    assert [e.status for e in ended] == [0, 0], ended[0].err
    assert_same_run(run, one, rel=1e-4)
    assert check_run(run).problems == []
    mine, theirs = (load_file(r / "weights/step-000006/adapter_model.safetensors") for r in (run, one))
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=1e-5, msg=name)


def test_another_rank_is_another_run(config: Path, one: Path) -> None:
    ended = by_one(config, one, "--set", "lora.rank=8")
    assert ended.status == 2 and "lora.rank is 4 there, 8 here" in ended.err


def test_an_adapter_without_a_rank_is_refused(config: Path, tmp_path: Path) -> None:
    ended = by_one(config, tmp_path / "run", "--set", "lora.rank=none")
    assert ended.status == 2 and "lora.alpha: there is no adapter without lora.rank" in ended.err
    assert not (tmp_path / "run" / "run.json").exists()


def test_it_is_evaluated(one: Path, tmp_path: Path) -> None:
    small = (
        "-b",
        "arith_sequence",
        "--max-tokens",
        4,
        "--temperature",
        0,
        "--samples",
        1,
        "--limit",
        10,
        "--engine-option",
        "batch_rows=32",
    )
    ended = relift("eval", f"{one}@6", *small, "--out", tmp_path / "run", grader=HashGrader)
    assert ended.status == 0, ended.err
    merged = export(f"{one}@6", tmp_path / "merged")
    again = relift("eval", merged, *small, "--out", tmp_path / "again", grader=HashGrader)
    assert again.status == 0, again.err
    texts = [RunReader(tmp_path / r).read("responses")["text"].tolist() for r in ("run", "again")]
    assert len(texts[0]) == 10 and texts[0] == texts[1]


def test_export_merges_or_copies(one: Path, inputs: Path, tmp_path: Path) -> None:
    merged, adapter = export(f"{one}@6", tmp_path / "merged"), export(f"{one}@6", tmp_path / "adapter", as_adapter=True)
    assert not list(merged.glob("adapter_*")) and (merged / "model.safetensors").is_file()
    plain = AutoModelForCausalLM.from_pretrained(merged).state_dict()
    ours = load_model(str(one / "weights" / "step-000006"), device=CPU).state_dict()
    assert all(torch.equal(plain[name], ours[name]) for name in plain)
    assert (adapter / "adapter_model.safetensors").is_file() and not list(adapter.glob("model*"))
    again = peft.AutoPeftModelForCausalLM.from_pretrained(adapter).merge_and_unload().state_dict()
    assert all(torch.equal(again[name], ours[name]) for name in again)
    text = (adapter / CARD).read_text()
    assert "library_name: peft" in text and "AutoPeftModelForCausalLM" in text and "| `lora.rank` | `4` |" in text
    assert "AutoPeft" not in (merged / CARD).read_text()
    whole = config_of(inputs, steps=1)
    run_here(whole, tmp_path / "whole")
    with pytest.raises(InputError, match="--adapter is of runs with lora.rank"):
        export(str(tmp_path / "whole"), tmp_path / "none", as_adapter=True)


def test_an_adapter_that_does_not_fit_its_base(one: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import save_file

    broken = tmp_path / "broken"
    shutil.copytree(one / "weights" / "step-000006", broken)
    tensors = load_file(broken / "adapter_model.safetensors")
    first = min(tensors)
    save_file({name: tensor for name, tensor in tensors.items() if name != first}, broken / "adapter_model.safetensors")
    with pytest.raises(InputError, match="1 tensors of the adapter are missing and 0 belong to no layer"):
        load_model(str(broken), device=CPU)
    save_file(tensors | {first: tensors[first] * np.nan}, broken / "adapter_model.safetensors")
    with pytest.raises(InputError, match="not finite"):
        load_model(str(broken), device=CPU)
    settings = json.loads((broken / "adapter_config.json").read_text())
    for base, words in (
        ("/nowhere/base", "its base '/nowhere/base': there is no such folder"),
        (None, "names no base"),
    ):
        (broken / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": base}))
        with pytest.raises(InputError, match=words):
            load_model(str(broken), device=CPU)
    os.remove(broken / "adapter_model.safetensors")
    with pytest.raises(InputError, match="an adapter without adapter_model.safetensors"):
        load_model(str(broken), device=CPU)
