"""Write a checkpoint by several processes, each a part of the tensors, none of them holding all.

Tensors are gathered one at a time, and the process with the fewest bytes so far keeps each, whole. So the files do not
know how many processes wrote them: any number reads them, each its own pieces, and model-00001-of-00008.safetensors
with its index is a checkpoint that transformers and vLLM load. torch's own distributed checkpoints were not taken
(docs/decisions.md): their shards are read by torch alone until one process has rewritten them all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from relift.errors import ReliftError, StoreError
from relift.learner.distributed import full, world
from relift.store.files import sha256_of_file
from relift.trainer.parallel import from_all, from_first

Parts = Mapping[str, Callable[[], torch.Tensor]]  # name -> this process's part of a tensor; in one order everywhere
Hashes = dict[str, str]  # file -> SHA-256

MODEL = "model/"


def can_shard(model_type: str) -> bool:
    """Say whether several processes write, and the model's files have the names that it has in memory.

    transformers joins the experts of some models while it loads them and takes them apart again when it saves.
    """
    return world()[1] > 1 and get_checkpoint_conversion_mapping(model_type) is None


def save_by_shards(
    save: Callable[[Callable[[Path], Hashes]], None], parts: Parts, write_rest: Callable[[Path], None]
) -> None:
    """Let every process write its share into the folder that the first one makes. All processes call.

    `save` is called on the first process alone, with what writes the files into a folder and gives the hashes of those
    that the processes wrote; `write_rest` writes there what the first process alone has. An error of one ends all: the
    first says it, the others end with its exit status.
    """
    rank, _ = world()
    if rank == 0:
        _lead(save, parts, write_rest)
        return
    place, status = from_first(None)
    if place is not None:
        with suppress(StoreError):  # the first process says it
            _share_outcome(Path(place), parts)
        _, status = from_first(None)
    if status is not None:
        raise SystemExit(status)


def _lead(save: Callable[[Callable[[Path], Hashes]], None], parts: Parts, write_rest: Callable[[Path], None]) -> None:
    def write(folder: Path) -> Hashes:
        from_first([str(folder), None])
        told.append(folder)
        hashes = _share_outcome(folder, parts)
        write_rest(folder)
        return hashes

    told: list[Path] = []
    status = None
    try:
        save(write)
    except ReliftError as error:
        status = error.exit_status
        raise
    finally:
        from_first([None, status])


def _share_outcome(folder: Path, parts: Parts) -> Hashes:
    """Write this process's files; give the hashes of all of them. Raises StoreError when any process could not."""
    hashes: Hashes = {}
    where: dict[str, str] = {}  # tensor -> file
    failure = None
    try:
        hashes, where = _write_share(folder, parts)
    except StoreError as error:
        failure = str(error)
    outcomes = from_all([hashes, where, failure])
    failures = [said for _, _, said in outcomes if said is not None]
    if failures:
        raise StoreError(failures[0])
    if world()[0] == 0:
        _write_index(folder, {name: file for _, files, _ in outcomes for name, file in files.items()})
    return {file: sha for shares, _, _ in outcomes for file, sha in shares.items()}


def _write_share(folder: Path, parts: Parts) -> tuple[Hashes, dict[str, str]]:
    """Gather every tensor, keep this process's share, write it. Every process gathers to the end, whatever happens."""
    rank, world_size = world()
    own: dict[bool, dict[str, torch.Tensor]] = {True: {}, False: {}}  # of the model; of its optimizers
    held = {True: [0] * world_size, False: [0] * world_size}
    for name, part in parts.items():
        tensor, of_model = full(part()), name.startswith(MODEL)
        owner = min(range(world_size), key=lambda r: held[of_model][r])
        held[of_model][owner] += tensor.nbytes
        if owner == rank:
            own[of_model][name.removeprefix(MODEL)] = tensor.contiguous()
    hashes: Hashes = {}
    number = f"{rank + 1:05d}-of-{world_size:05d}"
    names = {True: f"model-{number}.safetensors", False: f"state-{number}.tensors"}
    for of_model, tensors in own.items():
        if not tensors:
            continue
        path = folder / names[of_model]
        try:
            save_file(tensors, path, metadata={"format": "pt"})
            hashes[path.name] = sha256_of_file(path)
        except (OSError, SafetensorError) as error:
            raise StoreError(_cannot_write(folder, error)) from None
    return hashes, dict.fromkeys(own[True], names[True])


def _write_index(folder: Path, file_of: dict[str, str]) -> None:
    index = {"metadata": {}, "weight_map": dict(sorted(file_of.items()))}
    try:
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    except OSError as error:
        raise StoreError(_cannot_write(folder, error)) from None


def _cannot_write(folder: Path, error: Exception) -> str:
    return (
        f"{folder}: cannot write the checkpoint: {error}; make room and start again, the run goes on from its last "
        "checkpoint"
    )
