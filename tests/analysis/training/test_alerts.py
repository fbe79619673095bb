"""Rules of the alerts, on small exact frames."""

from __future__ import annotations

import pandas as pd

from relift.analysis import find_alerts, last_health
from relift.analysis.training.alerts import checks_made
from tests.analysis.frames import trajectories


def _dynamics(**columns: list[float]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    plain = {"reward": [0.5] * n, "tokens": [100.0] * n, "truncated_share": [0.0] * n, "entropy": [0.1] * n}
    plain |= {"sampler_gap": [0.01] * n, "effective_share": [0.99] * n}
    return pd.DataFrame({"run_id": "r", "run": "rl", "step": range(1, n + 1), "n_skipped": 0, **plain, **columns})


def _kinds(frame: pd.DataFrame) -> list[str]:
    return list(frame["kind"])


def test_length_that_feeds_on_itself_is_told_from_length_that_helps() -> None:
    longer = {"tokens": [100, 100, 120, 140, 200, 220], "truncated_share": [0, 0, 0.02, 0.05, 0.2, 0.3]}
    falling = _dynamics(**longer, reward=[0.6, 0.6, 0.5, 0.5, 0.4, 0.4])
    found = find_alerts(falling)
    assert _kinds(found) == ["spiral"]
    # thirds of six steps are two: 100 to 210 tokens, reward .6 to .4
    assert "from 100 to 210 tokens" in found["sentence"].iloc[0] and "0.60 to 0.40" in found["sentence"].iloc[0]
    assert _kinds(find_alerts(_dynamics(**longer, reward=[0.4, 0.4, 0.5, 0.5, 0.6, 0.6]))) == []
    assert _kinds(find_alerts(falling.head(5))) == []  # too few steps to tell


def test_entropy_and_skipped_updates_are_told() -> None:
    assert _kinds(find_alerts(_dynamics(entropy=[0.5, 0.5, 0.3, 0.2, 0.1, 0.1]))) == ["entropy"]
    assert _kinds(find_alerts(_dynamics(entropy=[0.5, 0.5, 0.3, 0.2, 0.2, 0.2]))) == []
    assert _kinds(find_alerts(_dynamics(n_skipped=[0, 1, 0, 0, 0, 0]))) == ["skipped updates"]


def test_a_sampler_that_differs_from_the_learner_is_told() -> None:
    """Over .1 nats a token, or worth less than .8 of the tokens; steps without a sampler do not count."""
    none = float("nan")
    far = find_alerts(_dynamics(sampler_gap=[0.01, none, 0.2, 0.3], effective_share=[0.99, none, 0.9, 0.7]))
    assert _kinds(far) == ["sampler"]
    assert "In 2 of 3 steps" in far["sentence"].iloc[0] and "in step 4: 0.3 nats" in far["sentence"].iloc[0]
    assert "worth 70% of" in far["sentence"].iloc[0]
    assert _kinds(find_alerts(_dynamics(effective_share=[0.99, 0.75]))) == ["sampler"]
    assert _kinds(find_alerts(_dynamics(sampler_gap=[none, 0.1], effective_share=[none, 0.8]))) == []


def test_a_dry_buffer_is_one_that_stays_empty() -> None:
    buffer = pd.DataFrame({"run_id": "r", "run": "rl", "step": [1, 2], "buffer_len": [2, 0], "n_enqueued": [2, 0]})
    found = find_alerts(_dynamics(reward=[0.5] * 9), buffer=buffer)
    assert _kinds(found) == ["dry buffer"] and "since step 1" in found["sentence"].iloc[0]
    assert _kinds(find_alerts(_dynamics(reward=[0.5] * 9), buffer=buffer.assign(step=[1, 8], n_enqueued=[2, 1]))) == []


def test_grader_and_truncation_have_limits() -> None:
    # of 16 answers at the last probe: 1 undecided is 6 %, 2 cut off are 12.5 %; at step 0 all were undecided
    rows = pd.concat(
        [
            trajectories([0], n_undecided=8),
            trajectories([4, 4], step=5, n_undecided=[1, 0], n_truncated=[2, 0]),
        ]
    )
    health = last_health(rows)
    assert health[["step", "n_attempts", "n_undecided", "n_truncated"]].to_numpy().tolist() == [[5, 16, 1, 2]]
    none = pd.DataFrame(columns=["run_id", "run", "step"])
    found = find_alerts(none, health=health)
    assert _kinds(found) == ["grader", "truncation"] and "1 of 16" in found["sentence"].iloc[0]
    assert _kinds(find_alerts(none, health=health.assign(n_undecided=0, n_truncated=1))) == []  # 6 % cut off


def test_a_check_without_anything_to_go_by_is_not_made() -> None:
    none = [float("nan")] * 6
    health = pd.DataFrame({"run_id": ["r"], "run": "rl", "n_attempts": [8], "n_undecided": [0], "n_truncated": [0]})
    updates = {"n_rl": [1] * 6, "n_sft": [0] * 6, "n_mixed": [0] * 6}
    whole = checks_made(_dynamics(**updates), health=health)
    assert _kinds(whole) == ["spiral", "entropy", "skipped updates", "sampler", "grader", "truncation"]
    recorded = _dynamics(**{name: [0] * 6 for name in updates}, entropy=none, sampler_gap=none, effective_share=none)
    assert _kinds(checks_made(recorded, health=health)) == ["spiral", "grader", "truncation"]
    assert _kinds(checks_made(recorded.head(5))) == []  # too few steps to tell
