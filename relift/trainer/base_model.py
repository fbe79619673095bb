"""The base model as a configuration names it; how checkpoints are read stands in relift/engines/hf_model.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from relift.config import Config
from relift.engines import hf_model as checkpoint
from relift.engines.hf_model import context_of as context_of
from relift.fingerprints import files_fingerprint

_OPTION = "model.path = "


def load_tokenizer(config: Config) -> tuple[Any, Any]:
    """Tokenizer and model configuration of the base; InputError when they cannot be had."""
    return checkpoint.load_tokenizer(config.model.path, revision=config.model.revision, option=_OPTION)


def stop_tokens(tokenizer: Any, config: Config) -> tuple[int, ...]:
    """Tokens that end an answer, the tokenizer's own first: with that one a demonstration is closed."""
    return checkpoint.stop_tokens(tokenizer, config.model.path, revision=config.model.revision, option=_OPTION)


def load_model(config: Config) -> Any:
    """The base model's weights, safetensors only, on the run's device."""
    return checkpoint.load_model(
        config.model.path,
        revision=config.model.revision,
        dtype=config.model.dtype,
        device=device_of(config),
        option=_OPTION,
    )


def device_of(config: Config) -> torch.device:
    """Where the run computes. Raises InputError when there is no such device."""
    return checkpoint.device_of(config.model.device, option="model.device = ")


def write_model(model: Any, tokenizer: Any, folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """A transformers checkpoint of these weights."""
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)


def model_fingerprint(config: Config) -> str:
    """Contents of the base model's folder, weights and configuration; of a hub model its name and revision."""
    base = Path(config.model.path)
    if base.is_dir():
        return files_fingerprint(base, ("*.safetensors", "config.json"))
    return f"{config.model.path}@{config.model.revision}"
