from __future__ import annotations

from pathlib import Path

import pytest

from relift.analysis import read_checkpoints, throughput
from relift.errors import InputError
from tests.synthetic import write_run


def test_throughput_is_of_what_came_since(tmp_path: Path) -> None:
    run = tmp_path / "rl"
    write_run(run, n_questions=80, n_steps=8, learn=0.8, seed=3, probe_every=4)
    found = throughput(read_checkpoints([run]))
    # checkpoints at 0, 4 and 8: 6,000 tokens and one second a step
    assert list(found["step"]) == [4, 8] and list(found["step_before"]) == [0, 4]
    assert list(found["generated_per_second"]) == [6000, 6000] and list(found["seconds_per_step"]) == [1, 1]
    with pytest.raises(InputError, match="two checkpoints"):
        throughput(read_checkpoints([run]).head(1))
