"""Hand a model's weights to another process as a safetensors file in memory, which is removed at once.

Tensors that share memory (a tied head and the embedding) are written once; the other names travel as aliases.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from relift.errors import TOO_LARGE_STEPS, GuardStop, StoreError

MEMORY = Path("/dev/shm")
PREFIX = "relift-weights-"
SPARE = 1.05  # room for the header and for what others write meanwhile


@dataclass(frozen=True)
class WeightsFile:
    """Name a file of tensors, and the names that stand for a tensor of another name."""

    path: Path
    aliases: dict[str, str]  # name -> name under which its tensor is in the file
    n_bytes: int


@contextmanager
def weights_file(
    state_dict: Mapping[str, torch.Tensor],
    *,
    dtype: torch.dtype | None = None,
    folder: Path | None = None,
    every_name: bool = False,
) -> Iterator[WeightsFile]:
    """Write the weights to a file that exists inside the `with` alone.

    `dtype`: floating-point tensors are converted; None keeps them. `folder`: where; by default memory (/dev/shm) if it
    has the room, else the folder for temporary files. `every_name`: tensors that share memory are written under each of
    their names, for a reader that knows of no aliases. Raises ReliftError for numbers that are not finite, StoreError
    when the file cannot be written.
    """
    tensors, aliases = _distinct(state_dict)
    n_bytes = sum(t.numel() * _width(t, dtype) for t in tensors.values())
    parent = folder or _roomy(n_bytes)
    try:
        place = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
    except OSError as error:
        raise StoreError(f"weights for the engine cannot be written in {parent}: {error.strerror}") from None
    try:
        path = place / "model.safetensors"
        try:
            written = {name: _converted(t, dtype) for name, t in tensors.items()}
            if every_name:
                written |= {name: written[of].clone() for name, of in aliases.items()}
            save_file(written, path, metadata={"format": "pt"})
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"weights for the engine, {n_bytes:,} bytes, cannot be written in {parent}: {error}"
            ) from None
        yield WeightsFile(path, aliases, n_bytes)
    finally:
        shutil.rmtree(place, ignore_errors=True)  # whoever reads it may have removed the file already


def _distinct(state_dict: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Split into (tensors that share no memory, names of the others), after a look at every number."""
    tensors: dict[str, torch.Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[tuple[object, ...], str] = {}
    for name, tensor in state_dict.items():
        key = (tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.stride()) if tensor.numel() else (name,)
        if key in first:
            aliases[name] = first[key]
            continue
        first[key] = name
        # A sum is not finite if a number is not (or, of huge numbers, if it overflows: as wrong); one pass, no mask.
        if tensor.is_floating_point() and not math.isfinite(float(tensor.sum(dtype=torch.float64))):
            raise GuardStop(f"published {name} holds numbers that are not finite; {TOO_LARGE_STEPS}")
        tensors[name] = tensor
    return tensors, aliases


def _width(tensor: torch.Tensor, dtype: torch.dtype | None) -> int:
    return tensor.element_size() if dtype is None or not tensor.is_floating_point() else dtype.itemsize


def _converted(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    tensor = tensor.detach()
    return (tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor).contiguous()


def _roomy(n_bytes: int) -> Path:
    """Choose the memory-backed folder if the weights fit there (containers often give it 64 MB), else that of
    temporaries."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > SPARE * n_bytes:
        return MEMORY
    return Path(tempfile.gettempdir())
