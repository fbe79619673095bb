"""Schedule a number over the steps of a run: the one way in which a weight, a share or a length changes. Numpy only.

| what | source of its shape |
|---|---|
| CHORD's mu: a line up to the peak, a half cosine down to the valley | Trinity-RFT, chord_policy_loss.py at 0414330 |
| KDRL's beta: a straight line over the run | ours (docs/differences.md) |
| Prefix-RFT's least share: a half cosine over the run | its code, recipe/prefix_rft/scheduler/global_step.py |
| a share that falls in one step (QuestA) | arXiv 2507.13266, in two stages |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

Shape = Literal["linear", "cosine", "step"]
Schedule = Callable[[int], float]  # by the step's number, from 1


def schedule(
    first: float, last: float, *, shape: Shape = "linear", begin: int = 1, length: int, warmup: int = 0
) -> Schedule:
    """Make value(step): `first` until step `begin`, then along the shape, `last` from step `begin + length` on.

    `warmup`: before step `warmup` the value is on a line from 0 at step 0. A step ("step") is at `begin + length`.
    """

    def value(step: int) -> float:
        if step < warmup:
            return first * step / warmup
        if step >= begin + length:
            return last
        share = max(step - begin, 0) / length
        if shape == "step":
            return first
        if shape == "linear":
            return first + (last - first) * share
        return last + (first - last) * (1 + math.cos(math.pi * share)) / 2

    return value


def over_run(first: float, last: float | None, *, shape: Shape, steps: int) -> Schedule:
    """Make a schedule from the first step of a run to its last; `last` None: always `first`."""
    return schedule(first, first if last is None else last, shape=shape, length=max(steps - 1, 1))
