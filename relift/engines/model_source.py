"""Find what a MODEL argument names: a folder, a hub id, a run at a step, a run's checkpoint. No torch.

Checkpoints of runs are opened only after every byte was compared with their manifest (relift.store).
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relift.engines.adapters import base_of, is_adapter, require_usable
from relift.engines.context import AS_PUBLISHED, Positions
from relift.errors import InputError, StoreError
from relift.fingerprints import files_fingerprint, plain_name
from relift.schema import RunKind
from relift.store import RunReader
from relift.store.checkpoints import steps_with_weights, verify_checkpoint
from relift.store.files import sha256_of_file

# All that decides what a checkpoint answers to a text. A trainer's own state lies beside it and decides nothing.
ANSWERING_FILES = (
    "*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "adapter_config.json",
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.tiktoken",
    "chat_template*",
)  # fmt: skip
STATE = "state.tensors"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_CHECKPOINT = re.compile(r"step-(\d{6,9})")


@dataclass(frozen=True)
class ModelSource:
    """A checkpoint that can be loaded. `run_id`, `step`: of the training run it belongs to, None for any other."""

    path: str  # a folder, a hub id, or the name under which a server knows it
    revision: str | None
    name: str  # short, in letters that a folder's name may have
    run_id: str | None = None
    step: int | None = None
    positions: Positions = AS_PUBLISHED  # of a run's base model: as the run changed them


def resolve_model(
    name: str, *, revision: str | None = None, on_event: Callable[[str], None] = lambda line: None
) -> ModelSource:
    """Find the checkpoint that `name` means: a folder, RUN (its newest good checkpoint), RUN@STEP, a hub id.

    `on_event` is told in one line of a newer checkpoint that was passed over because it is damaged. Raises InputError
    when there is none, StoreError when the one asked for is damaged. Nothing is fetched from the hub.
    """
    folder, at, step = Path(name), "", ""
    if not name:
        raise InputError("MODEL is empty; name a checkpoint's folder, a training run, RUN@STEP, or a hub id")
    if not folder.exists():
        head, at, step = name.rpartition("@")
        folder = Path(head) if at else folder
    if at and step.isdecimal() and (folder / "run.json").is_file():
        return _of_run(folder, int(step), on_event)
    if at and folder.is_dir():
        raise InputError(f"MODEL {name!r}: {step!r} is no step of a training run: write RUN@STEP, as in {folder}@100")
    if folder.is_dir() and not at:
        return _of_folder(folder, revision, on_event)
    if Path(name).exists() or not may_be_hub_id(name):
        raise InputError(
            f"MODEL {name!r}: there is no such folder; name a checkpoint's folder, a training run, RUN@STEP, or a hub "
            "id as owner/name"
        )
    return ModelSource(name, revision, plain_name(Path(name)))


def may_be_hub_id(name: str) -> bool:
    """Tell whether a name that is no folder may be asked of the hub: not if it begins with a folder that is here."""
    first, slash, _ = name.partition("/")
    return bool(_HUB_ID.fullmatch(name)) and not (slash and Path(first).is_dir())


def _of_folder(folder: Path, revision: str | None, on_event: Callable[[str], None]) -> ModelSource:
    run = folder.absolute().parent.parent
    step = _CHECKPOINT.fullmatch(folder.absolute().name)
    if step and folder.absolute().parent.name == "weights" and (run / "run.json").is_file():
        return _of_run(run, int(step.group(1)), on_event)
    if (folder / "run.json").is_file():
        return _of_run(folder, None, on_event)
    require_usable(folder, where=f"MODEL {str(folder)!r}")
    if not (folder / "config.json").is_file() and not is_adapter(folder):
        raise InputError(
            f"MODEL {str(folder)!r}: neither config.json nor run.json there: not a checkpoint and not a training run"
        )
    if revision is not None:
        raise InputError(f"MODEL {str(folder)!r}: a revision is of models on the hub; a folder has none")
    return ModelSource(str(folder), None, plain_name(folder))


def _of_run(folder: Path, step: int | None, on_event: Callable[[str], None]) -> ModelSource:
    reader = RunReader(folder)
    run_id = reader.run_id
    steps = steps_with_weights(folder)
    if step is None:
        found = _newest(folder, steps, on_event)
        if found is None:
            kind = "an evaluation" if reader.run.kind is RunKind.eval else "a run"
            raise InputError(f"MODEL {str(folder)!r}: {kind} without a checkpoint to load; name a checkpoint's folder")
        step = found
    weights = reader.weights(step)
    name = f"{plain_name(folder)}-step{step}"
    if weights is not None:
        return ModelSource(str(weights), None, name, run_id, step)
    if step == 0:
        return _base_of(reader, name, run_id)
    there = ", ".join(map(str, steps)) or "none"
    raise InputError(f"MODEL '{folder}@{step}': no checkpoint of step {step} there; there are: {there}")


def _newest(folder: Path, steps: list[int], on_event: Callable[[str], None]) -> int | None:
    for step in reversed(steps):
        try:
            return verify_checkpoint(folder, step).step
        except StoreError as error:
            on_event(f"passing over a checkpoint: {error}")
        except FileNotFoundError:  # retired while we looked
            continue
    return None


def _base_of(reader: RunReader, name: str, run_id: str) -> ModelSource:
    """Find the base model a run began from, by the path in its configuration, if it is still what it was."""
    model = tomllib.loads(reader.config_toml).get("model", {})
    path, revision = str(model.get("path", "")), model.get("revision")
    base = Path(path)
    if not path or ("/" in path and path.startswith((".", "/")) and not base.is_dir()):
        raise InputError(f"MODEL '{reader.folder}@0': its base model was {path!r}, which is not there")
    was = reader.run.identity.get("model")
    if base.is_dir() and was != files_fingerprint(base, ("*.safetensors", "config.json")):
        raise InputError(f"MODEL '{reader.folder}@0': {path!r} is not the base model it began from: its files changed")
    positions = Positions(_set(model, "max_positions"), _set(model, "rope_theta"))
    return ModelSource(path, revision, name, run_id, 0, positions)


def _set(model: Mapping[str, Any], name: str) -> Any:
    """Get a field of a stored configuration; None where it says none, or is older than the field."""
    value = model.get(name)
    return None if value == "none" else value


def content_fingerprint(path: str, *, revision: str | None = None) -> str:
    """Hash what a checkpoint answers with, SHA-256 (hex): every file that decides it, names and contents; of an adapter
    its base too.

    Of a hub model the commit that the revision stands for now, as "hub:<commit>"; raises InputError if that cannot be
    found out.
    """
    folder = Path(path)
    if not folder.is_dir():
        return f"hub:{_commit_of(path, revision)}"
    total = hashlib.sha256()
    for file in sorted({file for pattern in ANSWERING_FILES for file in folder.glob(pattern)}):
        if file.is_file() and file.name != STATE:
            total.update(file.name.encode() + b"\0" + bytes.fromhex(sha256_of_file(file)))
    if is_adapter(folder) and (base := base_of(folder)) is not None:
        total.update(content_fingerprint(base).encode())
    return total.hexdigest()


def _commit_of(path: str, revision: str | None) -> str:
    from huggingface_hub import hf_hub_download

    try:  # cached files lie in snapshots/<commit>; works offline for what was loaded before
        return Path(hf_hub_download(path, "config.json", revision=revision)).parent.name
    except (OSError, ValueError) as error:
        words = " ".join(str(error).split())[:200]
        raise InputError(f"MODEL {path!r}: cannot be had from the hub: {words}") from None
