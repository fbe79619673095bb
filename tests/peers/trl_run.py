"""Runs in TRL's own interpreter: recorded runs of its trainers on a tiny or embedded model.

Usage: python -m tests.peers.trl_run JOB.json, an object with the arguments of `train`, and "calls", a file to which
what the reward function was handed is written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import transformers
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from relift.arith.world import make_questions
from relift.integrations.trl import ProbeCallback, record

CHAT = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
CONFIGS = {"grpo": (GRPOTrainer, GRPOConfig), "rloo": (RLOOTrainer, RLOOConfig)}


def accuracy(completions: list[Any], answer: list[str], **kwargs: Any) -> list[float]:
    """Give 1 to an answer whose box holds the gold answer."""
    texts = [one if isinstance(one, str) else one[-1]["content"] for one in completions]
    return [float(rf"\boxed{{{gold}}}" in text) for text, gold in zip(texts, answer, strict=True)]


async def brevity(completions: list[Any], **kwargs: Any) -> list[float]:
    """Give the more the shorter an answer is."""
    return [1.0 / (1 + len(str(one))) for one in completions]


def rows_of(split: str, n: int, *, chat: bool) -> Dataset:
    """Make rows as TRL takes them."""
    rows = [{"prompt": q.problem, "answer": q.answer} for q in make_questions(split, n, seed=1)]
    if chat:
        rows = [{**row, "prompt": [{"role": "user", "content": row["prompt"]}]} for row in rows]
    return Dataset.from_list(rows)


def train(
    folder: Path,
    base: str,
    *,
    trainer: str = "grpo",
    seed: int = 1,
    learning_rate: float = 1e-3,
    steps: int = 4,
    questions: int = 8,
    every: int = 2,
    batch: int = 16,
    chat: bool = False,
    several: bool = False,
    recorded: bool = True,
    resume: bool = False,
    evaluate: bool = False,
    calls: str | None = None,
    more: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Train one run; returns the trainer's own log."""
    made, config = CONFIGS[trainer]
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    if chat:
        tokenizer.chat_template = CHAT

    def told(**kwargs: Any) -> list[float]:
        """Judge, and note what was handed over."""
        if calls is not None and hasattr(kwargs["log_extra"], "__self__"):  # TRL's call, not the probe's
            kinds = {name: type(value).__name__ for name, value in kwargs.items()}
            bound = type(kwargs["log_extra"].__self__).__name__
            Path(calls).write_text(json.dumps({"kinds": kinds, "log_extra of": bound}))
        return accuracy(**kwargs)

    told.__name__ = "accuracy"
    functions: Any = [told, brevity] if several else told
    options = {
        "output_dir": str(folder.with_name(f"{folder.name}-trl")), "seed": seed, "learning_rate": learning_rate,
        "max_steps": steps, "per_device_train_batch_size": batch, "num_generations": 4, "max_completion_length": 48,
        "logging_steps": 1, "save_steps": 2, "use_cpu": True, "bf16": False, "report_to": [], "disable_tqdm": True,
        "lr_scheduler_type": "constant",
    }  # fmt: skip
    if evaluate:
        options |= {"eval_strategy": "steps", "eval_steps": 1, "eval_on_start": True, "per_device_eval_batch_size": 4}
    running = made(
        model=AutoModelForCausalLM.from_pretrained(base),
        processing_class=tokenizer,
        args=config(**{**options, **(more or {})}),
        train_dataset=rows_of("train", 32, chat=chat),
        eval_dataset=rows_of("dev", 4, chat=chat) if evaluate else None,
        reward_funcs=record(functions, folder, strict=True) if recorded else functions,
        callbacks=[ProbeCallback(rows_of("test", questions, chat=chat), folder, attempts=4, every=every, strict=True)]
        if recorded
        else [],
    )
    running.train(resume_from_checkpoint=resume or None)
    return running.state.log_history  # type: ignore[no-any-return]


def main() -> None:
    transformers.logging.set_verbosity_error()
    job = json.loads(Path(sys.argv[1]).read_text())
    log = train(Path(job.pop("folder")), job.pop("base"), **job)
    Path(sys.argv[1]).with_suffix(".log.json").write_text(json.dumps(log))


if __name__ == "__main__":
    main()
