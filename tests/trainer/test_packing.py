"""Micro-batches: deterministic, complete, within budget; layout by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relift.errors import InputError
from relift.trainer.batch import TrainSequence
from relift.trainer.packing import lay_out, plan


def sequence(prompt: list[int], completion: list[int]) -> TrainSequence:
    return TrainSequence(tuple(prompt), np.array(completion, np.int32))


def test_plan_by_hand() -> None:
    # 22 tokens in a budget of 10: at least 3 micro-batches, so about 7.3 each; longest first: 7 | 6+4 | 3+2.
    assert plan([3, 7, 2, 6, 4], 10) == [[1], [3, 4], [0, 2]]


@given(st.lists(st.integers(1, 30), max_size=40), st.integers(1, 60), st.integers(1, 4))
def test_plan_keeps_its_promises(lengths: list[int], budget: int, processes: int) -> None:
    batches = plan(lengths, budget, multiple_of=processes)
    assert sorted(ix for batch in batches for ix in batch) == list(range(len(lengths)))
    assert len(batches) % processes == 0
    assert all(sum(lengths[ix] for ix in batch) <= budget or len(batch) == 1 for batch in batches)
    laid = [lengths[ix] for batch in batches for ix in batch]
    assert laid == sorted(laid, reverse=True)
    assert plan(lengths, budget, multiple_of=processes) == batches


def test_two_processes_get_equal_shares() -> None:
    # 40 sequences of 10 tokens fit into one micro-batch; two processes get 20 sequences each.
    assert [len(batch) for batch in plan([10] * 40, 1000, multiple_of=2)] == [20, 20]
    assert plan([5], 1000, multiple_of=2) == [[0], []]
    assert plan([], 1000, multiple_of=2) == []


def test_layout_by_hand() -> None:
    batch = lay_out([sequence([7, 8], [1, 2, 3]), sequence([9], [4])], [0, 1])
    # Inputs are prompt and completion without its last token: 7 8 1 2 | 9.
    assert batch.input_ids_N.tolist() == [7, 8, 1, 2, 9]
    assert batch.position_N.tolist() == [0, 1, 2, 3, 0]
    assert batch.length_S.tolist() == [4, 1]
    # Token 8 predicts 1, 1 predicts 2, 2 predicts 3; 9 predicts 4.
    assert batch.predictor_C.tolist() == [1, 2, 3, 4]
    assert batch.target_C.tolist() == [1, 2, 3, 4]
    assert batch.completion_S.tolist() == [3, 1]


def test_a_sequence_without_prompt_is_refused() -> None:
    with pytest.raises(InputError, match="start token"):
        lay_out([sequence([], [1, 2])], [0])
