"""Load an adapter of PEFT merged into its base, so that every engine that takes a model of transformers takes it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from relift.engines import hf_model
from relift.engines.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, base_of, require_peft
from relift.engines.checkpoint_files import require_finite, require_own_files
from relift.errors import InputError


def load_merged(folder: Path, model_config: Any, *, dtype: str, option: str) -> Any:
    """Load the base that the adapter names, configured so, and add the adapter to its weights.

    Raises InputError for a base that is not there, an adapter that peft cannot put into it, and one of which tensors
    are missing or left over: peft would draw the former at random and leave the latter out.
    """
    peft = require_peft(f"{option}{str(folder)!r}: an adapter")
    where, base = f"{option}{str(folder)!r}", base_of(folder) or ""
    of_base = f"{where}: its base "
    hf_model.require_model_name(base, option=of_base)
    hf_model.require_safetensors(base, option=of_base)
    revision = _revision_of(folder)
    require_own_files(base, revision=revision, option=of_base)
    model = hf_model.load_weights(base, model_config, revision=revision, dtype=dtype, option=of_base)
    try:
        with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as file:
            stored = set(file.keys())
        with warnings.catch_warnings():  # peft asks for a name that transformers 5.23 has deprecated, and warns of
            warnings.simplefilter("ignore", FutureWarning)  # missing tensors, which are refused below
            warnings.simplefilter("ignore", UserWarning)
            adapted = peft.PeftModel.from_pretrained(model, str(folder))
        wanted = set(peft.get_peft_model_state_dict(adapted))
    except (*hf_model.LOADING_ERRORS, SafetensorError) as error:
        raise InputError(f"{where}: the adapter cannot be put into {base!r}: {hf_model.shortened(error)}") from None
    if stored != wanted:
        missing, unknown = wanted - stored, stored - wanted
        raise InputError(
            f"{where}: {len(missing)} tensors of the adapter are missing and {len(unknown)} belong to no layer of "
            f"{base!r}, first {min(missing | unknown)}"
        )
    merged = adapted.merge_and_unload()
    require_finite(merged, str(folder), option=option)
    return merged


def _revision_of(folder: Path) -> str | None:
    """Read which revision of its base on the hub an adapter was trained on."""
    try:
        revision = json.loads((folder / ADAPTER_CONFIG).read_bytes()).get("revision")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return revision if isinstance(revision, str) and revision else None
