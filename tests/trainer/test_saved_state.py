"""A checkpoint's state.json and tensors from a stranger: each value of its type and of this run, or one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from relift.errors import StoreError
from relift.trainer.saved_state import read_state, restoring

SOUND: dict[str, Any] = {
    "step": 3,
    "skipped_in_a_row": 0,
    "ended_by": None,
    "totals": {
        "rl_updates": 3, "sft_updates": 0, "samples": 9, "generated_tokens": 9, "trained_tokens": 9,
        "demonstration_tokens": 0, "demonstrations": 0, "distinct_demonstrations": 0, "wall_seconds": 1, "updates": 3,
        "events": 0,
    },
    "buffer": {"entries": [], "uses": {}},
    "learner": {"optimizer_steps": {"rl": 3}},
    "random": {"python": [3, [0] * 625, None], "numpy": ["MT19937", [0] * 624, 1, 0, 0.0]},
}  # fmt: skip


def changed(**values: Any) -> str:
    return json.dumps(SOUND | values)


def test_a_sound_state_is_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(changed(later="field"))
    state = read_state(path)
    assert state == SOUND | {"later": "field"}  # what newer versions added is kept


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "the file: Invalid JSON: recursion limit"),
        (changed(step=-1), "step: Input should be greater than or equal to 0"),
        (changed(step="3"), "step: Input should be a valid integer"),
        (changed(totals={}), "totals.rl_updates: Field required"),
        (changed(buffer={"entries": [{"demo_id": "a"}], "uses": {}}), "buffer.entries.0.question_ix: Field required"),
        (changed(random={"python": [3, [2**32], None]}), "random.python.1"),
        (changed(learner={"optimizer_steps": {"rl": 10**30}}), "learner.optimizer_steps.rl"),
    ],
)
def test_another_state_is_refused_in_one_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(StoreError) as caught:
        read_state(path)
    assert words in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_what_a_library_refuses_of_it_is_a_line_and_a_full_memory_is_not(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not the state of this run: RuntimeError"), restoring(tmp_path):
        torch.zeros(2).copy_(torch.zeros(3))
    with pytest.raises(torch.OutOfMemoryError), restoring(tmp_path):
        raise torch.OutOfMemoryError
