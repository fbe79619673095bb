"""Train low-rank adapters on a frozen model (LoRA, arXiv 2106.09685), with peft's layers and in peft's files.

A layer's weight W [out, in] gives way to W + alpha / rank * B A, A [rank, in] random and B [out, rank] 0 at first, so
that the first version is the base. Only A and B have gradient and moments, in float32 whatever the base's type.

Several processes hold rows of W and the same rows of B (FSDP2 cuts both alike): each adds up its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from relift.engines.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, require_peft
from relift.errors import InputError
from relift.learner.distributed import full, like, local, with_layout

NAME = "default"  # peft's own name of the one adapter of a model
PREFIX = "base_model.model."  # before every name in peft's files


@dataclass(frozen=True)
class LoraSpec:
    """Describe an adapter. `targets`: names of linear layers, as in q_proj; None: all but the head. `base`: path or hub
    id, for whoever loads the files. `seed`: of the random A."""

    rank: int
    alpha: float
    base: str
    revision: str | None = None  # of the base on the hub
    targets: tuple[str, ...] | None = None
    seed: int = 0


class Adapter:
    """Hold the adapter of a model, which it has put there: weights of the base stay as they are from then on."""

    def __init__(self, model: Any, spec: LoraSpec, *, dtype: torch.dtype = torch.float32) -> None:
        """Put the adapter, of this type, into the model.

        Raises InputError where peft is missing, or the model has no such layers.
        """
        peft = require_peft("lora.rank")
        self._model = model
        self._config = peft.LoraConfig(
            r=spec.rank,
            lora_alpha=spec.alpha,
            lora_dropout=0.0,  # scores of training would not be the sampler's
            target_modules="all-linear" if spec.targets is None else list(spec.targets),
            task_type="CAUSAL_LM",
            base_model_name_or_path=spec.base,
            revision=spec.revision,
        )
        device = next(model.parameters()).device
        model.requires_grad_(requires_grad=False)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(spec.seed)  # every process draws the same A, and nobody else's state moves
            try:
                peft.inject_adapter_in_model(self._config, model, low_cpu_mem_usage=device.type == "meta")
            except ValueError as error:
                words = " ".join(str(error).split())[:200]
                raise InputError(f"lora.targets: no adapter can be put into {type(model).__name__}: {words}") from None
        from peft.tuners.lora import LoraLayer

        self._layers = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
        odd = [name for name, module in self._layers.items() if not _is_linear(module, model)]
        if odd:
            raise InputError(
                f"lora.targets: {odd[0]} of {type(model).__name__} is no linear layer between embedding and head; name "
                "layers such as q_proj"
            )
        for parameter in self.parameters().values():
            if parameter.dtype != dtype:  # peft makes it in the base's
                parameter.data = parameter.data.to(dtype)

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """Give A and B of every layer, by the model's names for them."""
        return {name: p for name, p in self._model.named_parameters() if p.requires_grad}

    @contextmanager
    def off(self) -> Iterator[None]:
        """Let the model be its base, bit for bit, as long as this lasts."""
        for layer in self._layers.values():
            layer.set_scale(NAME, 0.0)
        try:
            yield
        finally:
            for layer in self._layers.values():
                layer.set_scale(NAME, 1.0)

    def merged(self) -> dict[str, torch.Tensor]:
        """Give the weights of a plain model that does the same, by its own names; every process must call.

        Merged matrices are copies on the CPU, rounded to the base's type; others as in Learner.model_state_dict.
        """
        plain: dict[str, torch.Tensor] = {}
        for name, tensor in self._model.state_dict().items():
            layer_name, inside, key = name.rpartition(".base_layer.")
            if inside and layer_name in self._layers:
                layer = self._layers[layer_name]
                weight = tensor.detach()
                plain[f"{layer_name}.{key}"] = self._merged_weight(layer, weight) if key == "weight" else full(tensor)
            elif f".{NAME}." not in name or name.partition(".lora_")[0] not in self._layers:
                plain[name] = full(tensor)
        return plain

    @torch.no_grad()
    def _merged_weight(self, layer: Any, weight: torch.Tensor) -> torch.Tensor:
        a, b = layer.lora_A[NAME].weight.detach(), layer.lora_B[NAME].weight.detach()
        if layer.fan_in_fan_out:  # GPT-2 keeps W the other way round, so its rows are not those of B
            delta = local(like((full(b) @ full(a)).T.contiguous(), weight.float()))
        else:
            delta = local(b) @ full(a).to(b.device)
        part = (local(weight).float() + delta * layer.scaling[NAME]).to(weight.dtype)
        return full(with_layout(part, weight)).cpu()

    def save(self, folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write the files that peft's PeftModel.from_pretrained reads; `tensors` by the model's names, whole."""
        values = self._config.to_dict()
        plain = {name: sorted(value) if isinstance(value, set) else value for name, value in values.items()}
        plain |= {"inference_mode": True}
        (folder / ADAPTER_CONFIG).write_text(json.dumps(plain, indent=2, sort_keys=True), encoding="utf-8")
        files = {name_in_file(name): tensor.contiguous() for name, tensor in tensors.items()}
        save_file(files, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})


def name_in_file(name: str) -> str:
    """Turn a parameter's name in the model into the one that peft's files have."""
    return PREFIX + name.replace(f".{NAME}.", ".")


def name_in_model(name: str) -> str:
    """Turn a name of peft's files into the parameter's in the model."""
    return name.removeprefix(PREFIX).removesuffix(".weight") + f".{NAME}.weight"


def _is_linear(layer: Any, model: Any) -> bool:
    """Say whether the layer multiplies by a matrix, and is neither the head nor the embedding."""
    inner = layer.get_base_layer()
    ends = (model.get_output_embeddings(), model.get_input_embeddings())
    return NAME in layer.lora_A and inner.weight.ndim == 2 and not any(end is layer for end in ends)
