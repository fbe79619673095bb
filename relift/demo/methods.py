"""Define the demo's experiment: its size, its methods, their numbers.

The numbers were chosen on questions and seeds that the demo does not report (split `dev`; docs/arith.md says how, and
what was tried). RL and ReLIFT share every setting of the RL component; SFT and ReLIFT share that of fine-tuning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from relift.arith.world import make_demonstrations, make_questions
from relift.data.questions import write_questions
from relift.demo.base_model import BaseSpec

METHODS = ("base", "rl", "sft", "sft_matched", "relift", "sft_rl")
CONTROL = "frozen"  # a copy of the base, probed as the methods are and never trained: whatever it shows is chance
CONTROL_ROLLOUTS = {"questions_per_step": 4, "attempts_per_question": 4}  # they change nothing, so few do
OOD = ("longer", "two_products")  # reported as out of distribution
SKILL = "sequence"  # in pretraining, never trained on afterwards: measures forgetting


@dataclass(frozen=True)
class Size:
    """Set how large the experiment is."""

    base: BaseSpec
    n_train: int
    n_probe: int
    n_ends: int  # questions in each of OOD and SKILL
    questions_per_step: int
    attempts: int  # at each question, rollouts and probes
    batch: int  # demonstrations of a fine-tuning step
    epochs: int

    @property
    def steps(self) -> int:
        """Return the steps of RL and of ReLIFT."""
        return self.epochs * (self.n_train // self.questions_per_step)

    @property
    def sft_steps(self) -> int:
        """Return the steps of SFT: as many epochs over all demonstrations."""
        return self.epochs * (self.n_train // self.batch)


FULL = Size(
    base=BaseSpec(), n_train=768, n_probe=320, n_ends=100, questions_per_step=32, attempts=8, batch=32, epochs=3
)
QUICK = Size(
    base=BaseSpec(steps=120), n_train=64, n_probe=40, n_ends=8, questions_per_step=16, attempts=4, batch=8, epochs=2
)


def write_data(folder: Path, size: Size, *, seed: int) -> None:
    """Write questions and demonstrations of one seed; train.jsonl lands last."""
    folder.mkdir(parents=True, exist_ok=True)
    train = make_questions("train", size.n_train, seed=seed)
    ends = [q for split in (*OOD, SKILL) for q in make_questions(split, size.n_ends, seed=seed)]
    write_questions(folder / "probe.jsonl", make_questions("test", size.n_probe, seed=seed), [])
    write_questions(folder / "ends.jsonl", ends, [])
    write_questions(folder / "train.jsonl", train, make_demonstrations(train, seed=seed))


def config_of(
    method: str, size: Size, *, seed: int, base: Path, folder: Path, matched_steps: int = 0
) -> dict[str, Any]:
    """Return the configuration of one method or of CONTROL; `folder` holds data/ and the runs."""
    probe_every = max(1, size.steps // 2)
    common: dict[str, Any] = {
        "name": method,
        "seed": seed,
        "model": {"path": str(base)},
        "data": {
            "questions": str(folder / "data" / "train.jsonl"),
            "prompt": "plain",
            "max_prompt_tokens": 64,
            "max_demo_tokens": 160,
        },
        "rollout": {
            "questions_per_step": size.questions_per_step,
            "attempts_per_question": size.attempts,
            "max_tokens": 128,
            "batch_rows": 1024,  # a probe has 2,560 answers and more
        },
        "rl": {
            "advantage": "mean",
            "denominator": "tokens",
            "clip_high": 0.28,
            "dual_clip": 3.0,
            "optimizer": {"lr": 2e-4, "betas": [0.9, 0.99], "warmup_steps": 10},
        },
        "sft": {
            "batch": size.batch,
            "entropy_weight": 0.0,
            "optimizer": {"lr": 3e-4, "betas": [0.9, 0.95], "warmup_steps": 10, "schedule": "constant"},
        },
        "probe": {
            "questions": str(folder / "data" / "probe.jsonl"),
            "ends_only": str(folder / "data" / "ends.jsonl"),
            "every": probe_every,
            "attempts": size.attempts,
        },
        "checkpoint": {"every": max(1, probe_every // 3)},
    }
    own: Mapping[str, Any] = {
        "base": {"recipe": "grpo", "steps": 0},
        "rl": {"recipe": "grpo", "steps": size.steps},
        "sft": {"recipe": "sft", "steps": size.sft_steps},
        "sft_matched": {"recipe": "sft", "steps": matched_steps},
        "relift": {"recipe": "relift", "steps": size.steps, "data": {"score_base": True}},
        CONTROL: {
            "recipe": "frozen",
            "steps": size.steps,
            "rollout": CONTROL_ROLLOUTS,
            "rl": {"optimizer": {**common["rl"]["optimizer"], "lr": 0.0}},
            "checkpoint": {"every": size.steps},
        },
        "sft_rl": {
            "recipe": "sft_rl",
            "steps": size.sft_steps + size.steps,
            "sft": {"phase_steps": size.sft_steps},
            "data": {"score_base": True},
        },
    }[method]
    merged = {k: {**v, **own.get(k, {})} if isinstance(v, dict) else v for k, v in common.items()}
    if method != "base":
        merged["probe"]["base_run"] = str(folder / "base")
    return {**{k: v for k, v in own.items() if k not in merged}, **merged}


def write_config(path: Path, config: Mapping[str, Any]) -> Path:
    """Write the configuration as a TOML file; one that says the same already is left alone."""
    text = tomli_w.dumps(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def status_of(run: Path) -> str | None:
    """Return `status` of a run folder, None where there is no run."""
    try:
        return str(json.loads((run / "run.json").read_text()).get("status"))
    except FileNotFoundError:
        return None
