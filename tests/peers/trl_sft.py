"""Runs in TRL's own interpreter: ProbeCallback beside fine-tuning, in TRL's SFTTrainer or transformers' own Trainer.

Usage: python -m tests.peers.trl_sft FOLDER BASE sft|trainer [plain]. With "plain" nothing is recorded; the losses go to
FOLDER.losses.json either way.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import transformers
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

from relift.arith.world import make_demonstrations, make_questions
from relift.integrations.trl import ProbeCallback


def main() -> None:
    transformers.logging.set_verbosity_error()
    folder, base, kind, recorded = Path(sys.argv[1]), sys.argv[2], sys.argv[3], "plain" not in sys.argv[4:]
    train = make_questions("train", 16, seed=1)
    texts = {demo.question_id: demo.text for demo in make_demonstrations(train, seed=1)}
    tokenizer = AutoTokenizer.from_pretrained(base)
    probe = make_questions("test", 6, seed=1)
    callbacks = [ProbeCallback(probe, folder, attempts=3, every=2, max_tokens=16, strict=True)] if recorded else []
    options: dict[str, Any] = {
        "output_dir": str(folder.with_name(f"{folder.name}-hf")), "max_steps": 3, "per_device_train_batch_size": 4,
        "learning_rate": 1e-3, "logging_steps": 1, "use_cpu": True, "report_to": [], "disable_tqdm": True, "seed": 1,
        "save_strategy": "no", "bf16": False,
    }  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(base)
    trainer: Any
    if kind == "sft":
        rows = [{"prompt": q.problem, "completion": texts[q.question_id]} for q in train]
        trainer = SFTTrainer(
            model=model, args=SFTConfig(**options), train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
            callbacks=callbacks,
        )  # fmt: skip
    else:
        ids = [tokenizer(q.problem + texts[q.question_id])["input_ids"] for q in train]
        trainer = Trainer(
            model=model, args=TrainingArguments(**options), train_dataset=[{"input_ids": one} for one in ids],
            data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False), processing_class=tokenizer,
            callbacks=callbacks,
        )  # fmt: skip
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    folder.with_name(f"{folder.name}.losses.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    main()
