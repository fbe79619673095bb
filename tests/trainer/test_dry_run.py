"""The dry run's estimate, part by part, against what tiny models really allocate on a CPU."""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

from relift.config import preset_names
from relift.engines.tokens import Request, Sampling
from relift.engines.torch_sampler import TorchSampler
from relift.errors import InputError, OutOfMemory
from relift.learner.activations import count_saved, kept_by
from relift.learner.attention import NAME
from relift.learner.head import TokenScores
from relift.learner.learner import Learner
from relift.learner.lora import Adapter, LoraSpec
from relift.learner.losses import sft
from relift.learner.optim import OptimizerSpec
from relift.learner.update import Update
from relift.schema import UpdateKind
from relift.trainer.configuration import load_config
from relift.trainer.dry_run import dry_run, lines_of, model_config_of, require_room
from relift.trainer.dry_run_memory import CHUNK_BUFFERS, GIB, cache_columns, peak, shape_of
from relift.trainer.dry_run_time import forward_flops
from relift.trainer.known_shapes import KNOWN, known_config
from tests.cli.command import relift
from tests.learner.tiny import ARCHITECTURES, component, some_sequences, tiny_model

N_TOKENS = 96
AS_IS = ("model.max_positions=none", "model.rope_theta=none")


def of_part(found: Any, name: str) -> int:
    (part,) = [part for part in found.parts if part.name == name]
    return part.n_bytes


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """A folder with a config.json and nothing else: no weights, no tokenizer."""
    tiny_model(tied=False).config.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_weights_gradient_and_moments_are_what_a_learner_allocates(tiny_folder: Path) -> None:
    sets = ["model.compute=none", "data.max_prompt_tokens=9", "rollout.max_tokens=9", *AS_IS]
    config = load_config("relift", overrides=[f"model.path={tiny_folder}", *sets])
    found = dry_run(config, gpus=1, gpu_gib=8)
    learner = Learner(tiny_model(tied=False), {name: OptimizerSpec(lr=1e-3) for name in ("rl", "sft")})
    for name in ("rl", "sft"):
        learner.forward_backward(Update(UpdateKind.sft, name, (component("c", some_sequences(4), sft(), 9.0),)))
        if name == "rl":
            gradient = sum(p.grad.nbytes for p in learner.model.parameters())
        learner.optim_step(name)
    tensors, _ = learner.state_dict()
    weights = sum(t.nbytes for n, t in tensors.items() if n.startswith("model/"))
    assert of_part(found, "weights") == weights and of_part(found, "gradient") == gradient
    for name in ("rl", "sft"):
        moments = sum(t.nbytes for n, t in tensors.items() if n.startswith(f"optimizer/{name}/"))
        assert of_part(found, f"moments of {name}") == moments == 2 * weights


def test_an_adapter_is_what_a_learner_allocates(tiny_folder: Path) -> None:
    """Frozen weights in bfloat16, adapter, gradient and moments in float32; each to the byte."""
    pytest.importorskip("peft", reason="adapters are peft's: pip install 'relift[lora]'")
    sets = ["model.compute=none", "data.max_prompt_tokens=9", "rollout.max_tokens=9", "lora.rank=4", *AS_IS]
    config = load_config("relift", overrides=[f"model.path={tiny_folder}", *sets])
    found = dry_run(config, gpus=1, gpu_gib=8)
    learner = Learner(
        tiny_model(tied=False), {name: OptimizerSpec(lr=1e-3) for name in ("rl", "sft")}, lora=LoraSpec(4, 8.0, "base")
    )
    learner.forward_backward(Update(UpdateKind.sft, "sft", (component("c", some_sequences(4), sft(), 9.0),)))
    gradient = sum(p.grad.nbytes for p in learner.model.parameters() if p.grad is not None)
    learner.optim_step("sft")
    tensors, _ = learner.state_dict()
    adapter = sum(t.nbytes for n, t in tensors.items() if n.startswith("model/"))
    whole = sum(p.nbytes for p in learner.model.parameters())
    assert of_part(found, "adapter") == of_part(found, "gradient") == gradient == adapter
    assert of_part(found, "weights") + adapter == whole
    moments = sum(t.nbytes for n, t in tensors.items() if n.startswith("optimizer/sft/"))
    assert of_part(found, "moments of sft") == of_part(found, "moments of rl") == moments == 2 * adapter
    plain = dry_run(
        load_config("relift", overrides=[f"model.path={tiny_folder}", *sets[:-3], *AS_IS]), gpus=1, gpu_gib=8
    )
    assert of_part(plain, "weights") == of_part(found, "weights")
    half = load_config("relift", overrides=[f"model.path={tiny_folder}", *sets[1:], "model.dtype=bfloat16"])
    parts = dry_run(half, gpus=2, gpu_gib=8)
    assert 4 * of_part(parts, "weights") == pytest.approx(of_part(found, "weights"), rel=0.05)
    assert 2 * of_part(parts, "adapter") == pytest.approx(adapter, rel=0.05) and of_part(parts, "gathered gradient") > 0


def test_activations_under_an_adapter_are_the_bytes_that_autograd_saves() -> None:
    """Frozen matrices need no inputs of theirs for a gradient; what enters an adapter is kept all the same."""
    pytest.importorskip("peft", reason="adapters are peft's: pip install 'relift[lora]'")
    spec = LoraSpec(4, 8.0, "base", targets=("q_proj",))
    model = tiny_model().eval()
    model.set_attn_implementation(NAME)
    Adapter(model, spec)
    real, whole = count_saved(model, n_tokens=N_TOKENS), kept_by(model.config, dtype=torch.float32, n_tokens=N_TOKENS)
    assert kept_by(model.config, dtype=torch.float32, n_tokens=N_TOKENS, lora=spec) == real
    assert real.whole < whole.whole


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_activations_are_the_bytes_that_autograd_saves(architecture: str, dtype: torch.dtype) -> None:
    """The estimate runs on tensors without numbers; here the same pass saves real ones."""
    model = tiny_model(architecture).to(dtype).eval()
    model.set_attn_implementation(NAME)
    real, estimated = count_saved(model, n_tokens=N_TOKENS), kept_by(model.config, dtype=dtype, n_tokens=N_TOKENS)
    assert estimated == real
    assert real.inputs == 2 * N_TOKENS * 32 * dtype.itemsize  # 2 layers, 32 wide
    assert len(real.layers) == 2 and real.layers[0] > real.layers[1] > 5 * real.inputs / 2  # positions are counted once
    assert real.checkpointed == real.outside + real.inputs + real.layers[0] < real.whole


class LiveBytes(TorchDispatchMode):
    """Count the bytes of the storages that operations made and that are still held; `most` is their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.most, self._known = 0, 0, set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for tensor in tree_iter(output):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self._known:
                self._add(tensor.untyped_storage())
        return output

    def _add(self, storage: Any) -> None:
        key, n_bytes = storage._cdata, storage.nbytes()
        self._known.add(key)
        self.live += n_bytes
        self.most = max(self.most, self.live)
        weakref.finalize(storage, self._drop, key, n_bytes)

    def _drop(self, key: int, n_bytes: int) -> None:
        self._known.discard(key)
        self.live -= n_bytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_heads_buffers_stay_within_the_chunks(dtype: torch.dtype) -> None:
    """64 tokens in 4 chunks of 16 over 2,048 entries: the peak is about that of one chunk, not of all logits."""
    n_tokens, width, vocabulary, tokens = 64, 8, 2048, 16
    hidden, weight = torch.randn(n_tokens, width, dtype=dtype), torch.randn(vocabulary, width, dtype=dtype)
    hidden.requires_grad_(), weight.requires_grad_()
    with LiveBytes() as live:
        logprob, _ = TokenScores.apply(
            hidden, weight, None, torch.arange(n_tokens), 1.0, None, None, tokens * vocabulary
        )
        logprob.sum().backward()
    chunk = 4 * tokens * vocabulary
    beside = 2 * (hidden.nbytes + weight.nbytes)  # their gradients, and what holds the sums
    assert chunk < live.most <= CHUNK_BUFFERS * chunk + beside


def test_keys_and_values_are_what_the_sampler_reserves() -> None:
    model = tiny_model()
    sampler, shape = TorchSampler(model, batch_rows=16), shape_of(model.config)
    sampler.generate([Request(tuple(range(3, 13)), (1,) * 16)], Sampling(max_tokens=54))
    assert shape.cache_elements == 2 * 2 * 2 * 8  # keys and values, layers, heads, width
    assert sampler._cache is not None and sampler._cache.columns == 64
    assert sampler._cache.n_bytes == 16 * 64 * shape.cache_elements * 4
    assert cache_columns(10, 54) == 32 + 64  # it doubles once; old and new are there together
    assert cache_columns(1024, 8192) == 8192 + 9216


def test_floating_point_operations_are_torchs_own_count() -> None:
    """Attention is counted as causal: half of all pairs."""
    model, shape = tiny_model(tied=False), shape_of(tiny_model(tied=False).config)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.zeros(1, N_TOKENS, dtype=torch.long), use_cache=False)
    attention = 4 * 2 * 32 * N_TOKENS * N_TOKENS / 2  # layers, width, queries, keys: not in torch's count on a CPU
    norms = 2 * 5 * 32 * N_TOKENS  # weights that are not multiplied as matrices, 0.01 % of a real model
    assert forward_flops(shape, N_TOKENS, length=N_TOKENS) == counter.get_total_flops() + attention + norms


def test_a_shard_is_cut_along_the_first_axis_and_rounded_up() -> None:
    shape = shape_of(tiny_model().config)
    assert shape.shard_elements(1) == shape.n_parameters == tiny_model().num_parameters()
    by_hand = sum(-(-p.shape[0] // 3) * p[0].numel() for p in tiny_model().parameters())
    assert shape.shard_elements(3) == by_hand > shape.n_parameters / 3


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_passes_without_a_gpu_and_without_weights(name: str, tmp_path: Path) -> None:
    """From the stock configuration as a folder's config.json, and from the table where the hub is out of reach."""
    config = load_config(name)
    stock = known_config(config.model.path)
    stock.save_pretrained(tmp_path)
    of_folder = dry_run(load_config(name, overrides=[f"model.path={tmp_path}"]), gpus=None, gpu_gib=80)
    require_room(of_folder)
    of_table, told = model_config_of(config)
    assert shape_of(of_table) == of_folder.shape and of_folder.gpus <= 8
    assert "table of known shapes" in told and str(tmp_path) in of_folder.shape_from
    assert peak(of_folder.parts) < 80 * GIB and "fits into 80" in "\n".join(lines_of(of_folder))


def test_known_shapes_have_the_parameters_that_their_cards_state() -> None:
    billions = {name: round(shape_of(known_config(name)).n_parameters / 1e9, 2) for name in KNOWN}
    assert billions == {
        "Qwen/Qwen2.5-Math-1.5B": 1.54, "Qwen/Qwen2.5-Math-7B": 7.62, "Qwen/Qwen2.5-7B-Instruct": 7.62
    }  # fmt: skip
    assert known_config("Qwen/Qwen9") is None


def test_the_number_of_gpus_and_what_to_lower(tiny_folder: Path) -> None:
    stock = load_config("relift", overrides=["model.path=Qwen/Qwen2.5-Math-7B", "rollout.batch_rows=256"])
    found = dry_run(stock, gpus=8, gpu_gib=80)
    with pytest.raises(OutOfMemory, match=r"GiB needed of 80 on each of 8 GPUs.*lower rollout.batch_rows") as caught:
        require_room(found)
    assert caught.value.exit_status == 4
    with pytest.raises(InputError, match="4096 tokens.*model.max_positions"):
        dry_run(load_config("relift", overrides=["model.max_positions=none"]), gpus=1, gpu_gib=80)


def test_a_teacher_is_a_second_model(tiny_folder: Path) -> None:
    """A recipe that distills needs one, and its weights lie beside the learner's."""
    sets = [f"model.path={tiny_folder}", *AS_IS, "rollout.max_tokens=64", "data.max_prompt_tokens=32"]
    with pytest.raises(InputError, match="set teacher.path"):
        dry_run(load_config("relift", overrides=[*sets, "recipe=opd"]), gpus=1, gpu_gib=8)
    config = load_config("relift", overrides=[*sets, "recipe=opd", f"teacher.path={tiny_folder}"])
    found = dry_run(config, gpus=2, gpu_gib=8)
    assert of_part(found, "teacher's weights") == of_part(found, "weights")


def test_the_command(tmp_path: Path, tiny_folder: Path) -> None:
    """Nothing is written; a model that nobody can look up, and a demand for too little memory, are one line each."""
    names = [f"model.path={tiny_folder}", *AS_IS]
    sets = [x for n in [*names, "rollout.max_tokens=64", "data.max_prompt_tokens=32"] for x in ("--set", n)]
    ended = relift("train", "relift", "--dry-run", "--out", tmp_path / "run", *sets)
    assert ended.status == 0 and "memory of each of 1 GPUs" in ended.out and "data: not checked" in ended.out
    assert not (tmp_path / "run").exists()
    small = relift("train", "relift", "--dry-run", "--gpus", "1", "--gpu-memory", "0.001", *sets)
    assert small.status == 4 and "GiB needed of 0" in small.err and len(small.err.splitlines()) == 1
    unknown = relift("train", "relift", "--dry-run", "--set", "model.path=nobody/nothing")
    assert unknown.status == 2 and "nobody/nothing" in unknown.err


def test_data_is_read_and_checked(tmp_path: Path) -> None:
    """Refuse what a run would refuse, and count what it would train on."""
    from tests.test_prompts import make_tokenizer

    folder = tmp_path / "model"
    folder.mkdir()
    tokenizer = make_tokenizer(folder)
    values = tiny_model().config.to_dict() | {"vocab_size": len(tokenizer), "max_position_embeddings": 512}
    (folder / "config.json").write_text(json.dumps(values))
    rows = [{"problem": f"{n} + 1?", "answer": str(n + 1), "demonstration": f"\\boxed{{{n + 1}}}"} for n in range(8)]
    questions = tmp_path / "q.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sets = [f"model.path={folder}", f"data.questions={questions}", "rollout.questions_per_step=4", "sft.batch=4",
            "rollout.max_tokens=64", *AS_IS, "data.prompt=plain",
            "rl.updates_per_batch=1"]  # fmt: skip
    found = dry_run(load_config("relift", overrides=sets), gpus=1, gpu_gib=1)
    assert any(line.startswith("questions: 8 to train on") for line in found.checks), found.checks
    assert any(line.startswith("demonstrations: 8 of 8 can be trained on") for line in found.checks)
    assert found.load.prompt_tokens < 64 and np.isfinite(peak(found.parts))
    with pytest.raises(InputError, match="fewer than rollout.questions_per_step"):
        dry_run(load_config("relift", overrides=[*sets, "rollout.questions_per_step=9"]), gpus=1, gpu_gib=1)
