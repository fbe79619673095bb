"""A run ends at the first step after which its budget is spent: probed and saved there, and not taken up again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.scripted import scripted_run, train

# Four questions, two attempts each, all wrong: 8 answers of 14 tokens, 112 tokens a step; every group is flat, so RL
# trains on nothing. Fine-tuning: 2 demonstrations of 14 tokens a step, 28 tokens.
RL = {
    "recipe": "grpo",
    "steps": 50,
    "rollout": {"questions_per_step": 4, "attempts_per_question": 2, "max_tokens": 50},
    "probe": {"every": 100, "attempts": 2},
}
SFT = {**RL, "recipe": "sft", "sft": {"batch": 2}}


@pytest.mark.parametrize(
    ("values", "budget", "steps"),
    [
        (RL, {"generated_tokens": 200}, 2),  # 112, 224
        (RL, {"generated_tokens": 224}, 2),
        (RL, {"flops": 7_000.0}, 4),  # 2 * 10 parameters * 112 tokens = 2,240 a step
        (RL, {"flops": 7_000.0, "generated_tokens": 100}, 1),
        (SFT, {"demonstrations": 5}, 3),  # 2, 4, 6
        (SFT, {"updates": 3}, 3),
        (SFT, {"flops": 3_400.0}, 3),  # 6 * 10 * 28 = 1,680 a step
        (RL, {"seconds": 1e-9}, 1),
        (SFT, {"updates": 3_000}, 50),
    ],
)
def test_a_run_ends_when_its_budget_is_spent(
    tmp_path: Path, values: dict[str, Any], budget: dict[str, float], steps: int
) -> None:
    saved: list[tuple[int | None, str | None]] = []
    demos = (0, 1, 2, 3)
    run = scripted_run(
        tmp_path / "run", {**values, "budget": budget}, n_probe=1, with_demo=demos, n_parameters=10, saved=saved
    )
    train(run)
    run.record.writer.close()
    assert run.step == steps and saved[-1] == (steps, "final")
    assert run.ended == (steps < 50)
    assert list(run.steps()) == []  # nor does a second start go on
