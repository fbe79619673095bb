"""Count the bytes that a forward pass keeps for its backward pass, without computing or allocating anything.

The model runs on fake tensors (torch's FakeTensorMode), which have shapes and no numbers, through the learner's own
attention and head. What autograd saves is counted once per memory, parameters left out. A GPU's kernels keep what the
CPU's do, but for keys and values of shared heads, which a CPU may repeat: the count then lies a little above.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoModelForCausalLM

from relift.engines.first_layers import layers_of
from relift.learner.attention import NAME
from relift.learner.head import CHUNK_ELEMENTS
from relift.learner.lora import Adapter, LoraSpec
from relift.learner.model import LogprobModel, run
from relift.learner.packing import lay_out
from relift.learner.update import TrainSequence

PROMPT = 8  # tokens of the sequence that is counted; all others are its completion


@dataclass(frozen=True)
class Kept:
    """Bytes that one micro-batch keeps until its backward pass."""

    outside: int  # beside the layers: embedding, positions, head
    layers: tuple[int, ...]  # each layer
    inputs: int  # the inputs of all layers: what is left of them under checkpointing

    @property
    def whole(self) -> int:
        return self.outside + sum(self.layers)

    @property
    def checkpointed(self) -> int:
        """Count with every layer computed twice: all inputs, and one layer at a time."""
        return self.outside + self.inputs + max(self.layers, default=0)


def kept_by(
    model_config: Any,
    *,
    dtype: torch.dtype,
    n_tokens: int,
    head_chunk: int | None = None,
    lora: LoraSpec | None = None,
) -> Kept:
    """Count what a micro-batch of one sequence of so many tokens keeps when it is computed in `dtype`. `lora`: with an
    adapter on frozen weights."""
    with torch.device("meta"):  # peft cannot move fake tensors
        model = AutoModelForCausalLM.from_config(copy.deepcopy(model_config), dtype=dtype).eval()
        if lora is not None:
            Adapter(model, lora, dtype=dtype)  # the type in which FSDP2 hands it to the layers
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cpu")
        model.tie_weights()
        model.set_attn_implementation(NAME)
        return count_saved(model, n_tokens=n_tokens, head_chunk=head_chunk)


def count_saved(model: Any, *, n_tokens: int, head_chunk: int | None = None) -> Kept:
    """Count what the forward pass of this model saves, whose attention is the packed one already."""
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    seen: dict[int, tuple[int, int, torch.Tensor]] = {}  # storage -> layer, bytes, and a hold on it: none is reused
    layers, current, inputs = layers_of(model), [-1], [0]

    def enter(number: int, layer: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        current[0] = number
        hidden = arguments[0] if arguments else keywords["hidden_states"]
        inputs[0] += hidden.numel() * hidden.element_size()

    def leave(module: Any, arguments: Any, output: Any) -> None:
        current[0] = -1

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            seen.setdefault(storage._cdata, (current[0], storage.nbytes(), tensor))
        return tensor

    hooks = [layer.register_forward_hook(leave) for layer in layers]
    for number, layer in enumerate(layers):
        hooks.append(layer.register_forward_pre_hook(partial(enter, number), with_kwargs=True))
    sequence = TrainSequence(tuple(range(PROMPT)), np.zeros(n_tokens + 1 - PROMPT, np.int32))
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            run(
                LogprobModel(model, chunk_elements=head_chunk or CHUNK_ELEMENTS),
                lay_out([sequence], [0]),
                torch.device("cpu"),
                temperature_S=np.ones(1),
                entropy_grad=False,
            )
    finally:
        for hook in hooks:
            hook.remove()
    by_layer = [0] * len(layers)
    for number, n_bytes, _ in seen.values():
        if number >= 0:
            by_layer[number] += n_bytes
    outside = sum(n_bytes for number, n_bytes, _ in seen.values() if number < 0)
    return Kept(outside, tuple(by_layer), inputs[0])
