"""Order questions (or demonstrations) by seed and position alone, so that nothing has to be saved."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from relift.errors import InputError
from relift.schema import seed_of


class Stream:
    """Batches over `n` items in a fresh order each epoch; the tail that fills no batch is left out of its epoch.

    `batch(k)` is the k-th batch from 0. No item occurs twice in a batch.
    """

    def __init__(self, n: int, *, per_batch: int, seed: int, purpose: str) -> None:
        if n < per_batch:
            raise InputError(
                f"{n} {purpose} are fewer than one batch of {per_batch}: take a smaller batch or more data"
            )
        self.n = n
        self.per_batch = per_batch
        self.seed = seed
        self.purpose = purpose
        self.batches_per_epoch = n // per_batch

    def batch(self, k: int) -> np.ndarray:
        """Items of the k-th batch, shape [per_batch]."""
        epoch, place = divmod(k, self.batches_per_epoch)
        order = order_of(self.n, seed=self.seed, purpose=self.purpose, epoch=epoch)
        return order[place * self.per_batch : (place + 1) * self.per_batch]


@lru_cache(maxsize=4)  # an epoch's order is asked for at every step
def order_of(n: int, *, seed: int, purpose: str, epoch: int) -> np.ndarray:
    """Shuffle 0 .. n-1 for an epoch, shape [n], read-only: a pure function of its arguments."""
    order = np.random.default_rng(seed_of(seed, purpose, 0, epoch, "", 0)).permutation(n)
    order.flags.writeable = False  # batches are views of it
    return order
