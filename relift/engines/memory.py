"""Say in one line what to lower when a device's memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from relift.errors import OutOfMemory


@contextmanager
def memory_for(doing: str, mend: str) -> Iterator[None]:
    """Turn torch's errors about memory into one OutOfMemory that names what was being done, and its remedy."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        raise _told("GPU" if torch.cuda.is_available() else "CPU", doing, mend) from None
    except RuntimeError as error:  # the CPU's allocator has no class of its own
        if "can't allocate memory" not in str(error):
            raise
        raise _told("CPU", doing, mend) from None


def _told(where: str, doing: str, mend: str) -> OutOfMemory:
    return OutOfMemory(f"{doing}: out of memory ({where}); {mend}, and start again: what is committed is kept")
