"""Micro-batches: deterministic, complete, within budget; layout by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relift.errors import InputError
from relift.learner.packing import lay_out, plan
from relift.learner.update import TrainSequence


def sequence(prompt: list[int], completion: list[int]) -> TrainSequence:
    return TrainSequence(tuple(prompt), np.array(completion, np.int32))


def rows(lengths: list[int]) -> list[TrainSequence]:
    """Sequences of these many input tokens, no two of which share a prompt."""
    return [sequence([100 + n], [0] * length) for n, length in enumerate(lengths)]


def test_plan_by_hand() -> None:
    # 22 tokens in a budget of 10: at least 3 micro-batches, so about 7.3 each; longest first: 7 | 6+4 | 3+2.
    assert plan(rows([3, 7, 2, 6, 4]), 10) == [[1], [3, 4], [0, 2]]


def test_equal_prompts_stay_together_and_count_once() -> None:
    a, b = [1, 2, 3], [4, 5]
    group = [sequence(a, [0] * 3), sequence(b, [0] * 9), sequence(a, [0] * 5), sequence(b, [0] * 2)]
    # Input tokens: prompt b with 9-1 and 2-1 makes 11, prompt a with 5-1 and 3-1 makes 9. Nothing shared: 10 7 5 3.
    assert plan(group, 11) == [[1, 3], [2, 0]]
    assert plan(group, 20) == [[1, 3, 2, 0]]
    assert plan(group, 11, share_prompts=False) == [[1], [2], [0, 3]]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 25)), max_size=40), st.integers(1, 60), st.integers(1, 4))
def test_plan_keeps_its_promises(shapes: list[tuple[int, int]], budget: int, processes: int) -> None:
    sequences = [sequence(list(range(prompt)), [0] * completion) for prompt, completion in shapes]
    for share in (True, False):
        batches = plan(sequences, budget, multiple_of=processes, share_prompts=share)
        assert sorted(ix for batch in batches for ix in batch) == list(range(len(sequences)))
        assert len(batches) % processes == 0
        assert plan(sequences, budget, multiple_of=processes, share_prompts=share) == batches
        for batch in filter(None, batches):
            laid = lay_out(sequences, batch, share_prompts=share)
            assert len(laid.input_ids_N) <= budget or len(batch) == 1
            assert (np.diff(laid.length_S) <= 0).all()


def test_two_processes_get_equal_shares() -> None:
    # 40 sequences of 10 tokens fit into one micro-batch; two processes get 20 sequences each.
    assert [len(batch) for batch in plan(rows([10] * 40), 1000, multiple_of=2)] == [20, 20]
    assert plan(rows([5]), 1000, multiple_of=2) == [[0], []]
    assert plan([], 1000, multiple_of=2) == []


def test_layout_by_hand() -> None:
    batch = lay_out([sequence([9], [4]), sequence([7, 8], [1, 2, 3])], [0, 1])
    # Longest first; inputs are prompt and completion without its last token: 7 8 1 2 | 9.
    assert batch.index_S.tolist() == [1, 0]
    assert batch.input_ids_N.tolist() == [7, 8, 1, 2, 9]
    assert batch.position_N.tolist() == [0, 1, 2, 3, 0]
    assert batch.length_S.tolist() == [4, 1]
    assert batch.token_R.tolist() == [0, 1, 2, 3, 4]
    # Token 8 predicts 1, 1 predicts 2, 2 predicts 3; 9 predicts 4.
    assert batch.predictor_C.tolist() == [1, 2, 3, 4]
    assert batch.target_C.tolist() == [1, 2, 3, 4]
    assert batch.completion_S.tolist() == [3, 1]


def test_layout_of_a_shared_prompt_by_hand() -> None:
    batch = lay_out([sequence([7, 8], [1, 2, 3]), sequence([7, 8], [4]), sequence([7, 8], [5, 6])], [0, 1, 2])
    # Rows 7 8 1 2 | 7 8 5 | 7 8 (longest first); 7 8 stands once, at 0 and 1.
    assert batch.index_S.tolist() == [0, 2, 1]
    assert batch.input_ids_N.tolist() == [7, 8, 1, 2, 5]
    assert batch.position_N.tolist() == [0, 1, 2, 3, 2]
    assert batch.token_R.tolist() == [0, 1, 2, 3, 0, 1, 4, 0, 1]
    assert batch.predictor_C.tolist() == [1, 2, 3, 1, 4, 1]
    assert batch.target_C.tolist() == [1, 2, 3, 5, 6, 4]
    apart = lay_out([sequence([7, 8], [4]), sequence([7, 8], [5])], [0, 1], share_prompts=False)
    assert apart.input_ids_N.tolist() == [7, 8, 7, 8]


def test_a_sequence_without_prompt_is_refused() -> None:
    with pytest.raises(InputError, match="start token"):
        lay_out([sequence([], [1, 2])], [0])
