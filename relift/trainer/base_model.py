"""Load the base model that a configuration names; checkpoints are read by relift/engines/hf_model.py."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from relift.config import Config
from relift.engines import hf_model as checkpoint
from relift.engines.context import Positions
from relift.errors import InputError
from relift.fingerprints import files_fingerprint
from relift.learner.lora import LoraSpec

OPTION = "model.path = "


def load_tokenizer(config: Config) -> tuple[Any, Any]:
    """Load tokenizer and model configuration of the base. Raises InputError when they cannot be had."""
    return checkpoint.load_tokenizer(
        config.model.path, revision=config.model.revision, positions=positions_of(config), option=OPTION
    )


def load_model_config(config: Config) -> Any:
    """Load the base's configuration alone, its positions as configured. Raises InputError when it cannot be had."""
    return checkpoint.load_model_config(
        config.model.path, revision=config.model.revision, positions=positions_of(config), option=OPTION
    )


def positions_of(config: Config) -> Positions:
    """Read from the configuration how the base model's positions are changed."""
    return Positions(config.model.max_positions, config.model.rope_theta)


def stop_tokens(tokenizer: Any, config: Config, *, vocab: int | None = None) -> tuple[int, ...]:
    """List the tokens that end an answer, the tokenizer's own first: with that one a demonstration is closed. `vocab`:
    tokens of the model, outside of which none may lie."""
    return checkpoint.stop_tokens(
        tokenizer,
        config.model.path,
        revision=config.model.revision,
        more=config.rollout.stop_tokens,
        vocab=vocab,
        option=OPTION,
    )


def load_model(config: Config) -> Any:
    """Load the base model's weights, safetensors only, onto the run's device."""
    return checkpoint.load_model(
        config.model.path,
        revision=config.model.revision,
        dtype=config.model.dtype,
        device=device_of(config),
        positions=positions_of(config),
        option=OPTION,
    )


def device_of(config: Config) -> torch.device:
    """Find the device on which the run computes. Raises InputError when there is no such device."""
    return checkpoint.device_of(config.model.device, option="model.device = ")


def compute_dtype(config: Config) -> torch.dtype:
    """Find the type that learner and torch sampler compute in."""
    dtype: torch.dtype = getattr(torch, config.model.compute or config.model.dtype)
    return dtype


def checkpoints_activations(config: Config, device: torch.device) -> bool:
    """Say whether layers are computed twice to keep their inputs alone: as configured, else on CUDA."""
    chosen = config.model.checkpoint_activations
    return device.type == "cuda" if chosen is None else chosen


def lora_spec(config: Config) -> LoraSpec | None:
    """Describe the adapter that is trained; None: all weights are. Raises InputError for one without a rank."""
    lora, base = config.lora, Path(config.model.path)
    if lora.rank is None:
        unused = [name for name, value in lora if value is not None]
        if unused:
            raise InputError(f"lora.{unused[0]}: there is no adapter without lora.rank: set it, or leave this out")
        return None
    return LoraSpec(
        rank=lora.rank,
        alpha=2.0 * lora.rank if lora.alpha is None else lora.alpha,
        base=str(base.absolute()) if base.is_dir() else config.model.path,
        revision=config.model.revision,
        targets=lora.targets,
        seed=config.seed,
    )


def write_model(model: Any, tokenizer: Any, folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write a transformers checkpoint of these weights."""
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)


def write_config(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write what a transformers checkpoint has beside its weights, as save_pretrained does."""
    described = copy.deepcopy(model.config)
    name = type(model).__name__.removeprefix("FSDP")  # a sharded model's class is called FSDPLlamaForCausalLM
    described.architectures, described.dtype = [name], model.dtype
    described.save_pretrained(folder)
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def model_fingerprint(config: Config) -> str:
    """Identify the base model: a folder by its weights and configuration, a hub model by name and revision."""
    base = Path(config.model.path)
    if base.is_dir():
        return files_fingerprint(base, ("*.safetensors", "config.json"))
    return f"{config.model.path}@{config.model.revision}"
