"""Recognise folders that hold an adapter of PEFT and no model. No torch."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

from relift.errors import InputError

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_adapter(path: str | Path) -> bool:
    """Tell whether a folder holds an adapter."""
    return (Path(path) / ADAPTER_CONFIG).is_file()


def require_peft(asked: str) -> Any:
    """Import peft, or raise InputError with how to install it. `asked`: what needs it."""
    try:
        return importlib.import_module("peft")
    except ModuleNotFoundError as error:
        if error.name != "peft":
            raise
        raise InputError(f"{asked} needs the package peft: pip install 'relift[lora]'") from None


def require_usable(folder: Path, *, where: str) -> None:
    """Refuse a folder with an adapter that cannot be merged while it is loaded: without peft, without safetensors, or
    without the name of its base. Raises InputError."""
    if not is_adapter(folder):
        return
    if importlib.util.find_spec("peft") is None:
        require_no_adapter(folder, where=where)
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise InputError(f"{where}: an adapter without {ADAPTER_WEIGHTS}: save it again, as safetensors")
    if base_of(folder) is None:
        raise InputError(f"{where}: {ADAPTER_CONFIG} names no base_model_name_or_path: write the base's path there")


def require_no_adapter(folder: Path, *, where: str) -> None:
    """Refuse a folder with an adapter of PEFT, naming its base and how to merge it; beside a config.json too, for peft
    would load the base."""
    if not is_adapter(folder):
        return
    base = base_of(folder)
    raise InputError(
        f"{where}: an adapter{'' if base is None else f' of {base}'}: merge it into its base first, as in peft's "
        f"AutoPeftModelForCausalLM.from_pretrained({str(folder)!r}).merge_and_unload().save_pretrained('merged'), and "
        "save the base's tokenizer there too"
    )


def base_of(folder: Path) -> str | None:
    """Read the model that an adapter was trained on, where its configuration says so."""
    try:
        base = json.loads((folder / ADAPTER_CONFIG).read_bytes()).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return base if isinstance(base, str) and base else None
