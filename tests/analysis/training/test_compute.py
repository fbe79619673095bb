import pandas as pd
import pytest

from relift.analysis import accuracy_by_cost, probe_scores
from relift.errors import InputError
from tests.analysis.frames import trajectories


def test_costs_are_those_of_the_checkpoint() -> None:
    probes = pd.concat([trajectories([2, 4], run="rl", step=s) for s in (0, 3, 6)])
    used = pd.DataFrame(
        {"run_id": ["rl-1"], "run": ["rl"], "step": [6], "generated_tokens": [100], "trained_tokens": [50],
         "wall_seconds": [9.0]}
    )  # fmt: skip
    found = accuracy_by_cost(probe_scores(probes), used)
    assert found["step"].tolist() == [0, 6] and found["tokens"].tolist() == [0, 150]  # step 3 has no checkpoint
    assert found["flops_per_parameter"].tolist() == [0, 2 * 100 + 6 * 50]
    with pytest.raises(InputError, match="no probe after step 0 has a checkpoint"):
        accuracy_by_cost(probe_scores(probes), used.assign(step=99))
