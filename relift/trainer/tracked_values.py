"""List the numbers of a step that experiment trackers are sent. Numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from relift.learner.update import Update, UpdateStats
from relift.trainer.answers import Answers
from relift.trainer.record import Totals

UPDATE_VALUES = ("loss", "grad_norm", "lr", "entropy", "clip_fraction", "sampler_gap", "n_tokens")


def values_of(
    answers: Answers | None,
    done: Sequence[tuple[Update, UpdateStats]],
    *,
    probe_accuracy: float | None,
    buffer_len: int,
    totals: Totals,
) -> dict[str, float | None]:
    """List the numbers of a step by name: of rollouts and probe, totals so far, of each kind of update the last one."""
    values: dict[str, float | None] = {
        "probe/accuracy": probe_accuracy,
        "buffer/waiting": float(buffer_len),
        **{f"total/{name}": float(value) for name, value in totals.row().items()},
    }
    if answers is not None and len(answers):
        rewards = answers.reward_QG[answers.rewarded_QG]
        values |= {
            "rollout/accuracy": answers.accuracy_of(len(answers)),
            "rollout/reward": float(rewards.mean()) if len(rewards) else None,
            "rollout/cut_share": float(answers.cut_QG.mean()),
            "rollout/questions": float(len(answers)),
        }
    for update, stats in done:
        row = asdict(stats)
        values |= {f"update/{update.kind}/{name}": row[name] for name in UPDATE_VALUES}
    return values
