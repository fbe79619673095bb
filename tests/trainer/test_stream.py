"""Order items by number alone: every step is a resume point because a batch is a pure function of its number."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from relift.errors import InputError
from relift.trainer.stream import Stream


@settings(max_examples=500, deadline=None)
@given(
    n=st.integers(1, 60),
    per_batch=st.integers(1, 16),
    epochs=st.integers(1, 3),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
def test_epochs(n: int, per_batch: int, epochs: int, seed: int, data: st.DataObject) -> None:
    assume(per_batch <= n)
    stream = Stream(n, per_batch=per_batch, seed=seed, purpose="questions")
    per_epoch = n // per_batch
    batches = [stream.batch(k).tolist() for k in range(epochs * per_epoch)]
    for epoch in range(epochs):
        seen = [i for batch in batches[epoch * per_epoch : (epoch + 1) * per_epoch] for i in batch]
        assert len(seen) == len(set(seen)) == per_epoch * per_batch  # distinct, and all that fits
        assert set(seen) <= set(range(n))
    # stopped anywhere and taken up by a new object, in any order of questions: the same batches
    first = data.draw(st.integers(0, len(batches) - 1))
    again = Stream(n, per_batch=per_batch, seed=seed, purpose="questions")
    assert [again.batch(k).tolist() for k in reversed(range(first, len(batches)))] == batches[first:][::-1]


def test_epochs_differ_and_so_do_seeds_and_purposes() -> None:
    """Orders of 60 items: equal by chance once in 60! times."""
    orders = [
        Stream(60, per_batch=60, seed=seed, purpose=purpose).batch(epoch).tolist()
        for seed in (0, 1)
        for purpose in ("questions", "demonstrations")
        for epoch in (0, 1, 2)
    ]
    assert len({tuple(order) for order in orders}) == 12


def test_every_item_has_its_turn() -> None:
    """7 items in batches of 3: an epoch leaves one out, not always the same."""
    stream = Stream(7, per_batch=3, seed=0, purpose="questions")
    left_out = {
        (set(range(7)) - {*stream.batch(2 * e).tolist(), *stream.batch(2 * e + 1).tolist()}).pop() for e in range(60)
    }
    assert left_out == set(range(7))


def test_a_batch_cannot_be_changed() -> None:
    """It would change the rest of its epoch."""
    stream = Stream(4, per_batch=2, seed=0, purpose="questions")
    with pytest.raises(ValueError, match="read-only"):
        stream.batch(0)[0] = -1


@pytest.mark.parametrize("n", [0, 3])
def test_too_few_items(n: int) -> None:
    with pytest.raises(InputError, match=f"^{n} demonstrations are fewer than one batch of 4: take a smaller batch or"):
        Stream(n, per_batch=4, seed=0, purpose="demonstrations")
