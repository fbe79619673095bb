import numpy as np
import pandas as pd
import pytest

from relift.analysis import (
    MissingColumn,
    base_perplexity,
    caption_length_accuracy,
    drift,
    forgetting_drift,
    grader_health,
    group_signal,
    length_accuracy,
    plot_length_accuracy,
    retention,
)
from relift.errors import InputError
from tests.analysis.frames import trajectories


def attempts(verdicts: str, *, step: int = 1, question: str = "q0", **columns: object) -> pd.DataFrame:
    """A row per letter: c correct, w wrong, u undecided."""
    names = {"c": "correct", "w": "wrong", "u": "undecided"}
    frame = pd.DataFrame({"verdict": [names[v] for v in verdicts]})
    keys = {"run_id": "rl-1", "run": "rl", "step": step, "question_id": question, "finish": "stop", "n_tokens": 10}
    return frame.assign(**keys, attempt=range(len(verdicts))).assign(**columns)


def test_length_deciles_by_hand() -> None:
    # 20 attempts of 1 to 20 tokens: two a decile; the longest two are cut off, the short half is right
    frame = attempts("c" * 10 + "w" * 9 + "u", n_tokens=range(1, 21), finish=["stop"] * 18 + ["length"] * 2)
    found = length_accuracy(frame)
    assert found[["tokens_low", "tokens_high"]].to_numpy().tolist() == [[i, i + 1] for i in range(1, 20, 2)]
    assert found["accuracy"].tolist() == [1] * 5 + [0] * 5 and found["n_decided"].tolist() == [2] * 9 + [1]
    assert found["truncated_share"].tolist() == [0] * 9 + [1]
    assert found["low"].isna().all()  # one question: nothing to resample
    assert len(length_accuracy(attempts("cw", n_tokens=5))) == 1  # equal lengths stay together


def test_splits_are_not_mixed_in_accuracy_by_length() -> None:
    # short answers to easy questions, all right, and to hard ones, all wrong: together they would be at 1/2
    both = pd.concat([attempts("cccc", question="easy", n_tokens=3), attempts("wwww", question="hard", n_tokens=3)])
    groups = pd.Series({"easy": "test", "hard": "longer"})
    found = length_accuracy(both, groups=groups)
    assert found[["group", "accuracy", "n_attempts"]].to_numpy().tolist() == [["test", 1, 4], ["longer", 0, 4]]
    assert length_accuracy(both)["accuracy"].tolist() == [0.5]
    assert "each split apart" in caption_length_accuracy(found) and "apart" not in caption_length_accuracy(found[:1])
    assert plot_length_accuracy(found).shape == (2, 2)


def test_group_signal_by_hand() -> None:
    groups = {"q0": "wwww", "q1": "cwwu", "q2": "cccc", "q3": "wwwu", "q4": "ccuu"}
    advantage = {"q1": [3.0, -1, -1, np.nan]}
    frame = pd.concat([attempts(v, question=q, advantage=advantage.get(q, [0.0] * 4)) for q, v in groups.items()])
    row = group_signal(frame).iloc[0]
    assert row[["n_all_wrong", "n_mixed", "n_all_right", "n_undecided"]].tolist() == [1, 1, 1, 2]
    # 19 advantages known, 3 other than 0; (3 + 1 + 1)^2 / (19 * (9 + 1 + 1))
    assert row["signal_share"] == pytest.approx(3 / 19) and row["effective_share"] == pytest.approx(25 / (19 * 11))
    assert np.isnan(group_signal(frame.drop(columns="advantage"))["signal_share"].item())


def test_grader_health_counts() -> None:
    frame = attempts("cwuu", answer=["1", None, None, "2"], grader_agrees=[True, False, None, None],
                     finish=["stop", "length", "stop", "stop"], verdict_rule=["a", "a", "b", "b"])  # fmt: skip
    names = ["n_attempts", "n_undecided", "n_truncated", "n_unanswered", "n_checked", "n_disagree"]
    assert grader_health(frame)[names].to_numpy().tolist() == [[4, 2, 1, 2, 2, 1]]
    by_rule = grader_health(frame, by="verdict_rule")
    assert by_rule[["verdict_rule", "n_undecided"]].to_numpy().tolist() == [["a", 0], ["b", 2]]


def test_what_was_not_recorded_is_named() -> None:
    for column in (None, np.nan):
        with pytest.raises(MissingColumn, match="attempts.sum_logprob_base was not recorded: training with") as caught:
            base_perplexity(attempts("c", sum_logprob_base=column))
        assert (caught.value.table, caught.value.column, caught.value.how) == (
            "attempts", "sum_logprob_base", "training with probe.score_base, probe answers alone",
        )  # fmt: skip
    with pytest.raises(MissingColumn, match="attempts.sum_logprob was"):
        drift(attempts("c", sum_logprob_base=-1.0))
    assert "the torch engine records it" in str(MissingColumn("attempts", "mean_entropy"))


def test_perplexity_and_drift_by_hand() -> None:
    # 10 tokens each: exp(20 / 10), exp(5 / 10), unknown
    frame = attempts("cwc", sum_logprob=[-10.0, -5.0, -1.0], sum_logprob_base=[-20.0, -5.0, np.nan])
    assert base_perplexity(frame)["perplexity"].tolist()[:2] == [pytest.approx(np.e**2), pytest.approx(np.e**0.5)]
    row = drift(frame).iloc[0]
    # 10 and 0 nats: mean 5, sd / sqrt 2 = 5, per token 10 / 20
    assert row[["drift", "standard_error", "drift_per_token", "n_attempts"]].tolist() == [5, 5, 0.5, 2]


def test_forgetting_beside_drift() -> None:
    probes = pd.concat([trajectories([8, 8], run="rl"), trajectories([8, 0], run="rl", step=1)])
    moved = drift(attempts("cw", sum_logprob=-1.0, sum_logprob_base=-2.0))
    row = forgetting_drift(retention(probes), moved).iloc[0]
    assert row["forgotten"] == 0.5 and row["drift_per_token"] == pytest.approx(0.1) and np.isnan(row["null_forgotten"])
    with pytest.raises(InputError, match="share no run and step"):
        forgetting_drift(retention(probes), moved.assign(step=7))
