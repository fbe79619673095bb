"""Read tensors out of safetensors files piece by piece: only the bytes of the piece that is asked for are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from relift.errors import StoreError


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that lies in a file; indexing it with slices reads that piece."""

    path: Path
    name: str
    file: Any

    def __getitem__(self, index: tuple[slice, ...]) -> torch.Tensor:
        try:
            if not index:
                whole: torch.Tensor = self.file.get_tensor(self.name)
                return whole
            piece: torch.Tensor = self.file.get_slice(self.name)[index]
        except (OSError, SafetensorError) as error:
            raise StoreError(f"{self.path}: {self.name} cannot be read: {error}") from None
        return piece


class TensorFiles(Mapping[str, StoredTensor]):
    """The tensors of several files by name. Raises StoreError for a file that cannot be read."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._tensors: dict[str, StoredTensor] = {}
        for path in paths:
            try:
                file = safe_open(path, framework="pt")
                names = list(file.keys())
            except (OSError, SafetensorError) as error:
                raise StoreError(f"{path}: cannot be read: {error}") from None
            self._tensors |= {name: StoredTensor(path, name, file) for name in names}

    def __getitem__(self, name: str) -> StoredTensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)
