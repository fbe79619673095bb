"""The base model on disk or on the hub: tokenizer, configuration, weights; what is wrong with them is said at once.

Safetensors only, and no code of a checkpoint is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.utils import logging as hub_logging
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from relift.config import Config
from relift.errors import InputError
from relift.trainer import identity


def load_tokenizer(config: Config) -> tuple[Any, Any]:
    """Tokenizer and model configuration of the base; InputError when they cannot be had."""
    require_model_name(config.model.path)
    options = {"revision": config.model.revision, "trust_remote_code": False}
    try:
        model_config = transformers.AutoConfig.from_pretrained(config.model.path, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"model.path = {config.model.path!r}: {shortened(error)}") from None
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(config.model.path, **options)
    except (OSError, ValueError) as error:
        raise InputError(
            f"model.path = {config.model.path!r}: its tokenizer cannot be loaded: {shortened(error)}"
        ) from None
    if tokenizer.eos_token_id is None:
        raise InputError(f"model.path = {config.model.path!r}: its tokenizer has no end token")
    return tokenizer, model_config


def require_model_name(name: str) -> None:
    """Refuse what is neither a folder with a model nor could be a name on the hub, before the hub is asked."""
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"model.path = {name!r}: no config.json there: not a transformers checkpoint")
    elif folder.exists() or name.startswith((".", "~", "/")) or name.count("/") > 1:
        raise InputError(f"model.path = {name!r}: there is no such folder; name a folder, or a hub id as owner/name")
    else:
        hub_logging.set_verbosity_error()  # else every retry of every file is a line of its own


def stop_tokens(tokenizer: Any, config: Config) -> tuple[int, ...]:
    """Tokens that end an answer, the tokenizer's own first: with that one a demonstration is closed."""
    try:
        generation = transformers.GenerationConfig.from_pretrained(config.model.path, revision=config.model.revision)
        more = generation.eos_token_id
    except OSError as error:
        if (Path(config.model.path) / "generation_config.json").exists():
            raise InputError(f"model.path = {config.model.path!r}: {shortened(error)}") from None
        more = None
    extra = more if isinstance(more, list) else [] if more is None else [more]
    return tuple(dict.fromkeys([tokenizer.eos_token_id, *extra]))


def context_of(model_config: Any) -> int | None:
    """Tokens the model can read; None where its configuration does not say."""
    return getattr(model_config, "max_position_embeddings", None)


def load_model(config: Config) -> Any:
    """The base model's weights, safetensors only."""
    transformers_logging.set_verbosity_error()  # what it would warn of while loading is refused below
    transformers_logging.disable_progress_bar()
    folder = Path(config.model.path)
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        why = f"{pickled[0]} is pickled and is not opened: save it again as" if pickled else "put there"
        raise InputError(f"model.path = {config.model.path!r}: no .safetensors file there; {why} model.safetensors")
    try:
        model, loading = transformers.AutoModelForCausalLM.from_pretrained(
            config.model.path,
            revision=config.model.revision,
            dtype=getattr(torch, config.model.dtype),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, in words
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:  # not there, damaged, of another shape
        raise InputError(f"model.path = {config.model.path!r}: {shortened(error)}") from None
    mismatched = sorted(name for name, *_ in loading["mismatched_keys"])
    for names, what in (
        (sorted(loading["missing_keys"]), "missing"),
        (mismatched, "of another shape than config.json says"),
    ):
        if names:  # transformers would draw them at random
            raise InputError(f"model.path = {config.model.path!r}: {len(names)} weights are {what}, first {names[0]}")
    return model.to(device_of(config))


def device_of(config: Config) -> torch.device:
    """Where the run computes. Raises InputError when there is no such device."""
    name = config.model.device
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    there = torch.cuda.device_count() if kind == "cuda" else int(kind == "cpu")
    if (number and not number.isdecimal()) or int(number or 0) >= there:
        raise InputError(f"model.device = {name!r}: there is no such device here; set it to auto, cpu or cuda")
    return torch.device(name)


def write_model(model: Any, tokenizer: Any, folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """A transformers checkpoint of these weights."""
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)


def model_fingerprint(config: Config) -> str:
    """Contents of the base model's folder, weights and configuration; of a hub model its name and revision."""
    base = Path(config.model.path)
    if base.is_dir():
        return identity.files_fingerprint(base, ("*.safetensors", "config.json"))
    return f"{config.model.path}@{config.model.revision}"


def shortened(error: Exception) -> str:
    """The message of somebody else's error on one line of a bearable length."""
    words = " ".join(str(error).split())
    return words if len(words) <= 200 else f"{words[:200]} ..."
