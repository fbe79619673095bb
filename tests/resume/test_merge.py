"""Merge checkpoints: the arithmetic, what is written, what opens it, what the card says, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from relift.cli.exporting import parse_weights
from relift.engines.hf_model import load_model
from relift.errors import InputError
from relift.store import RunReader
from relift.trainer import merge
from relift.trainer.export import CARD, export
from relift.trainer.merge_export import export_merged
from tests.resume.harness import config_of, run_here

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merged") / "run"
    run_here(config_of(inputs, steps=2, checkpoint={"every": 1}, probe={"every": 2}), folder)
    return folder


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return {k: v for file in sorted(folder.glob("*.safetensors")) for k, v in load_file(file).items()}


def copied(base: Path, folder: Path, change: dict[str, torch.Tensor], **config: object) -> Path:
    """Copy a checkpoint and put other tensors and other settings into it."""
    shutil.copytree(base, folder)
    save_file(change, folder / "model.safetensors", metadata={"format": "pt"})
    written = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(written))
    return folder


def test_a_mean_of_two_steps(run: Path, tmp_path: Path) -> None:
    target = export_merged([f"{run}@1", f"{run}@2"], tmp_path / "out", weights=[0.25, 0.75])
    a, b = (weights_of(run / "weights" / f"step-00000{step}") for step in (1, 2))
    made = weights_of(target)
    assert made.keys() == a.keys() and any(not torch.equal(a[k], b[k]) for k in a)
    for name, tensor in made.items():
        assert torch.equal(tensor, (0.25 * a[name].double() + 0.75 * b[name].double()).float())
    loaded = AutoModelForCausalLM.from_pretrained(target).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in made.items())
    assert [p.name for p in tmp_path.iterdir()] == ["out"]  # nothing half-made beside it


def test_the_same_model_twice_is_itself_and_the_head_stays_tied(run: Path, tmp_path: Path) -> None:
    target = export_merged([f"{run}@2"] * 3, tmp_path / "out")
    there = weights_of(run / "weights" / "step-000002")
    assert all(torch.equal(tensor, there[name]) for name, tensor in weights_of(target).items())
    model = load_model(str(target), device=CPU)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_differences_are_added_to_the_base(run: Path, inputs: Path, tmp_path: Path) -> None:
    """theta_0 + .5 (theta_1 - theta_0) + 1 (theta_2 - theta_0): the weights sum to 1.5, which no mean may."""
    target = export_merged([f"{run}@1", f"{run}@2"], tmp_path / "out", weights=[0.5, 1.0], base=f"{run}@0")
    base, a, b = (weights_of(run / "weights" / f"step-00000{step}") for step in (0, 1, 2))
    for name, tensor in weights_of(target).items():
        expected = base[name].double() + 0.5 * (a[name] - base[name].double()) + (b[name] - base[name].double())
        torch.testing.assert_close(tensor.double(), expected, rtol=0, atol=1e-7)
    none = export_merged([f"{run}@2"], tmp_path / "none", weights=[0.0], base=str(inputs / "base"))
    assert all(torch.equal(tensor, base[name]) for name, tensor in weights_of(none).items())


def test_several_files_and_pieces_change_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = weights_of(export_merged([f"{run}@1", f"{run}@2"], tmp_path / "whole"))
    monkeypatch.setattr(merge, "LARGEST_FILE", 2048)
    monkeypatch.setattr(merge, "PIECE", 7)
    target = export_merged([f"{run}@1", f"{run}@2"], tmp_path / "split")
    assert len(list(target.glob("model-*.safetensors"))) > 2
    assert all(torch.equal(tensor, whole[name]) for name, tensor in weights_of(target).items())
    loaded = load_model(str(target), device=CPU).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in whole.items())
    again = export_merged([str(target), f"{run}@1"], tmp_path / "again")  # an index is read as well
    assert weights_of(again).keys() == whole.keys()


def test_the_widest_type_is_written(inputs: Path, tmp_path: Path) -> None:
    half = {k: v.bfloat16() for k, v in weights_of(inputs / "base").items()}
    other = copied(inputs / "base", tmp_path / "half", half, dtype="bfloat16")
    target = export_merged([str(other), str(inputs / "base")], tmp_path / "out")
    assert {t.dtype for t in weights_of(target).values()} == {torch.float32}
    assert json.loads((target / "config.json").read_text())["dtype"] == "float32"
    target = export_merged([str(other), str(other)], tmp_path / "both")
    assert {t.dtype for t in weights_of(target).values()} == {torch.bfloat16}
    assert all(torch.equal(tensor, half[name]) for name, tensor in weights_of(target).items())


def test_the_card_says_what_was_merged(run: Path, inputs: Path, tmp_path: Path) -> None:
    target = export_merged([str(run), str(inputs / "teacher")], tmp_path / "soup", weights=[0.7, 0.3])
    text = (target / CARD).read_text()
    assert f"| 0.7 | `{RunReader(run).run_id}` | relift | 2 |" in text and "| 0.3 | `teacher` |  |  |" in text
    assert "arXiv 2203.05482" in text and "weighted mean" in text and str(tmp_path) not in text
    assert str(inputs) not in text and text.startswith(
        "---\nlibrary_name: transformers\ntags: [relift, reasoning, merge]"
    )
    text = (export_merged([str(run)], tmp_path / "one", base=str(inputs / "base")) / CARD).read_text()
    assert "arXiv 2212.04089" in text and "`base`" in text and "Merged of 1 checkpoint " in text


def test_what_cannot_be_merged(run: Path, inputs: Path, tmp_path: Path) -> None:
    base = weights_of(inputs / "base")
    wide = tmp_path / "wide"
    AutoTokenizer.from_pretrained(inputs / "base").save_pretrained(wide)
    LlamaForCausalLM(LlamaConfig.from_pretrained(inputs / "base", intermediate_size=48)).save_pretrained(wide)
    more = copied(inputs / "base", tmp_path / "more", base | {"extra.weight": torch.ones(2)})
    name = next(iter(base))
    broken = copied(inputs / "base", tmp_path / "broken", base | {name: torch.full_like(base[name], torch.inf)})
    quantized = copied(inputs / "base", tmp_path / "quantized", {k: v.to(torch.float8_e4m3fn) for k, v in base.items()})
    other = shutil.copytree(inputs / "base", tmp_path / "tokenizer")
    state = json.loads((other / "tokenizer.json").read_text())
    first, second, *_ = sorted(state["model"]["vocab"], key=state["model"]["vocab"].__getitem__)[-2:] * 2
    vocab = state["model"]["vocab"]
    vocab[first], vocab[second] = vocab[second], vocab[first]
    (other / "tokenizer.json").write_text(json.dumps(state))
    own = str(inputs / "base")
    for names, more_of, words in (
        ([own], {}, "needs two models at least"),
        ([own, own], {"weights": [1.0]}, "1 for 2 models"),
        ([own, own], {"weights": [0.5, 0.4]}, "sum to 0.9"),
        ([own, own], {"weights": [float("nan"), 0.5]}, "not finite"),
        ([own, str(wide)], {}, "differ in intermediate_size"),
        ([own, str(more)], {}, "extra.weight is a weight of one of them alone"),
        ([own, str(broken)], {}, "not finite"),
        ([own, str(quantized)], {}, "quantized"),
        ([own, str(other)], {}, "different tokenizers"),
        ([own, str(tmp_path / "nothing")], {}, "there is no such folder"),
        ([own, f"{run}@7"], {}, "no checkpoint of step 7"),
        ([own, own], {"base": str(wide)}, "differ in intermediate_size"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            export_merged(names, tmp_path / "out", **more_of)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() and not (tmp_path / ".out.partial").exists()
    with pytest.raises(InputError, match="there is something already"):
        export_merged([own, own], wide)
    with pytest.raises(InputError, match="not a training run"):
        export(own, tmp_path / "out")


def test_weights_are_numbers_with_commas() -> None:
    assert parse_weights("0.7,0.3") == [0.7, 0.3] and parse_weights(None) is None
    with pytest.raises(InputError, match="0.7;0.3"):
        parse_weights("0.7;0.3")
