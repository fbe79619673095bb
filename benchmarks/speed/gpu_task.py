"""Define what gpu.py measures: sizes, the model's shape, questions, verdicts, and the run's configuration."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relift.grading.base import Judgement, Submission
from relift.schema import Question, Verdict, question_id_of

BASE = "Qwen/Qwen2.5-Math-1.5B"  # its shape alone; the weights are random
LR = 1e-6
HARD = "67"  # gold answer of questions that HashGrader never calls answered right


@dataclass(frozen=True)
class GPUTask:
    """Hold the sizes of a measurement."""

    tiny: bool
    length: int = 8192  # input tokens of a sequence of the learner's part
    sequences: int = 4
    repeats: int = 3
    batch_rows: int = 256
    sampled: int = 256  # tokens of an answer in the sampler's part
    questions: int = 64  # of a step
    attempts: int = 8
    max_tokens: int = 1024
    prompt_tokens: int = 64
    steps: int = 2  # the first one warms up
    demonstrations: int = 16  # of a fine-tuning step of the ReLIFT part, each as long as an answer may be


def task_of(*, quick: bool) -> GPUTask:
    """Return the sizes; `quick`: tiny ones."""
    if not quick:
        return GPUTask(tiny=False)
    return GPUTask(
        tiny=True, length=64, sequences=2, repeats=1, batch_rows=16, sampled=4, questions=4, attempts=2, max_tokens=8,
        demonstrations=2,
    )  # fmt: skip


def shape_config(task: GPUTask) -> Any:
    """Make the model's configuration: the sizes of Qwen2.5-1.5B in Llama's layout, or tiny ones.

    Qwen2's own layout has biases besides, and transformers replaces the tokenizer of its folders.
    """
    from transformers import LlamaConfig

    from relift.trainer.known_shapes import KNOWN

    sizes = {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 300, "tie_word_embeddings": True,
    }  # fmt: skip
    if not task.tiny:
        sizes = {name: KNOWN[BASE][name] for name in sizes}
    return LlamaConfig(**sizes, max_position_embeddings=16384, bos_token_id=None, eos_token_id=None, pad_token_id=None)


def write_inputs(task: GPUTask, folder: Path, device: str) -> None:
    """Write a checkpoint with random weights and a tokenizer of numbered words, and the questions."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    from relift.data.questions import write_questions

    config = shape_config(task)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder / "model")
    vocabulary = {f"t{ix}": ix for ix in range(config.vocab_size)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="t0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="t0", eos_token=f"t{config.vocab_size - 1}"
    ).save_pretrained(folder / "model")
    texts = [" ".join(f"t{1 + (q + k) % 200}" for k in range(32)) for q in range(task.questions)]
    questions = [Question(question_id_of(text), text, "66", answer_kind="exact") for text in texts]
    write_questions(folder / "questions.jsonl", questions, [])
    write_hard_questions(task, folder, texts)


def write_hard_questions(task: GPUTask, folder: Path, texts: Sequence[str]) -> None:
    """Write the same questions for ReLIFT: as many as one fine-tuning step takes are never answered right (HARD), and
    each has a demonstration that fills the answer's length with its end token."""
    with (folder / "relift.jsonl").open("w") as file:
        for number, text in enumerate(texts):
            gold = HARD if number < task.demonstrations else "66"
            words = [f"t{1 + (number + k) % 200}" for k in range(task.max_tokens - 2)]
            demonstration = " ".join([*words, rf"\boxed{{{gold}}}"])
            file.write(json.dumps({"problem": text, "answer": gold, "demonstration": demonstration}) + "\n")


def is_right(text: str) -> bool:
    """Call half of all answers right, by their text: random weights answer nothing right."""
    return zlib.crc32(text.encode()) % 2 == 0


class HashGrader:
    """Give the verdicts of is_right, so that groups are mixed; questions whose gold is HARD are all wrong."""

    name = "hash"

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        """Return a verdict for each answer, in order."""
        return [
            Judgement(Verdict.correct if s.gold != HARD and is_right(s.text) else Verdict.wrong, "box.text", "66")
            for s in submissions
        ]


def config_of(task: GPUTask, folder: Path, *, recipe: str = "drgrpo") -> Any:
    """Return the run's configuration: policy gradient in one update a step, no probes; "relift" fine-tunes besides."""
    from relift.config import parse_config

    questions = "relift.jsonl" if recipe == "relift" else "questions.jsonl"
    return parse_config(
        {
            "recipe": recipe,
            "steps": task.steps,
            "model": {"path": str(folder / "model"), "compute": "bfloat16", "checkpoint_activations": True},
            "data": {
                "questions": str(folder / questions), "prompt": "plain", "max_prompt_tokens": 64,
                "max_demo_tokens": task.max_tokens,
            },
            "rollout": {
                "questions_per_step": task.questions, "attempts_per_question": task.attempts,
                "max_tokens": task.max_tokens, "batch_rows": task.batch_rows,
            },
            "rl": {"denominator": "max_tokens", "optimizer": {"lr": LR, "weight_decay": 0.0}},
            "sft": {"batch": task.demonstrations, "optimizer": {"lr": LR, "weight_decay": 0.0}},
            "probe": {"every": task.steps + 1},
            "checkpoint": {"every": task.steps + 1},
        },
        where="benchmark",
    )  # fmt: skip
