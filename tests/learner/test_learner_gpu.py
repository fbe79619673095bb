"""On a GPU the learner scores and trains as on the CPU; half precision goes through the variable-length kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from relift.learner.learner import Learner
from relift.learner.losses import ppo_clip
from relift.learner.optim import OptimizerSpec
from relift.learner.update import Update
from relift.schema import UpdateKind
from tests.learner.tiny import component, gradients, relative_difference, some_sequences, tiny_model

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]
SPECS = {"rl": OptimizerSpec(lr=1e-2)}
SEQUENCES = some_sequences(12)
UPDATE = Update(UpdateKind.rl, "rl", (component("rl", SEQUENCES, ppo_clip(0.2, 0.28), 60.0, entropy_weight=0.01),))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 0.1)])
def test_gradient_is_the_cpus(dtype: torch.dtype, tolerance: float) -> None:
    """In bfloat16 the reference is the float32 gradient of the same rounded weights."""
    cpu = Learner(tiny_model().to(dtype).float(), SPECS)
    gpu = Learner(tiny_model().to(dtype), SPECS, device="cuda")
    for learner in (cpu, gpu):
        learner.forward_backward(UPDATE)
    on_cpu = {name: gradient.float().cpu() for name, gradient in gradients(gpu).items()}
    assert relative_difference(on_cpu, gradients(cpu)) < tolerance
    for mine, theirs in zip(gpu.score(SEQUENCES), cpu.score(SEQUENCES), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2 * tolerance)
    assert not gpu.optim_step("rl").skipped
