"""Estimate what a run needs on each GPU, part by part, before anything is loaded.

Weights, gradient and moments are counted exactly from the shapes of the parameters, activations from a pass on fake
tensors (relift.learner.activations). Buffers of a pass, and RESERVE, are rules stated beside their numbers.

Axes: V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM

from relift.config import Config
from relift.engines.first_layers import layers_of
from relift.engines.kv_cache import COLUMN_MULTIPLE, round_up
from relift.learner.activations import Kept
from relift.learner.head import CHUNK_ELEMENTS_CUDA
from relift.learner.lora import Adapter, LoraSpec

GIB = 2**30
RESERVE = 0.06  # of a GPU: CUDA's context, workspaces of matrix products, what the allocator cannot use
CHUNK_BUFFERS = 4  # float32 copies of a chunk of logits at a time, counted in the head's backward pass
DECODE_BUFFERS = 3  # float32 copies of a step's logits in the torch sampler

Phase = Literal["always", "learning", "sampling"]


@dataclass(frozen=True)
class Part:
    """One part of the memory of a GPU, in bytes, and when it is there."""

    name: str
    n_bytes: int
    phase: Phase
    how: str


@dataclass(frozen=True)
class Trained:
    """Sizes of a set of parameters and of how it is spread over layers."""

    parameter_shapes: Mapping[str, torch.Size]
    n_layers: int
    layer_elements: int  # of the largest layer
    root_elements: int  # of what belongs to no layer: embedding, head, last norm

    @property
    def n_parameters(self) -> int:
        return sum(shape.numel() for shape in self.parameter_shapes.values())

    def shard_elements(self, world_size: int) -> int:
        """Count the elements of one process's part: FSDP2 cuts the first axis, rounded up."""
        shapes = self.parameter_shapes.values()
        return sum(-(-(s[0] if s else 1) // world_size) * (s[1:].numel() if s else 1) for s in shapes)


@dataclass(frozen=True)
class Shape(Trained):
    """Sizes of a model, and what one token takes in a cache of keys and values."""

    embedding_elements: int  # of the input embedding: looked up, never multiplied, unless it is the head too
    cache_elements: int  # keys and values of one token in all layers
    attention_width: int  # query heads times their width
    vocabulary: int

    @property
    def multiplied(self) -> int:
        """Count the parameters that every token is multiplied with."""
        return self.n_parameters - self.embedding_elements


def shape_of(model_config: Any) -> Shape:
    """Read the sizes of a model from its configuration, on the meta device: nothing is allocated."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(model_config)
    layers = layers_of(model)
    sizes = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    shapes = {name: p.shape for name, p in model.named_parameters()}
    text = model_config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    return Shape(
        shapes,
        len(layers),
        max(sizes, default=0),
        sum(s.numel() for s in shapes.values()) - sum(sizes),
        0 if tied else model.get_input_embeddings().weight.numel(),
        2 * int(text.num_hidden_layers) * heads * width,
        int(text.num_attention_heads) * width,
        int(text.vocab_size),
    )


def adapter_shape_of(model_config: Any, spec: LoraSpec) -> Trained:
    """Read the sizes of an adapter, on the meta device. Raises InputError where there is none such."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(model_config)
        layers = layers_of(model)
        shapes = {name: p.shape for name, p in Adapter(model, spec).parameters().items()}
    sizes = [sum(p.numel() for p in layer.parameters() if p.requires_grad) for layer in layers]
    outside = sum(shape.numel() for shape in shapes.values()) - sum(sizes)
    return Trained(shapes, len(layers), max(sizes, default=0), outside)


@dataclass(frozen=True)
class Load:
    """Describe what is asked of one GPU at once."""

    n_tokens: int  # input tokens of the largest micro-batch
    prompt_tokens: int  # the longest prompt
    answer_tokens: int  # the longest answer


def parts_of(
    config: Config, shape: Shape, load: Load, *, optimizers: Sequence[str], kept: Kept, gpus: int, gpu_bytes: int,
    teacher: Shape | None = None, adapter: Trained | None = None,
) -> list[Part]:  # fmt: skip
    """List the memory of one of `gpus` GPUs, part by part. `teacher`: a second model that scores answers; `adapter`:
    what is trained in place of the weights."""
    own, compute = _size(config.model.dtype), _size(config.model.compute or config.model.dtype)
    shard = shape.shard_elements(gpus)
    layer, root = shape.layer_elements, shape.root_elements  # of what has a gradient
    parts = [Part("weights", shard * own, "always", f"{config.model.dtype}, 1/{gpus} of {shape.n_parameters:,}")]
    trained, width, dtype = shard, own, config.model.dtype
    if adapter is not None:
        trained, width, dtype = adapter.shard_elements(gpus), 4, "float32"
        layer, root = adapter.layer_elements, adapter.root_elements
        how = f"float32, 1/{gpus} of {adapter.n_parameters:,}; the weights are frozen (lora.rank)"
        parts.append(Part("adapter", trained * width, "always", how))
    parts.append(Part("gradient", trained * width, "always", f"{dtype}, kept from its first micro-batch on"))
    for name in optimizers:
        where = "on the CPU (runtime.offload_moments)" if config.runtime.offload_moments else "AdamW, two a weight"
        n_bytes = 0 if config.runtime.offload_moments else 2 * trained * width
        parts.append(Part(f"moments of {name}", n_bytes, "always", where))
    if teacher is not None:
        how = f"{config.model.dtype}, 1/{gpus} of {teacher.n_parameters:,}"
        parts.append(Part("teacher's weights", teacher.shard_elements(gpus) * own, "always", how))
    if gpus > 1 or compute != own or (adapter is not None and compute != 4):
        gathered = shape.root_elements + 2 * shape.layer_elements + (2 * layer if adapter is not None else 0)
        how = "embedding, head and two layers, whole, in the type of computing"
        parts.append(Part("gathered weights", gathered * compute, "learning", how))
        n_bytes = (root + layer) * (compute + 4)
        parts.append(Part("gathered gradient", n_bytes, "learning", "of the same but one layer, and in float32"))
    if gpus > 1 and config.runtime.sync_gradients == "last":
        whole = (adapter or shape).n_parameters
        parts.append(Part("whole gradient", 4 * whole, "learning", 'runtime.sync_gradients = "last"'))
    parts.append(activations(config, kept, load))
    parts.append(
        Part("chunk of logits", chunk_bytes(config, shape, load), "learning", f"{CHUNK_BUFFERS} buffers in float32")
    )
    return parts + sampler_parts(config, shape, load, compute=compute, gpu_bytes=gpu_bytes)


def activations(config: Config, kept: Kept, load: Load) -> Part:
    """Make the part of the activations, and say what it would be the other way."""
    checkpointed = config.model.checkpoint_activations is not False  # None: on CUDA
    used, other = (kept.checkpointed, kept.whole) if checkpointed else (kept.whole, kept.checkpointed)
    way = "inputs of the layers and one layer" if checkpointed else "all layers"
    word = "without" if checkpointed else "with"
    how = f"{way}, {load.n_tokens:,} tokens; {word} model.checkpoint_activations {other / GIB:,.1f} GiB"
    return Part("activations", used, "learning", how)


def chunk_of(config: Config) -> int:
    """Find how many logits are computed at a time on a GPU."""
    return config.runtime.head_chunk or CHUNK_ELEMENTS_CUDA


def chunk_bytes(config: Config, shape: Shape, load: Load) -> int:
    """Count the buffers of the head: no more tokens than there are."""
    tokens = min(max(1, chunk_of(config) // shape.vocabulary), load.n_tokens)
    return CHUNK_BUFFERS * 4 * tokens * shape.vocabulary


def sampler_parts(config: Config, shape: Shape, load: Load, *, compute: int, gpu_bytes: int) -> list[Part]:
    """List what sampling takes on the learner's GPUs."""
    if config.rollout.engine == "server":
        return []
    if config.rollout.engine == "vllm":
        if config.vllm.gpus is not None:
            return []
        how = f"vllm.gpu_memory = {config.vllm.gpu_memory}: its weights, keys and values"
        return [Part("vLLM", int(config.vllm.gpu_memory * gpu_bytes), "sampling", how)]
    rows = config.rollout.batch_rows
    columns = cache_columns(load.prompt_tokens, load.answer_tokens)
    cache = rows * columns * shape.cache_elements * compute
    logits = DECODE_BUFFERS * 4 * rows * shape.vocabulary
    return [
        Part("sampler's weights", shape.n_parameters * compute, "always", "a whole copy in the type of computing"),
        Part("keys and values", cache, "sampling", f"{rows} rows (rollout.batch_rows), old and new while growing"),
        Part("logits of a step", logits, "sampling", f"{DECODE_BUFFERS} buffers in float32"),
    ]


def cache_columns(prompt_tokens: int, answer_tokens: int) -> int:
    """Count the columns of the torch sampler's cache at its largest: it doubles, and the old one is there meanwhile."""
    full = round_up(prompt_tokens + answer_tokens, COLUMN_MULTIPLE)
    columns = most = round_up(max(prompt_tokens, COLUMN_MULTIPLE), COLUMN_MULTIPLE)
    while columns < full:
        grown = min(2 * columns, full)
        columns, most = grown, max(most, columns + grown)
    return most


def peak(parts: Sequence[Part]) -> int:
    """Add up the larger of the two phases: learner and sampler take turns."""
    totals = {phase: sum(p.n_bytes for p in parts if p.phase == phase) for phase in ("always", "learning", "sampling")}
    return totals["always"] + max(totals["learning"], totals["sampling"])


def fits(parts: Sequence[Part], gpu_bytes: int) -> bool:
    """Say whether the peak leaves RESERVE of the GPU free."""
    return peak(parts) <= (1 - RESERVE) * gpu_bytes


def _size(dtype: str) -> int:
    size: int = getattr(torch, dtype).itemsize
    return size
