"""Recognise folders that hold an adapter and no model. No torch."""

from __future__ import annotations

import json
from pathlib import Path

from relift.errors import InputError

ADAPTER = "adapter_config.json"


def require_no_adapter(folder: Path, *, where: str) -> None:
    """Refuse a folder with an adapter of PEFT, naming its base and how to merge it; beside a config.json too, for peft
    would load the base."""
    if not (folder / ADAPTER).is_file():
        return
    base = _base_of(folder)
    raise InputError(
        f"{where}: an adapter{'' if base is None else f' of {base}'}: merge it into its base first, as in peft's "
        f"AutoPeftModelForCausalLM.from_pretrained({str(folder)!r}).merge_and_unload().save_pretrained('merged'), and "
        "save the base's tokenizer there too"
    )


def _base_of(folder: Path) -> str | None:
    """Read the model that an adapter was trained on, where its configuration says so."""
    try:
        base = json.loads((folder / ADAPTER).read_bytes()).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return base if isinstance(base, str) and base else None
