import numpy as np
import pandas as pd
import pytest

from relift.analysis import fit_prior, reach, reach_accuracy, reach_counts
from relift.errors import InputError
from tests.analysis.frames import trajectories


def test_counts_of_base_and_runs() -> None:
    base = [trajectories([0, 0, 8, 8], draw=draw) for draw in (0, 1)]
    frame = pd.concat([*base, trajectories([0, 8, 8, 8], run="rl", step=5), trajectories([9], run="rl", step=2)])
    found = reach_counts(frame, base="base")
    assert found[["run", "step", "reach"]].to_numpy().tolist()[::3] == [["base", 0, "within"], ["rl", 5, "within"]]
    assert found["n_attempts"].tolist() == ["16"] * 3 + ["8"] * 3 and set(found["n_questions"]) == {4}
    assert found.groupby(["run", "step"])["count"].sum().tolist() == [4, 4]
    assert (found["high"] > found["low"]).all()
    own = reach_counts(pd.concat([trajectories([0, 8]), trajectories([8, 8], step=3)]), base="base")
    assert own["step"].tolist() == [0] * 3 + [3] * 3


def test_top_ups_decide() -> None:
    rng = np.random.default_rng(1)
    frame = trajectories(rng.binomial(8, rng.beta(0.45, 0.9, 200)))
    never = frame.loc[frame["n_correct"] == 0, "question_id"].tolist()
    more = trajectories([0] * len(never), n_attempts=256, draw=2, questions=never)
    before, after = (
        found[found["reach"] == "beyond"]["count"].item()
        for found in (reach_counts(f, base="base") for f in (frame, pd.concat([frame, more])))
    )
    assert (before, after) == (0, len(never))


def test_accuracy_after_step_0_by_class() -> None:
    base = trajectories([0, 8, 8])
    reached = reach(base, fit_prior(base)).assign(reach=["undetermined", "within", "within"])
    frame = pd.concat([base, trajectories([4, 8, 4], run="rl", step=5), trajectories([8, 8, 8], run="rl", step=9)])
    found = reach_accuracy(frame, reached)
    assert set(found["step"]) == {5, 9}  # the attempts of step 0 chose the classes
    by_class = found.set_index(["reach", "step"])["accuracy"]
    assert by_class[("within", 5)] == 0.75 and by_class[("undetermined", 5)] == 0.5 and by_class[("within", 9)] == 1
    assert np.isnan(by_class[("beyond", 5)])
    assert np.isnan(found.set_index(["reach", "step"]).loc[("within", 9), "low"])  # all right: no width, no claim
    with pytest.raises(InputError, match="no run has a probe at a step after 0"):
        reach_accuracy(base, reached)
    with pytest.raises(InputError, match="classes of several runs"):
        reach_accuracy(frame, pd.concat([reached, reached.assign(run_id="x")]))
