"""Run TRL's side of gpu.py: GRPOTrainer with transformers' generate on the folder that the measurement wrote.

Start it with TRL's interpreter: python -m relift.benchmarks.speed.gpu_trl FOLDER [quick]
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from relift.benchmarks.speed.gpu_task import LR, GPUTask, is_right, task_of


def trl_steps(task: GPUTask, folder: Path) -> dict[str, Any]:
    """Make the steps and time the last one; answers are as many and as long as ours."""
    import torch
    import trl
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    on_gpu = torch.cuda.is_available()
    n_tokens, begins, ends = [0], [0.0], [0.0]

    def reward(prompts: list[str], completions: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        n_tokens[0] += sum(map(len, completion_ids))
        return [float(is_right(text)) for text in completions]

    class Watch(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            n_tokens[0], begins[0] = 0, time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            if on_gpu:
                torch.cuda.synchronize()
            ends[0] = time.perf_counter()

    rows = task.questions * task.attempts
    each = max(task.attempts, rows // 16)  # rows of a micro-batch
    config = GRPOConfig(
        output_dir=str(folder / "trl"), max_steps=task.steps, num_generations=task.attempts,
        per_device_train_batch_size=each, gradient_accumulation_steps=rows // each, generation_batch_size=rows,
        max_completion_length=task.max_tokens, loss_type="dr_grpo", scale_rewards="none", beta=0.0, temperature=1.0,
        top_p=1.0, top_k=0, learning_rate=LR, weight_decay=0.0, lr_scheduler_type="constant", shuffle_dataset=False,
        bf16=on_gpu, use_cpu=not on_gpu, gradient_checkpointing=True, logging_strategy="no", save_strategy="no",
        report_to="none", disable_tqdm=True,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    model.generation_config.eos_token_id = None  # answers are as long as they may be, on both sides
    questions = [json.loads(line)["problem"] for line in (folder / "questions.jsonl").read_text().splitlines()]
    trainer = GRPOTrainer(
        model=model, reward_funcs=reward, args=config, processing_class=AutoTokenizer.from_pretrained(folder / "model"),
        callbacks=[Watch()], train_dataset=Dataset.from_dict({"prompt": questions}),
    )  # fmt: skip
    trainer.train()
    versions = {"trl": trl.__version__, "torch": torch.__version__}
    return {"seconds": ends[0] - begins[0], "tokens": n_tokens[0], "versions": versions}


if __name__ == "__main__":
    print(json.dumps(trl_steps(task_of(quick="quick" in sys.argv[2:]), Path(sys.argv[1]))))
