"""Load the base of several processes so that each reads its own rows of every matrix and none holds the whole.

The model is built without memory for its parameters (torch's meta device); the learner shards it and reads the pieces
from the files. An engine in the learner's own process needs a whole copy anyway, so that is for vLLM and servers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from relift.config import Config
from relift.engines import hf_model
from relift.engines.checkpoint_files import require_fitting_size
from relift.fingerprints import files_in
from relift.learner.distributed import world
from relift.trainer.base_model import OPTION, load_model, load_model_config
from relift.trainer.tensor_files import StoredTensor, TensorFiles

Stored = dict[str, StoredTensor]  # by the model's names


def load_base(config: Config) -> tuple[Any, Stored | None]:
    """Load the base model whole onto the run's device; or without its weights, and give the files that hold them.

    The latter is for several processes beside another engine than torch's, where all weights are trained. Raises
    InputError when it cannot be had.
    """
    if world()[1] == 1 or config.rollout.engine == "torch" or config.lora.rank is not None:
        return load_model(config), None
    folder = hf_model.folder_of(config.model.path, revision=config.model.revision)
    if folder is None:  # of the hub, and not here yet: loading brings it
        return load_model(config), None
    hf_model.require_safetensors(str(folder), option=OPTION)
    model_config = load_model_config(config)
    require_fitting_size(model_config, str(folder), option=OPTION)
    stored = dict(TensorFiles(files_in(folder, "*.safetensors")))
    model = without_weights(model_config, dtype=getattr(torch, config.model.dtype))
    if not _as_stored(model, stored):
        return load_model(config), None
    hf_model.require_ties(str(folder), model_config, option=OPTION)
    if (folder / "generation_config.json").is_file():
        model.generation_config = transformers.GenerationConfig.from_pretrained(folder)
    hf_model.drop_invalid_generation(model)
    return model, stored


def without_weights(model_config: Any, *, dtype: torch.dtype) -> Any:
    """Build a model whose parameters have shapes and no memory; its buffers (rotary frequencies) are real."""
    with _parameters_on_meta():
        return transformers.AutoModelForCausalLM.from_config(
            copy.deepcopy(model_config), dtype=dtype, trust_remote_code=False
        )


@contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Put every parameter onto the meta device as soon as a module registers it, before anything is drawn into it."""
    register = torch.nn.Module.register_parameter

    def on_meta(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter | None) -> None:
        register(module, name, parameter)
        if parameter is not None and not parameter.is_meta:  # one that is stays the same object: a tied head
            module._parameters[name] = torch.nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)

    torch.nn.Module.register_parameter = on_meta  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        torch.nn.Module.register_parameter = register  # type: ignore[method-assign]


def _as_stored(model: Any, stored: Stored) -> bool:
    """Say whether the files hold every parameter under its own name and in its shape: transformers renames or joins
    those of some models while it loads them."""
    if get_checkpoint_conversion_mapping(model.config.model_type) is not None:
        return False
    if getattr(model.config, "quantization_config", None) is not None:
        return False
    saved = {name for name, buffer in model.named_buffers() if name in model.state_dict()}
    parameters = dict(model.named_parameters())  # a tied head is none of its own
    return not saved and all(
        name in stored and stored[name].shape == parameter.shape for name, parameter in parameters.items()
    )
