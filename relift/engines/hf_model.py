"""A checkpoint on disk or on the hub: tokenizer, configuration, weights; what is wrong with it is said in one line.

Safetensors only, and no code of a checkpoint is run. `option` is how the reader of a message named the checkpoint:
"model.path = " in a configuration, "MODEL " on the command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.utils import logging as hub_logging
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from relift.errors import InputError

MODEL = "MODEL "


def load_tokenizer(path: str, *, revision: str | None = None, option: str = MODEL) -> tuple[Any, Any]:
    """Tokenizer and model configuration; InputError when they cannot be had."""
    require_model_name(path, option=option)
    options = {"revision": revision, "trust_remote_code": False}
    try:
        model_config = transformers.AutoConfig.from_pretrained(path, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"{option}{path!r}: {shortened(error)}") from None
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"{option}{path!r}: its tokenizer cannot be loaded: {shortened(error)}") from None
    if tokenizer.eos_token_id is None:
        raise InputError(f"{option}{path!r}: its tokenizer has no end token")
    return tokenizer, model_config


def require_model_name(path: str, *, option: str = MODEL) -> None:
    """Refuse what is neither a folder with a model nor could be a name on the hub, before the hub is asked."""
    folder = Path(path)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"{option}{path!r}: no config.json there: not a transformers checkpoint")
    elif folder.exists() or path.startswith((".", "~", "/")) or path.count("/") > 1:
        raise InputError(f"{option}{path!r}: there is no such folder; name a folder, or a hub id as owner/name")
    else:
        hub_logging.set_verbosity_error()  # else every retry of every file is a line of its own


def stop_tokens(tokenizer: Any, path: str, *, revision: str | None = None, option: str = MODEL) -> tuple[int, ...]:
    """Tokens that end an answer, the tokenizer's own first: with that one a demonstration is closed."""
    try:
        generation = transformers.GenerationConfig.from_pretrained(path, revision=revision)
        more = generation.eos_token_id
    except OSError as error:
        if (Path(path) / "generation_config.json").exists():
            raise InputError(f"{option}{path!r}: {shortened(error)}") from None
        more = None
    extra = more if isinstance(more, list) else [] if more is None else [more]
    return tuple(dict.fromkeys([tokenizer.eos_token_id, *extra]))


def context_of(model_config: Any) -> int | None:
    """Tokens the model can read; None where its configuration does not say."""
    return getattr(model_config, "max_position_embeddings", None)


def require_safetensors(path: str, *, option: str = MODEL) -> None:
    """Refuse a folder without weights, or with pickled ones alone."""
    folder = Path(path)
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        pickled = sorted(found.name for found in folder.glob("*.bin"))
        why = f"{pickled[0]} is pickled and is not opened: save it again as" if pickled else "put there"
        raise InputError(f"{option}{path!r}: no .safetensors file there; {why} model.safetensors")


def load_model(
    path: str, *, revision: str | None = None, dtype: str = "float32", device: torch.device, option: str = MODEL
) -> Any:
    """The weights, safetensors only, on the device. `dtype`: a name of torch's, or "auto": the checkpoint's own."""
    transformers_logging.set_verbosity_error()  # what it would warn of while loading is refused below
    transformers_logging.disable_progress_bar()
    require_safetensors(path, option=option)
    try:
        model, loading = transformers.AutoModelForCausalLM.from_pretrained(
            path,
            revision=revision,
            dtype="auto" if dtype == "auto" else getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, in words
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:  # not there, damaged, of another shape
        raise InputError(f"{option}{path!r}: {shortened(error)}") from None
    mismatched = sorted(name for name, *_ in loading["mismatched_keys"])
    for names, what in (
        (sorted(loading["missing_keys"]), "missing"),
        (mismatched, "of another shape than config.json says"),
    ):
        if names:  # transformers would draw them at random
            raise InputError(f"{option}{path!r}: {len(names)} weights are {what}, first {names[0]}")
    return model.to(device)


def device_of(name: str, *, option: str = "--engine-option device = ") -> torch.device:
    """The device of this name; "auto" is the GPU if there is one. Raises InputError when there is no such device."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    there = torch.cuda.device_count() if kind == "cuda" else int(kind == "cpu")
    if (number and not number.isdecimal()) or int(number or 0) >= there:
        raise InputError(f"{option}{name!r}: there is no such device here; set it to auto, cpu or cuda")
    return torch.device(name)


def shortened(error: Exception) -> str:
    """The message of somebody else's error on one line of a bearable length."""
    words = " ".join(str(error).split())
    return words if len(words) <= 200 else f"{words[:200]} ..."
