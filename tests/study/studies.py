"""Hold the values of a small study, as a STUDY.toml would give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relift.study.spec import Study, parse_study

RUN = {"steps": 4, "rollout": {"questions_per_step": 4, "attempts_per_question": 2}}


def values(**more: Any) -> dict[str, Any]:
    """Two bases, two seeds, three methods beside the control, a sweep of two factors."""
    return {
        "name": "small",
        "seeds": [1, 2],
        "reference": "rl",
        "bases": {"b1": {"arith": 1}, "b2": {"arith": 2}},
        "arith": {"base": "quick", "train": 16, "test": 8, "ends": 2, "dev": 4},
        "run": RUN,
        "sweep": {"factors": [1.0, 2.0], "steps": 2},
        "methods": {
            "rl": {"recipe": "grpo", "rl": {"optimizer": {"lr": 2e-4}}},
            "sft": {"recipe": "sft", "sft": {"batch": 4}, "budget": {"flops": "rl"}},
            "relift": {"recipe": "relift", "sft": {"batch": 4}, "rates_of": {"rl": "rl", "sft": "sft"}},
        },
        **more,
    }


def study(**more: Any) -> Study:
    """Check these values as the command does."""
    return parse_study(values(**more), where="small.toml", folder=Path("/nowhere"))
