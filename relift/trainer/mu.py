"""Schedule the share of a loss that demonstrations have, step by step. Numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable


def warm_then_cosine(*, warmup: int, decay: int, peak: float, valley: float) -> Callable[[int], float]:
    """Make mu(step), steps from 1: up to `peak` in a line, down to `valley` in a half cosine, then constant.

    Source: CHORD's code (Trinity-RFT, trinity/algorithm/policy_loss_fn/chord_policy_loss.py at 0414330), whose first
    step is its step 1 too.
    """

    def mu(step: int) -> float:
        if step < warmup:
            return peak * step / warmup
        if step >= warmup + decay:
            return valley
        return valley + (peak - valley) * (1 + math.cos(math.pi * (step - warmup) / decay)) / 2

    return mu
