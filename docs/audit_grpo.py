"""Train the embedded base model with TRL's GRPOTrainer on a CPU, recorded by relift (docs/audit.md).

    python docs/audit_grpo.py runs/grpo-1 --seed 1
    python docs/audit_grpo.py runs/frozen --seed 1 --learning-rate 0

The two lines that matter are marked. A frozen copy goes through the same script with a learning rate of 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from relift.arith.world import make_questions
from relift.demo.base_model import cached_base
from relift.demo.experiment import cache_folder
from relift.demo.methods import FULL
from relift.integrations.trl import ProbeCallback, record


def accuracy_reward(completions: list[str], answer: list[str], **kwargs: Any) -> list[float]:
    """Give 1 to an answer whose box holds the gold answer, else 0."""
    return [float(rf"\boxed{{{gold}}}" in text) for text, gold in zip(completions, answer, strict=True)]


def rows_of(split: str, n: int) -> Dataset:
    """Make a data set as TRL takes it: prompt, and the gold answer as a column."""
    return Dataset.from_list([{"prompt": q.problem, "answer": q.answer} for q in make_questions(split, n, seed=1)])


def main() -> None:
    """Train one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--questions", type=int, default=320, help="of the probe")
    parser.add_argument("--batch", type=int, default=128, help="answers of a step, 8 to each question")
    parser.add_argument("--base", type=Path, help="a checkpoint; default: the base of relift demo, made if need be")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    options = parser.parse_args()

    base = options.base or cached_base(cache_folder(), seed=1, spec=FULL.base)
    folder = options.folder
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(base),
        processing_class=AutoTokenizer.from_pretrained(base, padding_side="left"),
        args=GRPOConfig(
            output_dir=str(folder.with_name(f"{folder.name}-trl")),
            seed=options.seed,
            learning_rate=options.learning_rate,
            max_steps=options.steps,
            per_device_train_batch_size=options.batch,
            num_generations=8,
            max_completion_length=128,
            temperature=1.0,
            lr_scheduler_type="constant",
            adam_beta2=0.99,
            logging_steps=1,
            save_steps=20,
            bf16=False,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=rows_of("train", 768),
        reward_funcs=record(accuracy_reward, folder),  # 1: every rollout, by question
        callbacks=[ProbeCallback(rows_of("test", options.questions), folder, attempts=8, every=30)],  # 2: probes
    )
    trainer.train(resume_from_checkpoint=options.resume or None)


if __name__ == "__main__":
    main()
