"""Run TRL's side of rl_step.py: a process of its own that makes a step whenever it is told to.

Start it with TRL's interpreter: python -m relift.benchmarks.speed.rl_step_trl CASE MICRO_BATCHES [quick]
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from relift.benchmarks.speed.random_llama import make_model, make_tokenizer, words
from relift.benchmarks.speed.rl_task import (
    BETAS,
    LR,
    RolloutCase,
    StepCost,
    Stopwatch,
    is_right,
    prompts,
    rollout_cases,
)
from relift.benchmarks.speed.turns import Caller, say


def serve_trl(case: RolloutCase, micro_batches: int) -> None:
    """Train with GRPOTrainer, held before each step until a line comes on standard input."""
    import torch
    import trl
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(1)
    tokens, watch = 0, Stopwatch()
    texts = [words(ids) for ids in prompts(case)]
    beyond = set(texts[: case.n_beyond])

    def reward(prompts: list[str], completions: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        nonlocal tokens
        tokens = sum(map(len, completion_ids))
        rows = zip(prompts, completions, completion_ids, strict=True)
        return [
            float(is_right(text, cut=len(ids) == case.max_tokens) and prompt not in beyond)
            for prompt, text, ids in rows
        ]

    class Turns(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            if not sys.stdin.readline():
                raise SystemExit
            watch.start()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            say(asdict(watch.stop(tokens)))

    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(), max_steps=10**6, num_generations=case.n_samples,
        per_device_train_batch_size=case.n_questions * case.n_samples // micro_batches,
        gradient_accumulation_steps=micro_batches, max_completion_length=case.max_tokens, loss_type="dr_grpo",
        scale_rewards="none", beta=0.0, temperature=1.0, top_p=1.0, top_k=0, learning_rate=LR, adam_beta1=BETAS[0],
        adam_beta2=BETAS[1], weight_decay=0.0, max_grad_norm=1.0, lr_scheduler_type="constant", shuffle_dataset=False,
        bf16=False, use_cpu=True, gradient_checkpointing=False, logging_strategy="no", save_strategy="no",
        report_to="none", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    model = make_model()
    model.generation_config.eos_token_id = list(case.stop_ids) or None
    trainer = GRPOTrainer(
        model=model, reward_funcs=reward, args=config, processing_class=make_tokenizer(), callbacks=[Turns()],
        train_dataset=Dataset.from_dict({"prompt": texts}),
    )  # fmt: skip
    say({"trl": trl.__version__, "torch": torch.__version__, "optimizer": str(config.optim)})
    trainer.train()


class TrlPeer:
    """Drive that process from the measurement."""

    def __init__(self, python: Path, case: RolloutCase, *, micro_batches: int, quick: bool) -> None:
        module = "relift.benchmarks.speed.rl_step_trl"
        command = [str(python), "-m", module, case.name, str(micro_batches), *(["quick"] if quick else [])]
        self.caller = Caller(command, {})
        self.versions = self.caller.hear()

    def step(self) -> StepCost:
        """Let it make one step."""
        self.caller.tell()
        cost = self.caller.hear()
        assert cost is not None
        return StepCost(**cost)

    def close(self) -> None:
        """End the process."""
        self.caller.close()


if __name__ == "__main__":
    serve_trl(rollout_cases(quick="quick" in sys.argv[3:])[sys.argv[1]], int(sys.argv[2]))
