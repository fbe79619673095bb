import numpy as np
import pandas as pd
import pytest

from relift.analysis import training_dynamics
from tests.analysis.frames import trajectories


def updates(kinds: list[tuple[int, str]], *, run: str = "relift", skipped: bool = False) -> pd.DataFrame:
    steps, names = zip(*kinds, strict=True)
    n = len(kinds)
    return pd.DataFrame(
        {
            "run_id": f"{run}-1", "run": run, "update": range(n), "step": steps, "kind": names,
            "n_tokens": [100 * (i + 1) for i in range(n)], "entropy": [0.1 * (i + 1) for i in range(n)],
            "skipped": skipped, "n_sampled_tokens": [None if kind == "sft" else 80 for kind in names],
            "sampler_gap": [None if kind == "sft" else 0.05 for kind in names],
            "effective_tokens": [None if kind == "sft" else 60.0 for kind in names],
        }
    )  # fmt: skip


def test_rollouts_probes_and_updates_stay_apart() -> None:
    rolled = trajectories([4, 0], run="relift", step=1, origin="rollout", n_attempts=[8, 4],
                          n_undecided=[0, 2], mean_tokens=[10, 40], mean_entropy=[0.2, 0.4])  # fmt: skip
    probed = trajectories([8, 8], run="relift", step=2, mean_tokens=[20, 20])
    frame = training_dynamics(updates([(1, "rl"), (1, "sft"), (2, "mixed")]), pd.concat([rolled, probed])).set_index(
        "step"
    )
    assert frame.index.tolist() == [1, 2]
    assert frame.loc[1, "reward"] == pytest.approx((4 / 8 + 0 / 2) / 2)
    assert frame.loc[1, "tokens"] == pytest.approx((8 * 10 + 4 * 40) / 12)
    assert frame.loc[1, "entropy"] == pytest.approx(0.3) and frame.loc[1, "n_questions"] == 2
    # weighted by tokens: (100 * .1 + 200 * .2) / 300
    assert frame.loc[1, "update_entropy"] == pytest.approx(50 / 300)
    assert frame.loc[1, "sampler_gap"] == pytest.approx(0.05) and frame.loc[1, "effective_share"] == pytest.approx(0.75)
    assert frame.loc[1, ["n_rl", "n_sft", "n_mixed"]].tolist() == [1, 1, 0]
    assert np.isnan(frame.loc[1, "probe_reward"]) and np.isnan(frame.loc[2, "reward"])
    assert frame.loc[2, "probe_reward"] == 1 and frame.loc[2, "probe_tokens"] == 20 and frame.loc[2, "n_mixed"] == 1


def test_skipped_updates_and_unrecorded_entropy() -> None:
    made = updates([(1, "rl"), (2, "sft")]).assign(skipped=[False, True], entropy=[np.nan, 0.5])
    rolled = trajectories([4], run="relift", step=1, origin="rollout", mean_entropy=np.nan)
    frame = training_dynamics(made, rolled).set_index("step")
    assert frame.loc[2, ["n_sft", "n_skipped"]].tolist() == [0, 1]
    assert (
        frame["update_entropy"].isna().all() and frame["entropy"].isna().all() and frame["probe_entropy"].isna().all()
    )
    assert np.isnan(frame.loc[2, "sampler_gap"]) and np.isnan(frame.loc[2, "effective_share"])


def test_running_mean_is_centred_and_fills_no_gaps() -> None:
    correct = {1: 0, 2: 8, 3: 4, 5: 8}
    rolled = pd.concat([trajectories([c], run="relift", step=step, origin="rollout") for step, c in correct.items()])
    frame = training_dynamics(updates([(t, "rl") for t in range(1, 6)]), rolled, window=3).set_index("step")
    assert frame["reward_smooth"].tolist()[:3] == pytest.approx([(0 + 1) / 2, (0 + 1 + 0.5) / 3, (1 + 0.5) / 2])
    assert np.isnan(frame.loc[4, "reward_smooth"]) and frame.loc[5, "reward_smooth"] == 1


def test_probes_are_over_the_questions_all_of_them_share() -> None:
    probes = pd.concat(
        [
            trajectories([4, 8], run="sft", step=0),
            trajectories([6], run="sft", step=5),  # q1 is asked at the ends alone
            trajectories([8, 0], run="sft", step=9),
            trajectories([0, 0], run="sft", step=9, draw=2),  # a top-up
        ]
    )
    frame = training_dynamics(updates([(9, "sft")], run="sft"), probes).set_index("step")
    assert frame["probe_reward"].tolist() == [4 / 8, 6 / 8, 8 / 8]
    assert frame["reward"].isna().all()


def test_runs_come_in_the_order_given() -> None:
    both = pd.concat([updates([(1, "rl")], run="rl"), updates([(1, "sft")], run="base")])
    rolled = trajectories([1], run="rl", step=1, origin="rollout")
    assert training_dynamics(both, rolled)["run"].tolist() == ["rl", "base"]
