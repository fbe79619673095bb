import numpy as np
import pandas as pd
import pytest

from relift.analysis import around_training
from relift.errors import InputError
from tests.analysis.frames import trajectories


def rollout(question: str, step: int, n_correct: int, *, run: str = "relift") -> pd.DataFrame:
    return trajectories([n_correct], run=run, step=step, questions=[question], origin="rollout")


def event(question: str, step: int, kind: str, *, reason: str | None = None) -> dict[str, object]:
    names = {"run_id": "relift-1", "run": "relift", "step": step, "question_id": question}
    return {**names, "demo_id": f"d-{question}", "event": kind, "reason": reason, "age_steps": 0, "buffer_len": 1}


# enqueued in the first 8 steps, measured in steps 8 to 15: q0 was trained on at step 3, q1 and q2 still wait,
# q3 was trained on in an update that was not made, q4 after its measurement
SEEN = pd.concat([rollout(f"q{i}", 1, 0) for i in range(5)] + [rollout("q0", 9, 4), rollout("q1", 9, 2)])
SEEN = pd.concat([SEEN, rollout("q2", 10, 0), rollout("q3", 11, 6), rollout("q4", 12, 8)])
EVENTS = pd.DataFrame(
    [
        *(event(f"q{i}", 1, "enqueue") for i in range(5)),
        event("q0", 3, "train"),
        event("q3", 3, "train", reason="refused"),
        event("q4", 12, "train"),
    ]
)


def test_the_difference_by_hand() -> None:
    found = around_training(SEEN, EVENTS, horizon=16)
    first = found.iloc[0]
    # q0: .5, six steps after; controls q1 .25, q2 0, q3 .75, q4 (its rollouts came before the update) 1: mean .5
    assert first[["from", "to", "n_trained", "n_controls", "n_unmatched"]].tolist() == [0, 8, 1, 4, 0]
    assert first[["trained", "control", "att"]].tolist() == [0.5, 0.5, 0.0]
    assert found.iloc[1][["trained", "att"]].isna().all() and found.iloc[1]["n_trained"] == 0
    assert set(found["controls"]) == {"waiting in the buffer"}


def test_controls_waited_as_long() -> None:
    late = pd.concat([SEEN, rollout("q5", 7, 0), rollout("q5", 20, 8), rollout("q0", 20, 0)])
    events = pd.concat([EVENTS, pd.DataFrame([event("q5", 7, "enqueue")])])
    # at step 20 q5 is the only control of q0, entered in the same 8 steps
    found = around_training(late, events, horizon=24)
    assert found.iloc[2][["trained", "control", "n_controls"]].tolist() == [0, 1, 1]
    alone = around_training(late, pd.concat([EVENTS, pd.DataFrame([event("q5", 8, "enqueue")])]), horizon=24)
    assert np.isnan(alone["att"].iloc[2]) and alone["n_unmatched"].iloc[2] == 1  # q5 entered in the next 8 steps


def test_controls_of_another_run_were_all_wrong() -> None:
    other = [rollout("q0", 2, 0, run="rl"), rollout("q1", 2, 1, run="rl"), rollout("q0", 9, 2, run="rl")]
    found = around_training(pd.concat([SEEN, *other, rollout("q1", 9, 8, run="rl")]), EVENTS, horizon=8, controls="rl",
                            run="relift")  # fmt: skip
    # q1 was not all wrong in run rl, so q0 there is the control
    assert found[["trained", "control", "n_controls", "controls"]].to_numpy().tolist() == [[0.5, 0.25, 1, "rl"]]


def test_what_cannot_be_followed_is_said() -> None:
    with pytest.raises(InputError, match="no demonstration was trained on"):
        around_training(SEEN, EVENTS[EVENTS["event"] == "enqueue"], horizon=8)
    with pytest.raises(InputError, match="no question was measured within 8 steps after it was trained on"):
        around_training(SEEN[SEEN["step"] == 1], EVENTS, horizon=8)


def simulated(effect: float, *, n_questions: int = 600) -> pd.DataFrame:
    """Questions enqueued when all wrong, half of them trained on at once, all measured again at step 12."""
    rng = np.random.default_rng(4)
    rate_Q = rng.beta(0.45, 0.9, n_questions)
    wrong = np.flatnonzero(rng.binomial(8, rate_Q) == 0)
    treated = wrong[: len(wrong) // 2]
    later_Q = rate_Q + effect * np.isin(np.arange(n_questions), treated) * (1 - rate_Q)
    names = [f"q{i}" for i in range(n_questions)]
    seen = pd.concat(
        [
            trajectories(np.where(np.isin(np.arange(n_questions), wrong), 0, 4), step=1, run="relift", questions=names),
            trajectories(rng.binomial(8, later_Q), step=12, run="relift", questions=names),
        ]
    )
    events = [event(f"q{i}", 1, "enqueue") for i in wrong] + [event(f"q{i}", 2, "train") for i in treated]
    return around_training(seen.assign(origin="rollout"), pd.DataFrame(events), horizon=16)


def test_a_rise_by_itself_is_no_effect() -> None:
    row = simulated(0.0).iloc[1]
    assert row["trained"] > 0.02  # all wrong once is not all wrong twice
    assert row["low"] < 0 < row["high"]


def test_an_effect_is_found() -> None:
    row = simulated(0.3).iloc[1]
    # .3 of the way to 1 from a mean rate of about .03
    assert row["low"] < 0.29 < row["high"] and row["low"] > 0.2
