import numpy as np
import pandas as pd
import pytest

from relift.analysis import gain_by_base
from relift.errors import InputError
from tests.analysis.frames import frozen_run, trajectories


def test_gain_is_measured_from_the_draw_that_did_not_sort() -> None:
    # draw 0 sorts q0, q1 at 0 and q2 at 8; draw 1 starts them at 2, 0 and 4 of 8; the end is 4, 0, 8
    parts = [trajectories([0, 0, 8]), trajectories([2, 0, 4], draw=1), trajectories([4, 0, 8], step=5)]
    found = gain_by_base(pd.concat(parts)).set_index("n_correct")
    assert found["difference"].tolist() == [0.125, 0.5] and found["n_questions"].tolist() == [2, 1]
    assert found.loc[0, "base_rate"] == 0.125 and np.isnan(found.loc[8, "low"])
    with pytest.raises(InputError, match="two draws at step 0"):
        gain_by_base(pd.concat([parts[0], parts[2]]))


def test_a_frozen_model_is_at_zero_everywhere() -> None:
    found = gain_by_base(frozen_run(4_000, np.random.default_rng(3)))
    # nine points: all intervals of 95 % but at most two hold 0
    assert ((found["low"] <= 0) & (found["high"] >= 0)).sum() >= 7
