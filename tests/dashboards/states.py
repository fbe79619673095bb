"""A run folder in each state that the dashboard has to make sense of."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from relift.run_record import RunRecord
from relift.schema import RunStatus
from relift.store import RunWriter
from relift.store.files import record_bytes
from tests.analysis.evaluated import write_evaluation
from tests.synthetic import write_run

SMALL = {"n_questions": 24, "n_steps": 8, "probe_every": 4, "learn": 0.6}


def write_states(root: Path) -> dict[str, list[Path]]:
    """Run folders by state; none of them has weights or texts."""
    write_run(root / "base", seed=1, name="base", **{**SMALL, "n_steps": 0})
    write_run(root / "rl", seed=2, **SMALL)
    write_run(root / "relift", seed=3, name="relift", demos_per_step=4, lift_zero=0.5, **SMALL)
    write_run(root / "one-draw", seed=4, base_draws=1, **SMALL)
    write_run(root / "running", seed=5, status="running", **SMALL)
    write_run(root / "imported", seed=6, more={"identity": {"imported": "verl"}}, **SMALL)
    write_run(root / "corrupt", seed=7, **SMALL)
    damaged = root / "corrupt" / "trajectories" / "step-000004.probe.d0.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-30] + bytes(30))
    _empty(root / "empty")
    write_evaluation(root / "evaluation", {"aime24": ["ccwu", "wwww"]})
    newer = root / "newer"
    newer.mkdir()
    (newer / "run.json").write_bytes(record_bytes({"schema_version": 99, "run_id": "newer"}))
    return {
        "no run": [],
        "empty": [root / "empty"],
        "base only": [root / "base"],
        "one draw": [root / "one-draw"],
        "running": [root / "running"],
        "done": [root / "rl"],
        "two runs": [root / "base", root / "relift"],
        "imported": [root / "imported"],
        "evaluation": [root / "evaluation"],
        "corrupt": [root / "corrupt"],
        "newer schema": [root / "newer"],
        "one of two unreadable": [root / "rl", root / "newer"],
    }


def _empty(folder: Path) -> None:
    questions = pd.DataFrame(
        {
            "question_id": ["a" * 32], "question_ix": [0], "source": "s", "split": "probe", "problem": "1+1?",
            "answer": "2", "answer_kind": "exact", "prompt_tokens": 3, "has_demo": False,
        }
    )  # fmt: skip
    with RunWriter(folder) as writer:
        body = RunRecord(run_id="empty-1", name="empty", status=RunStatus.running)
        writer.start(body, config_toml="", questions=questions, demonstrations=None)
