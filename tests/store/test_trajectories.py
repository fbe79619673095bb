from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relift.schema import TABLES, Assistance, Verdict
from relift.store import trajectories_of
from relift.store.tables import conform
from tests.store.rows import attempts

ROWS = pd.DataFrame(
    {
        "question_ix": [7, 2, 7, 2, 7],
        "attempt": [0, 0, 1, 1, 2],
        "verdict": ["correct", "wrong", "undecided", "wrong", "correct"],
        "finish": ["stop", "length", "stop", "stop", "stop"],
        "n_tokens": [10, 3, 5, 4, 20],
        "answer": ["1", None, None, "8", "1"],
        "mean_entropy": [0.5, None, 1.0, None, 0.75],
        "origin": "probe", "draw": 1, "step": 4,
    }
)  # fmt: skip
NONE: dict[str, dict[int, int]] = {"rl_exposures": {}, "sft_exposures": {}, "in_buffer": {}}


def test_counts_and_means() -> None:
    rows = trajectories_of(ROWS, rl_exposures={7: 3}, sft_exposures=np.arange(8), in_buffer={2: True})
    assert rows.to_dict("list") == {
        "origin": ["probe"] * 2, "draw": [1, 1], "step": [4, 4],
        "question_ix": [2, 7],
        "n_attempts": [2, 3],
        "n_correct": [0, 2],
        "n_undecided": [0, 1],
        "n_truncated": [1, 0],
        "n_distinct_answers": [1, 1],  # "8"; "1" twice. No answer is none.
        "mean_tokens": [3.5, np.float32(35 / 3)],
        "mean_tokens_correct": [pytest.approx(np.nan, nan_ok=True), 15.0],  # (10 + 20) / 2
        "mean_entropy": [pytest.approx(np.nan, nan_ok=True), 0.75],  # (0.5 + 1 + 0.75) / 3
        "rl_exposures": [0, 3], "sft_exposures": [2, 7], "in_buffer": [True, False],
    }  # fmt: skip


def test_missing_means_become_null() -> None:
    rows = trajectories_of(ROWS, **NONE)
    table = conform(TABLES["trajectories"], rows, {"run_id": "r", "origin": "probe", "draw": 1, "step": 4})
    assert table.column("mean_tokens_correct").to_pylist() == [None, 15.0]
    assert table.column("mean_entropy").to_pylist() == [None, 0.75]


def test_order_and_representation_do_not_matter() -> None:
    frame = attempts(20, 8, seed=3).drop(columns="text")
    wanted = trajectories_of(frame, **NONE)
    constants = {"run_id": "r", "origin": "probe", "draw": 0, "step": 0}
    stored = conform(TABLES["attempts"], frame.sample(frac=1, random_state=0), constants)
    again = trajectories_of(stored, **NONE)[wanted.columns]
    pd.testing.assert_frame_equal(again, wanted, check_exact=True)
    pd.testing.assert_frame_equal(trajectories_of(stored.to_pandas(), **NONE)[wanted.columns], wanted, check_exact=True)


def test_by_hand_for_each_question() -> None:
    frame = attempts(30, 5, seed=5)
    rows = trajectories_of(frame, **NONE).set_index("question_ix")
    for question_ix, group in frame.groupby("question_ix"):
        row = rows.loc[question_ix]
        assert row["n_correct"] == (group["verdict"] == "correct").sum()
        assert row["n_distinct_answers"] == group["answer"].nunique()
        assert row["mean_tokens"] == pytest.approx(group["n_tokens"].mean(), rel=1e-6)


def test_several_steps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"several values of step: \[4, 5\]"):
        trajectories_of(pd.concat([ROWS, ROWS.assign(step=5)]), **NONE)


def test_no_attempts() -> None:
    rows = trajectories_of(ROWS.iloc[:0], **NONE)
    assert len(rows) == 0 and "n_attempts" in rows.columns
    assert len(trajectories_of(ROWS.iloc[:0].astype(object), **NONE)) == 0


# ---- assisted attempts -----------------------------------------------------------------------------------------

verdicts = st.sampled_from([v.value for v in Verdict])
given_help = st.sampled_from([a.value for a in Assistance if a is not Assistance.none])


@settings(deadline=None, max_examples=60)
@given(
    own=st.lists(st.tuples(st.integers(0, 3), verdicts), min_size=1, max_size=12),
    helped=st.lists(st.tuples(st.integers(0, 5), verdicts, given_help), max_size=12),
)
def test_assisted_attempts_change_no_trajectory(own: list[tuple[int, str]], helped: list[tuple[int, str, str]]) -> None:
    rows = [(question_ix, verdict, "none") for question_ix, verdict in own] + helped
    frame = pd.DataFrame(rows, columns=["question_ix", "verdict", "assistance"]).assign(
        attempt=range(len(rows)), finish="stop", n_tokens=5, answer="7", mean_entropy=0.5
    )
    alone = frame.iloc[: len(own)].drop(columns="assistance")  # as a version without the column wrote them
    wanted = trajectories_of(alone, **NONE)
    pd.testing.assert_frame_equal(trajectories_of(frame, **NONE), wanted)
    pd.testing.assert_frame_equal(trajectories_of(pa.Table.from_pandas(frame), **NONE), wanted)
