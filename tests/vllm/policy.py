"""A tiny policy for engines of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tests.engines.tiny import tiny_model


class Policy:
    """A tiny model whose weights change as a learner's do, and its log-probabilities."""

    def __init__(self, layout: str) -> None:
        self.layout, self.model = layout, tiny_model(layout)
        self.model.config.architectures = [type(self.model).__name__]

    @torch.no_grad()
    def score(self, token_ids: Sequence[int], *, temperature: float = 1.0) -> np.ndarray:
        logits_TV = self.model(torch.tensor([list(token_ids)])).logits[0, :-1] / temperature
        return torch.log_softmax(logits_TV, -1).gather(1, torch.tensor(token_ids[1:])[:, None])[:, 0].numpy()

    @torch.no_grad()
    def become(self, seed: int) -> None:
        other = tiny_model(self.layout, seed=seed)
        for mine, new in zip(self.model.parameters(), other.parameters(), strict=True):
            mine.copy_(new)
