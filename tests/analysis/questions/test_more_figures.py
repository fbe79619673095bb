"""Figures of pass@k over steps, unsolved questions, diversity, repair, power and two verdicts, on counts by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from relift import analysis as ra
from relift.analysis.runs.recorded import MissingColumn
from relift.errors import InputError
from tests.analysis.frames import trajectories


def test_pass_at_k_is_followed_at_each_probe() -> None:
    frame = pd.concat([trajectories([1, 4], n_attempts=4), trajectories([2, 4], run="base", step=5, n_attempts=4)])
    found = ra.pass_at_k_over_steps(frame).set_index(["step", "k"])["value"]
    # q0: 1/4, 1 - C(3,2)/C(4,2) = 1/2, 1 at k = 1, 2, 4; then 2/4, 1 - 1/6, 1. q1 is always 1
    assert found[0, 1] == pytest.approx(0.625) and found[0, 2] == pytest.approx(0.75) and found[0, 4] == 1
    assert found[5, 1] == pytest.approx(0.75) and found[5, 2] == pytest.approx((1 + 5 / 6) / 2)
    assert len(ra.plot_pass_at_k_over_steps(ra.pass_at_k_over_steps(frame))) == 3


def probes() -> pd.DataFrame:
    """q0, q1, q2 unsolved by draw 0 of the base, q3 solved; draw 1 solves q0; rl solves q0, q1 at 3; frozen q2."""
    return pd.concat(
        [
            trajectories([0, 0, 0, 5]),
            trajectories([1, 0, 0, 5], draw=1),
            trajectories([2, 1, 0, 0], run="rl", step=3),
            trajectories([0, 0, 1, 5], run="frozen", step=3),
        ]
    )


def test_unsolved_questions_stand_beside_what_a_copy_solves() -> None:
    found = ra.base_unsolved(probes(), base="base").set_index("run")
    assert found.loc["rl", ["n_unsolved", "n_solved", "n_attempts"]].tolist() == [3, 2, "8"]
    assert found.loc["rl", "null_share"] == pytest.approx(1 / 3)  # draw 1 solves q0 of three
    beside = ra.base_unsolved(probes(), base="base", control="frozen").set_index("run")
    assert beside.loc["rl", "null_share"] == pytest.approx(1 / 3) == beside.loc["frozen", "share"]
    assert "frozen copy" in ra.caption_base_unsolved(ra.base_unsolved(probes(), base="base"))
    with pytest.raises(InputError, match="solved every question"):
        ra.base_unsolved(pd.concat([trajectories([1]), trajectories([1], run="rl", step=3)]))


def test_discovery_is_counted_at_equal_samples() -> None:
    rollouts = pd.concat(
        [
            trajectories([0, 2], run="rl", step=1, n_attempts=4, origin="rollout"),
            trajectories([2, 0], run="relift", step=1, n_attempts=[8, 4], origin="rollout"),
        ]
    )
    (row,) = ra.discovery(rollouts, reference="rl").to_dict("records")
    # q0: 4 of relift's 8 rollouts hold one of 2 correct: 1 - C(6,4)/C(8,4) = 1 - 15/70; rl has none. q1: the reverse, 1
    assert row["discovered"] == pytest.approx(55 / 70) and row["missed"] == 1 and row["n_questions"] == 2
    assert row["share"] == pytest.approx((55 / 70 - 1) / 2)
    with pytest.raises(InputError, match="no run was trained on a question"):
        ra.discovery(rollouts[rollouts["run"] == "rl"], reference="rl")


def test_diversity_averages_over_questions() -> None:
    frame = pd.concat([trajectories([0, 4]), trajectories([0, 4], step=5)]).assign(n_distinct_answers=[1, 3, 2, 8])
    found = ra.answer_diversity(frame).set_index(["measure", "step"])
    assert found.loc[("distinct", 0), "value"] == 2 and found.loc[("distinct", 5), "value"] == 5
    # 2 and 8: sd 4.2426 over sqrt 2 = 3, t(1) = 12.7062: 5 + 38.12
    assert found.loc[("distinct", 5), "high"] == pytest.approx(5 + 12.7062 * 3, abs=1e-3)
    assert found.loc[("distinct", 5), "low"] == 0 and found.loc[("entropy", 0), "value"] == pytest.approx(0.5)


def test_entropy_of_answers_counts_no_answer_as_one_and_leaves_out_other_draws_and_assistance() -> None:
    attempts = pd.DataFrame({"answer": ["1", "1", None, None, "2", "2", "3"], "assistance": ["none"] * 6 + ["hint"]})
    attempts = attempts.assign(run_id="r", run="rl", step=5, question_id=["a"] * 4 + ["b"] * 3, draw=[0] * 7)
    attempts = pd.concat([attempts, attempts.head(1).assign(draw=1, answer="9")])
    found = ra.answer_entropy(attempts).set_index("question_id")["answer_entropy"]
    # a: 1, 1, none, none: ln 2. b: 2, 2 and an assisted one: 0
    assert found["a"] == pytest.approx(np.log(2)) and found["b"] == 0 and len(found) == 2
    frame = trajectories([0, 4], step=5).assign(n_distinct_answers=[2, 1], question_id=["a", "b"], run_id="r", run="rl")
    both = ra.answer_diversity(frame, ra.answer_entropy(attempts)).set_index("measure")
    assert both.loc["answer_entropy", "value"] == pytest.approx(np.log(2) / 2)
    assert "answer_entropy" not in set(ra.answer_diversity(frame)["measure"])
    assert "equal numbers" in ra.caption_answer_diversity(both.reset_index())


def test_a_lost_question_is_repaired_once() -> None:
    # over probes 0 to 4; q0 lost at 1, back at 2; q1 lost at 1, back at 3; q2 lost at 1 for good; q3 never lost
    solved = np.array([[1, 0, 1, 1, 1], [1, 0, 0, 1, 1], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    frame = pd.concat([trajectories(solved[:, t], run="rl", step=t) for t in range(5)])
    found = ra.repair_window(frame)
    # one probe later: 1 of 3; two: of q1, q2 one; three: q2, none
    assert found[["probes_since", "n_lost", "n_repaired"]].to_numpy().tolist() == [[1, 3, 1], [2, 2, 1], [3, 1, 0]]
    assert ra.repair_window(frame, control="rl")["control_share"].tolist() == found["share"].tolist()
    with pytest.raises(InputError, match="nothing to repair"):
        ra.repair_window(pd.concat([trajectories([1], run="rl", step=t) for t in range(2)]))


def test_the_smallest_change_is_2_8_standard_errors() -> None:
    frame = pd.concat([trajectories([0, 4, 2, 6]), trajectories([4, 4, 3, 7], run="rl", step=5)])
    row = ra.smallest_change(ra.difference_from_base(frame)).to_dict("records")[0]
    # differences .5, 0, .125, .125: mean .1875, sd .21651, over 2: error .108253
    assert row["detectable"] == pytest.approx(2.8 * 0.1082532, rel=1e-5) and row["found"] is False
    alone = pd.concat([trajectories([4]), trajectories([8], run="rl", step=5)])
    (one,) = ra.smallest_change(ra.difference_from_base(alone)).to_dict("records")
    assert np.isnan(one["detectable"]) and one["found"] is None


def judged() -> pd.DataFrame:
    """Four attempts at a question: right and upheld, right and refused, wrong, undecided."""
    rows = [(0, "correct"), (1, "correct"), (2, "wrong"), (3, "undecided")]
    frame = pd.DataFrame(rows, columns=["attempt", "verdict"])
    return frame.assign(run_id="rl-1", run="rl", step=5, question_id="q0", draw=0)


def test_pass_at_k_of_two_verdicts() -> None:
    verdicts = pd.DataFrame({"question_id": "q0", "attempt": [0, 1, 2, 3], "right": [True, False, True, True]})
    both = ra.second_verdicts(judged(), verdicts)
    found = ra.pass_at_k_of_two(both).set_index(["side", "k"])["value"]
    assert found["answer", 1] == pytest.approx(2 / 3) and found["both", 1] == pytest.approx(1 / 3)
    assert ra.pass_at_k_of_two(both)["share_second"].unique().tolist() == [0.5]
    assert "upheld: rl 50 %" in ra.caption_pass_at_k_of_two(ra.pass_at_k_of_two(both))
    with pytest.raises(InputError, match="judge an attempt twice"):
        ra.second_verdicts(judged(), pd.concat([verdicts, verdicts]))
    with pytest.raises(InputError, match="need question_id, attempt and right"):
        ra.second_verdicts(judged(), verdicts.drop(columns="right"))
    with pytest.raises(InputError, match="no attempt has a second verdict"):
        ra.pass_at_k_of_two(judged().assign(second=None))


def test_likely_demonstrations_are_related_to_what_was_learnt() -> None:
    demonstrations = pd.DataFrame(
        {
            "run_id": "rl-1", "run": "rl", "demo_id": list("abc"), "question_id": ["q0", "q1", "q2"],
            "n_tokens": [10, 10, 10], "sum_logprob_base": [-5.0, -20.0, -30.0],
        }
    )  # fmt: skip
    events = pd.DataFrame({"run_id": "rl-1", "run": "rl", "demo_id": list("abc"), "event": "train", "step": 3})
    later = pd.concat([trajectories([1, 1], run="rl", step=2), trajectories([1, 0], run="rl", step=4)])
    found = ra.learnt_by_likelihood(demonstrations, events, later)
    # q0 and q1 were asked at 4, after 3: one answered; q2 never again
    assert found[["nats", "n_demonstrations", "n_learnt"]].to_numpy().tolist() == [[0.5, 1, 1], [2.0, 1, 0]]
    assert found["n_left_out"].tolist() == [1, 1]
    with pytest.raises(InputError, match="asked again"):
        ra.learnt_by_likelihood(demonstrations, events, later[later["step"] < 3])
    with pytest.raises(MissingColumn, match="data.score_base"):
        ra.learnt_by_likelihood(demonstrations.assign(sum_logprob_base=np.nan), events, later)
