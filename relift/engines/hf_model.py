"""Load a checkpoint (tokenizer, configuration, weights), and say in one line what is wrong with it.

Safetensors only, and no code of a checkpoint is run. `option` is how the reader of a message named the checkpoint:
"model.path = " in a configuration, "MODEL " on the command line.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from huggingface_hub.utils import logging as hub_logging
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from relift.engines.adapters import base_of, is_adapter, require_no_adapter, require_usable
from relift.engines.checkpoint_files import (
    require_finite,
    require_fitting_size,
    require_own_files,
    require_plain_config,
    token_ids_of,
)
from relift.engines.context import AS_PUBLISHED, Positions
from relift.engines.model_source import may_be_hub_id
from relift.engines.tied_weights import require_consistent_ties
from relift.errors import InputError, ReadFailed, ReliftError
from relift.fingerprints import files_in
from relift.prompts import end_of_turn
from relift.suggest import hint

MODEL = "MODEL "

# What transformers raises over files that are not as it expects them: a text for a number, an unknown activation, a
# package for a quantization that is not installed.
LOADING_ERRORS = (
    OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, ImportError, RuntimeError,
    AssertionError, SafetensorError, StrictDataclassError,
)  # fmt: skip


def load_tokenizer(
    path: str, *, revision: str | None = None, positions: Positions = AS_PUBLISHED, option: str = MODEL
) -> tuple[Any, Any]:
    """Load tokenizer and model configuration, its positions changed. Raises InputError when they cannot be had."""
    model_config = load_model_config(path, revision=revision, positions=positions, option=option)
    path = _where(path, "tokenizer*", option=option)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, revision=revision, trust_remote_code=False)
        _try(tokenizer)
    except BaseException as error:  # of its Rust code: a bare Exception, and a panic, which is not even one
        if not isinstance(error, LOADING_ERRORS) and type(error).__name__ not in ("Exception", "PanicException"):
            raise
        raise _refusal(error, f"{option}{path!r}: its tokenizer cannot be loaded: {shortened(error)}") from None
    if tokenizer.eos_token_id is None:
        raise InputError(f"{option}{path!r}: its tokenizer has no end token")
    return tokenizer, model_config


def _try(tokenizer: Any) -> None:
    """Do once what is done with a tokenizer later: much that is wrong with its files is found at the first use."""
    tokenizer.decode(list(tokenizer("a 1 \\frac{1}{2}")["input_ids"]), skip_special_tokens=True)
    tokenizer.batch_decode([[token for token in tokenizer.all_special_ids if token is not None]])
    tokenizer.get_vocab()


def load_model_config(
    path: str, *, revision: str | None = None, positions: Positions = AS_PUBLISHED, option: str = MODEL
) -> Any:
    """Load config.json as transformers reads it, its positions changed. Raises InputError when it cannot be had."""
    require_model_name(path, option=option)
    require_own_files(path, revision=revision, option=option)
    path = _where(path, "config.json", option=option)
    try:
        model_config = transformers.AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=False)
    except LOADING_ERRORS as error:
        raise _refusal(error, f"{option}{path!r}: {shortened(error)}") from None
    require_plain_config(model_config, path, option=option)
    positions.apply(model_config, setting="model." if option.startswith("model.") else "")
    return model_config


def require_model_name(path: str, *, option: str = MODEL) -> None:
    """Refuse what is neither a folder with a model nor could be a name on the hub, before the hub is asked."""
    folder = Path(path)
    if folder.is_dir():
        may_be_adapter = require_usable if option == MODEL else require_no_adapter
        may_be_adapter(folder, where=f"{option}{path!r}")
        if not (folder / "config.json").is_file() and not is_adapter(folder):
            raise InputError(f"{option}{path!r}: no config.json there: not a transformers checkpoint")
    elif folder.exists() or not may_be_hub_id(path):
        raise InputError(f"{option}{path!r}: there is no such folder; name a folder, or a hub id as owner/name")
    else:
        hub_logging.set_verbosity_error()  # else every retry of every file is a line of its own


def _where(path: str, pattern: str, *, option: str) -> str:
    """Find the checkpoint that has such a file: an adapter's base where the adapter's folder has none."""
    folder = Path(path)
    if not is_adapter(folder) or any(folder.glob(pattern)):
        return path
    base = base_of(folder) or ""
    require_model_name(base, option=f"{option}{path!r}: its base ")
    return base


def stop_tokens(
    tokenizer: Any,
    path: str,
    *,
    revision: str | None = None,
    more: Sequence[str] | None = None,
    vocab: int | None = None,
    option: str = MODEL,
) -> tuple[int, ...]:
    """List the tokens that end an answer, the tokenizer's own first: with that one a demonstration is closed.

    After it those of generation_config.json, and the token with which the chat template ends an assistant's turn, or
    in its place the tokens written in `more`. Base models lack the latter in their files: Qwen2.5-Math declares
    <|endoftext|> alone, and its chat template closes turns with <|im_end|>. `vocab`: tokens of the model; None: not
    known. Raises InputError for a text in `more` that is no token, and for a declared token that can be none.
    """
    path = _where(path, "generation_config.json", option=option)
    try:
        generation = transformers.GenerationConfig.from_pretrained(path, revision=revision)
        declared = generation.eos_token_id
    except LOADING_ERRORS as error:
        if (Path(path) / "generation_config.json").exists() or not isinstance(error, OSError):
            raise _refusal(error, f"{option}{path!r}: generation_config.json: {shortened(error)}") from None
        declared = None
    extra = token_ids_of(declared, vocab=vocab, where=f"{option}{path!r}: generation_config.json")
    if more is None:
        closing = end_of_turn(tokenizer)
        extra = extra if closing is None else [*extra, closing]
    else:
        extra = [*extra, *(_token_id(tokenizer, text) for text in more)]
    end = tokenizer.eos_token_id
    if vocab is not None and end >= vocab:
        raise InputError(f"{option}{path!r}: the end token {end} is none of the model's {vocab} tokens")
    return tuple(dict.fromkeys([tokenizer.eos_token_id, *extra]))


def _token_id(tokenizer: Any, text: str) -> int:
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    if text not in vocabulary:
        near = hint(text, tokenizer.get_added_vocab())
        raise InputError(f"rollout.stop_tokens: {text!r} is no token of the model's tokenizer{near}")
    return vocabulary[text]


def require_safetensors(path: str, *, option: str = MODEL) -> None:
    """Refuse a folder without weights, or with pickled ones alone."""
    folder = Path(path)
    if folder.is_dir() and not files_in(folder, "*.safetensors"):
        pickled = [found.name for found in files_in(folder, "*.bin")]
        why = f"{pickled[0]} is pickled and is not opened: save it again as" if pickled else "put there"
        raise InputError(f"{option}{path!r}: no .safetensors file there; {why} model.safetensors")


def load_model(
    path: str,
    *,
    revision: str | None = None,
    dtype: str = "float32",
    device: torch.device,
    positions: Positions = AS_PUBLISHED,
    option: str = MODEL,
) -> Any:
    """Load the weights, safetensors only, onto the device, with these positions; an adapter merged into its base.

    `dtype`: a name of torch's, or "auto": the checkpoint's own. Raises InputError for weights that are missing,
    damaged, or of another shape than the configuration says.
    """
    transformers_logging.set_verbosity_error()  # what it would warn of while loading is refused below
    transformers_logging.disable_progress_bar()
    require_safetensors(path, option=option)
    model_config = load_model_config(path, revision=revision, positions=positions, option=option)
    if is_adapter(path):
        from relift.engines.merged_adapter import load_merged

        return load_merged(Path(path), model_config, dtype=dtype, option=option).to(device)
    return load_weights(path, model_config, revision=revision, dtype=dtype, option=option).to(device)


def load_weights(
    path: str, model_config: Any, *, revision: str | None = None, dtype: str = "float32", option: str = MODEL
) -> Any:
    """Load the weights of a model that is configured so; as load_model, on the CPU."""
    try:
        require_fitting_size(model_config, path, option=option)
        if Path(path).is_dir():
            require_ties(path, model_config, option=option)
        model, loading = transformers.AutoModelForCausalLM.from_pretrained(
            path,
            config=model_config,
            revision=revision,
            dtype="auto" if dtype == "auto" else getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, in words
        )
    except LOADING_ERRORS as error:  # not there, damaged, of another shape
        raise _refusal(error, f"{option}{path!r}: {shortened(error)}") from None
    mismatched = sorted(name for name, *_ in loading["mismatched_keys"])
    for names, what in (
        (sorted(loading["missing_keys"]), "missing"),
        (mismatched, "of another shape than config.json says"),
    ):
        if names:  # transformers would draw them at random
            raise InputError(f"{option}{path!r}: {len(names)} weights are {what}, first {names[0]}")
    require_finite(model, path, option=option)
    if not Path(path).is_dir():  # a model of the hub: its files are here by now
        require_ties(path, model_config, revision=revision, option=option)
    _drop_invalid_generation(model)
    return model


def require_ties(path: str, model_config: Any, *, revision: str | None = None, option: str = MODEL) -> None:
    """Refuse weights that are tied in config.json and not in the files, or the other way round; of a model of the hub
    where its files are here. Raises InputError."""
    folder = Path(path)
    if not folder.is_dir():
        file = transformers.utils.cached_file(path, "config.json", revision=revision, local_files_only=True)
        if file is None:
            return
        folder = Path(file).parent
    require_consistent_ties(folder, model_config, where=f"{option}{path!r}")


def _drop_invalid_generation(model: Any) -> None:
    """Leave out sampling defaults that load and cannot be saved: a temperature without do_sample ends a run at its
    first checkpoint (transformers issue 29988)."""
    generation = getattr(model, "generation_config", None)
    if generation is None:
        return
    try:
        generation.validate(strict=True)
    except ValueError:
        ids = {name: getattr(generation, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        model.generation_config = transformers.GenerationConfig(**ids)


def device_of(name: str, *, option: str = "--engine-option device = ") -> torch.device:
    """Find the device of this name; "auto" is the GPU if there is one. Raises InputError when there is none."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    there = torch.cuda.device_count() if kind == "cuda" else int(kind == "cpu")
    if (number and not number.isdecimal()) or int(number or 0) >= there:
        raise InputError(f"{option}{name!r}: there is no such device here; set it to auto, cpu or cuda")
    return torch.device(name)


def _refusal(error: BaseException, words: str) -> ReliftError:
    """Make the error of a checkpoint that cannot be had: of what is in its files, or of a disk that gives none."""
    unread = isinstance(error, OSError) and error.errno in (errno.EIO, errno.EACCES, errno.EPERM, errno.ESTALE)
    return ReadFailed(words) if unread else InputError(words)


def shortened(error: BaseException) -> str:
    """Put the message of a library's error on one line of at most 200 characters, and its kind if it says little."""
    words = " ".join(str(error).split())
    words = f"{type(error).__name__} {words}" if isinstance(error, LookupError) or not words else words
    return words if len(words) <= 200 else f"{words[:200]} ..."
