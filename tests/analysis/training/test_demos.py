import numpy as np
import pandas as pd
import pytest

from relift import stats
from relift.analysis import buffer_health, demo_efficiency, demonstration_sources, probe_scores
from relift.errors import InputError
from tests.analysis.frames import trajectories


def demo_events(rows: list[tuple[int, str, str, int, float]]) -> pd.DataFrame:
    """(step, event, demo_id, buffer_len, age_steps)."""
    frame = pd.DataFrame(rows, columns=["step", "event", "demo_id", "buffer_len", "age_steps"])
    return frame.assign(run_id="relift-1", run="relift", event_ix=np.arange(len(frame)))


EVENTS = demo_events(
    [
        (1, "enqueue", "a", 1, 0),
        (1, "enqueue", "b", 2, 0),
        (3, "enqueue", "c", 3, 0),
        (3, "train", "a", 2, 2),
        (3, "train", "b", 1, 2),
        (4, "evict", "c", 0, 1),
        (7, "train", "a", 0, np.nan),
    ]
)


def test_probe_scores_pool_draws_and_leave_top_ups_out() -> None:
    frame = pd.concat(
        [
            trajectories([0, 8, 2]),
            trajectories([2, 8, 4], draw=1),
            trajectories([8, 8, 8], draw=2),
            trajectories([4, 8, 6], step=10),
        ]
    )
    scores = probe_scores(frame).set_index("step")
    assert scores.loc[0, "value"] == pytest.approx((2 + 16 + 6) / 16 / 3)
    assert probe_scores(frame, measure_draw=1).set_index("step").loc[0, "value"] == pytest.approx(14 / 8 / 3)
    expected = stats.mean_over_questions([4, 8, 6], [8, 8, 8])
    assert scores.loc[10, ["value", "ci_low", "ci_high"]].tolist() == [expected.value, expected.low, expected.high]
    assert scores.loc[10, "n_questions"] == 3 and scores.loc[10, "n_attempts"] == 24
    assert probe_scores(frame[:0]).columns.tolist() == probe_scores(frame).columns.tolist()


USED = pd.DataFrame(
    {"run_id": "relift-1", "run": "relift", "step": [3, 7], "demonstrations": [2, 3], "distinct_demonstrations": [2, 2]}
)


def test_demo_efficiency_joins_scores_and_counts() -> None:
    probes = pd.concat([trajectories([0, 4], run="relift", step=s) for s in (0, 3, 5, 7)])
    joined = demo_efficiency(probe_scores(probes), USED)
    assert joined["step"].tolist() == [0, 3, 7]  # step 5 has no count; at step 0 nothing was trained on
    assert joined["demonstrations"].tolist() == [0, 2, 3]
    assert joined["distinct_demonstrations"].tolist() == [0, 2, 2]
    base = probe_scores(trajectories([0, 4]))
    assert demo_efficiency(base, USED.assign(run_id="base-1"))["demonstrations"].tolist() == [0]


def test_demo_efficiency_refuses_unknown_runs_and_mixed_scores() -> None:
    scores = probe_scores(trajectories([0, 4], run="sft", step=3))
    with pytest.raises(InputError, match="no checkpoint of run sft-1"):
        demo_efficiency(scores, USED)
    with pytest.raises(InputError, match="several values of benchmark"):
        demo_efficiency(pd.concat([scores, scores.assign(benchmark="aime24")]), USED)


def test_buffer_health_by_step() -> None:
    health = buffer_health(EVENTS).set_index("step")
    assert health.index.tolist() == [1, 3, 4, 7]
    assert health["buffer_len"].tolist() == [2, 1, 0, 0]
    assert health["n_enqueued"].tolist() == [2, 1, 0, 0]
    assert health["n_trained"].tolist() == [0, 2, 0, 1] and health["n_evicted"].tolist() == [0, 0, 1, 0]
    # trained at step 3 with ages 2 and 2; at step 7 without ever having been enqueued
    assert health.loc[3, ["age_low", "age_median", "age_high"]].tolist() == [2, 2, 2]
    assert health.loc[[1, 4, 7], "age_median"].isna().all()


def test_demonstrations_are_counted_by_source() -> None:
    """Two of the teacher's three came while training went on and cost $3; of the data set's one nobody says a price."""
    frame = pd.DataFrame(
        {
            "run_id": "a",
            "run": "A",
            "source": ["dataset", "teacher", "teacher", "teacher"],
            "accepted": [True, True, False, False],
            "reject_reason": [None, None, "too_long", "wrong_answer"],
            "cost": [None, 1.0, 2.0, None],
            "step": [None, 2, 3, None],
        }
    )
    counted = demonstration_sources(frame)
    columns = ["source", "n_offered", "n_accepted", "n_online", "refused"]
    assert counted[columns].values.tolist() == [
        ["dataset", 1, 1, 0, ""],
        ["teacher", 3, 1, 2, "too_long 1, wrong_answer 1"],
    ]
    assert counted["usd"].isna().tolist() == [True, False] and counted["usd"].iloc[1] == 3.0
