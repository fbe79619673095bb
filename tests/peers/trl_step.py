"""Runs in TRL's own interpreter: optimizer steps of GRPOTrainer on rollouts that are given.

Usage: python trl_step.py FOLDER. Reads FOLDER/model (a transformers checkpoint) and FOLDER/job.json; writes
FOLDER/<case>.safetensors (the weights after the steps) and FOLDER/<case>.json (loss and grad_norm of each step).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ |= {"TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_OFFLINE": "1"}

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from tokenizers import Tokenizer, models  # noqa: E402
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast  # noqa: E402
from trl import GRPOConfig, GRPOTrainer  # noqa: E402


def make_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """Token 7 is the word "t7"."""
    words = {f"t{ix}": ix for ix in range(vocabulary)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="t0")), pad_token="t2", eos_token="t1"
    )


def run(folder: Path, job: dict[str, Any], name: str) -> None:
    rollouts, n_samples = job["rollouts"], job["n_samples"]
    rewards = [reward for rollout in rollouts for reward in rollout["rewards"]]

    def rollout_func(prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        """TRL repeats each prompt for its samples, in order."""
        seen: dict[str, int] = {}
        out: dict[str, Any] = {"prompt_ids": [], "completion_ids": [], "logprobs": []}
        for prompt in prompts:
            rollout, sample = rollouts[int(prompt)], seen.get(prompt, 0)
            seen[prompt] = sample + 1
            out["prompt_ids"].append(rollout["prompt_ids"])
            out["completion_ids"].append(rollout["completions"][sample])
            out["logprobs"].append([0.0] * len(rollout["completions"][sample]))  # unread without vLLM
        return out

    def reward_func(prompts: list[str], **others: Any) -> list[float]:
        assert prompts == [str(q) for q in range(len(rollouts)) for _ in range(n_samples)]
        return rewards

    config = GRPOConfig(
        output_dir=str(folder / "out"),
        per_device_train_batch_size=len(rewards) // job["micro_batches"],
        gradient_accumulation_steps=job["micro_batches"],
        num_generations=n_samples,
        num_iterations=job["steps"],
        max_steps=job["steps"],
        max_completion_length=job["max_tokens"],
        temperature=job["temperature"],
        learning_rate=job["lr"],
        adam_beta1=job["betas"][0],
        adam_beta2=job["betas"][1],
        adam_epsilon=job["eps"],
        weight_decay=0.0,
        max_grad_norm=job["max_grad_norm"],
        lr_scheduler_type="constant",
        shuffle_dataset=False,
        beta=0.0,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **job["cases"][name],
    )
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward_func,
        args=config,
        train_dataset=Dataset.from_dict({"prompt": [str(q) for q in range(len(rollouts))]}),
        processing_class=make_tokenizer(model.config.vocab_size),
        rollout_func=rollout_func,
    )
    trainer.train()
    logs = [
        {"loss": row["loss"], "grad_norm": row["grad_norm"]} for row in trainer.state.log_history if "grad_norm" in row
    ]
    (folder / f"{name}.json").write_text(json.dumps(logs))
    save_file({n: t.detach().clone() for n, t in model.named_parameters()}, folder / f"{name}.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    where = Path(sys.argv[1])
    task = json.loads((where / "job.json").read_text())
    for case in task["cases"]:
        run(where, task, case)
