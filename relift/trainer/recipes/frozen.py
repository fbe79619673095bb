"""Frozen: GRPO at learning rate 0, the control of every comparison. What differs between its steps is sampling noise.

The same pipeline samples, grades, takes gradients and steps; the weights stay those of the base model.
"""

from __future__ import annotations

from relift.trainer.recipe import Method
from relift.trainer.recipes import grpo

DEFAULTS = {"rl": {**grpo.DEFAULTS["rl"], "optimizer": {"lr": 0.0}}}

METHOD = Method(DEFAULTS, grpo.updates)
