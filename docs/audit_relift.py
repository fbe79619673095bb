"""Give the all-wrong questions of a recorded run their worked solutions, and write configurations (docs/audit.md).

    relift export-questions runs/grpo-1 --origin rollout --select "all wrong" --out hard.jsonl
    python docs/audit_relift.py hard.jsonl runs/grpo-1-trl/checkpoint-60 --out hard
    relift train hard/relift.toml --out runs/hard-relift

In the embedded world a worked solution can be had for every question; yours come from a teacher or from people. The
three configurations start from the same checkpoint: relift, grpo on the same questions, and a frozen copy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import tomli_w

from relift.arith.world import make_demonstrations, make_questions
from relift.data.questions import read_questions, write_questions


def main() -> None:
    """Write the questions, the probe and three configurations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hard", type=Path, help="what `relift export-questions` wrote")
    parser.add_argument("checkpoint", type=Path, help="where training goes on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--questions", type=int, default=320, help="of the probe")
    options = parser.parse_args()

    wanted = {question.question_id for question in read_questions(options.hard).questions}
    hard = [question for question in make_questions("train", 768, seed=1) if question.question_id in wanted]
    options.out.mkdir(parents=True, exist_ok=True)
    write_questions(options.out / "train.jsonl", hard, make_demonstrations(hard, seed=1))
    write_questions(options.out / "probe.jsonl", make_questions("test", options.questions, seed=1), [])
    for recipe in ("relift", "grpo", "frozen"):
        config = {
            "recipe": recipe, "steps": options.steps, "seed": 1, "model": {"path": str(options.checkpoint.resolve())},
            "data": {"questions": "train.jsonl", "prompt": "plain"},
            "rollout": {"questions_per_step": 16, "attempts_per_question": 8, "max_tokens": 128},
            "rl": {"advantage": "mean", "optimizer": {"lr": 0.0 if recipe == "frozen" else 2e-4}},
            "sft": {"batch": 16, "entropy_weight": 0.0, "optimizer": {"lr": 3e-4}},
            "probe": {"questions": "probe.jsonl", "every": options.steps // 2, "attempts": 8},
        }  # fmt: skip
        (options.out / f"{recipe}.toml").write_text(tomli_w.dumps(config))
    print(f"{len(hard)} questions, {options.out}/relift.toml, grpo.toml, frozen.toml")


if __name__ == "__main__":
    main()
