import pandas as pd
import pytest

from relift.analysis import sharpening
from relift.errors import InputError
from tests.analysis.frames import trajectories


def test_pass_1_and_pass_k_of_every_probe() -> None:
    # of 2 attempts: pass@1 = c/2, pass@2 = 1 if any is right; step 0: 1 and 0, step 5: 2 and 0
    frame = pd.concat([trajectories([1, 0], n_attempts=2), trajectories([2, 0], step=5, n_attempts=2)])
    found = sharpening(frame, k=2)
    assert found["pass_1"].tolist() == [0.25, 0.5] and found["pass_k"].tolist() == [0.5, 0.5]
    with pytest.raises(InputError, match="at least 2"):
        sharpening(frame, k=1)
