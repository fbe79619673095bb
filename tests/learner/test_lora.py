"""Adapters on a frozen base: peft's own layers, files, merge and gradients are what they are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from relift.engines.adapters import ADAPTER_WEIGHTS
from relift.engines.tokens import Request, Sampling
from relift.engines.torch_sampler import TorchSampler
from relift.errors import InputError
from relift.learner.learner import Learner
from relift.learner.lora import LoraSpec, name_in_file, name_in_model
from relift.learner.losses import sft
from relift.learner.update import TrainSequence, Update
from relift.schema import UpdateKind
from tests.learner.tiny import component, gradients, some_sequences, tiny_model
from tests.learner.two_processes import SPECS, train

peft = pytest.importorskip("peft", reason="adapters are peft's: pip install 'relift[lora]'")
# peft's PeftModel asks transformers for a name that 5.23 has deprecated; ours does without PeftModel.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

SPEC = LoraSpec(rank=4, alpha=8.0, base="base", seed=3)
MATRICES = 7  # q, k, v, o, gate, up, down


def adapted(model: Any, spec: LoraSpec = SPEC, **settings: Any) -> Learner:
    return Learner(model, SPECS, token_budget=60, lora=spec, **settings)


def saved(learner: Learner, folder: Path) -> Path:
    """Write the adapter as a checkpoint has it."""
    folder.mkdir(exist_ok=True)
    assert learner.adapter is not None
    tensors = {n.removeprefix("model/"): t for n, t in learner.state_dict()[0].items() if n.startswith("model/")}
    learner.adapter.save(folder, tensors)
    return folder


def test_the_first_version_is_the_base_and_the_base_stays() -> None:
    base = {name: tensor.clone() for name, tensor in tiny_model(tied=False).state_dict().items()}
    learner = adapted(tiny_model(tied=False))
    first = learner.score(some_sequences(4))
    merged = learner.model_state_dict()
    assert merged.keys() == base.keys() and all(torch.equal(merged[n], base[n]) for n in base)
    train(learner, range(4))
    merged = learner.model_state_dict()
    changed = {name for name in base if not torch.equal(merged[name], base[name])}
    assert changed == {name for name in base if "_proj." in name} and len(changed) == 2 * MATRICES
    for name, tensor in learner.model.state_dict().items():
        if ".lora_" not in name:
            assert torch.equal(tensor, base[name.replace(".base_layer.", ".")]), name
    reference = learner.score_reference(some_sequences(4))  # the adapter off: the base, bit for bit
    assert all(np.array_equal(a, b) for a, b in zip(reference, first, strict=True))
    assert not np.array_equal(learner.score(some_sequences(4))[0], first[0]), "and it is on again"


def test_gradient_and_moments_are_of_the_adapter_alone() -> None:
    learner = adapted(tiny_model())
    train(learner, range(1))
    tensors, _ = learner.state_dict()
    names = {name for name in tensors if name.startswith("model/")}
    assert len(names) == 2 * 2 * MATRICES and all(".lora_A." in n or ".lora_B." in n for n in names)
    moments = {n for n in tensors if n.startswith("optimizer/")}
    assert len(moments) == 2 * len(names)  # of the one optimizer that has stepped


def test_gradients_are_those_of_pefts_own_model() -> None:
    """One sequence of fine-tuning through transformers' and peft's code, with autograd's own head."""
    learner = adapted(tiny_model())
    for name, parameter in learner.model.named_parameters():  # B is 0 at first, and so would A's gradient be
        if "lora_B" in name:
            parameter.data.normal_(generator=torch.Generator().manual_seed(len(name)))
    theirs = peft.get_peft_model(
        tiny_model(), peft.LoraConfig(r=4, lora_alpha=8.0, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    own = {name_in_file(name): p for name, p in learner.model.named_parameters() if p.requires_grad}
    peft.set_peft_model_state_dict(theirs, {name: p.detach().clone() for name, p in own.items()})
    sequence = TrainSequence((3, 4, 5), np.array([6, 7, 8, 9], np.int32))
    learner.forward_backward(Update(UpdateKind.sft, "sft", (component("demo", (sequence,), sft(), 4.0),)))
    ids = torch.tensor([[3, 4, 5, 6, 7, 8, 9]])
    labels = torch.tensor([[-100, -100, -100, 6, 7, 8, 9]])
    theirs(input_ids=ids, labels=labels).loss.backward()  # a mean over the 4 tokens of the completion
    expected = {name.replace(".default.", "."): p.grad for name, p in theirs.named_parameters() if p.requires_grad}
    mine = {name_in_file(name): grad for name, grad in gradients(learner).items()}
    assert mine.keys() == expected.keys()
    for name, grad in mine.items():
        torch.testing.assert_close(grad, expected[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_peft_loads_the_files_and_merges_to_the_same_bits(architecture: str, tmp_path: Path) -> None:
    """Qwen2 has biases beside its matrices; SPEC's ratio alpha / rank is 2."""
    learner = adapted(tiny_model(architecture))
    train(learner, range(4))
    folder = saved(learner, tmp_path / "adapter")
    theirs = peft.PeftModel.from_pretrained(tiny_model(architecture), str(folder)).merge_and_unload().state_dict()
    merged = learner.model_state_dict()
    assert merged.keys() == theirs.keys()
    assert all(torch.equal(merged[name], theirs[name]) for name in merged)
    names = list(load_file(folder / ADAPTER_WEIGHTS))
    assert all(name_in_file(name_in_model(name)) == name for name in names)


def test_the_sampler_takes_merged_weights_and_gives_the_learners_numbers() -> None:
    model = tiny_model()
    sampler, learner = TorchSampler(model, batch_rows=16), adapted(model)
    train(learner, range(4))
    sampler.publish(learner.model_state_dict(), version=4)
    ((answer, *_),) = sampler.generate([Request((3, 4, 5), (1,) * 16)], Sampling(max_tokens=12))
    (scored,) = learner.score([TrainSequence((3, 4, 5), answer.token_ids_T)])
    np.testing.assert_allclose(scored, answer.logprobs_T, atol=1e-5)


def test_named_targets_and_what_is_none() -> None:
    learner = adapted(tiny_model(), LoraSpec(2, 4.0, "base", targets=("q_proj", "v_proj")))
    assert {n.split(".")[-4] for n in gradients_of(learner)} == {"q_proj", "v_proj"}
    with pytest.raises(InputError, match="lora.targets: no adapter can be put into LlamaForCausalLM: Target modules"):
        adapted(tiny_model(), LoraSpec(2, 4.0, "base", targets=("qproj",)))
    for end in ("lm_head", "embed_tokens"):
        with pytest.raises(InputError, match=f"lora.targets: .*{end} of LlamaForCausalLM is no linear layer between"):
            adapted(tiny_model(tied=False), LoraSpec(2, 4.0, "base", targets=(end,)))


def gradients_of(learner: Learner) -> list[str]:
    train(learner, range(1))
    return [name.removeprefix("model/") for name in learner.state_dict()[0] if name.startswith("model/")]


def test_the_seed_decides_a_and_moves_no_state() -> None:
    a, b, c = (adapted(tiny_model(), LoraSpec(4, 8.0, "base", seed=seed)).state_dict()[0] for seed in (1, 1, 2))
    name = next(name for name in a if "lora_A" in name)
    assert torch.equal(a[name], b[name]) and not torch.equal(a[name], c[name])
    model = tiny_model()
    before = torch.get_rng_state()
    adapted(model)
    assert torch.equal(torch.get_rng_state(), before)
