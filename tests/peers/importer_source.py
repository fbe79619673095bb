"""Make a source for `relift import` with the project that writes it: python importer_source.py KIND FOLDER [MODEL].

Runs in the project's own environment, so it imports nothing of relift.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

QUESTIONS = (("1+1?", "2"), ("2+3?", "5"), ("9-4?", "5"))
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


def lm_eval(folder: Path, model: str) -> None:
    """Evaluate a model on a task of a file, two attempts at each question."""
    data = folder / "questions.jsonl"
    data.write_text("".join(json.dumps({"problem": p, "answer": a}) + "\n" for p, a in QUESTIONS))
    task = {
        "task": "tiny_arith", "dataset_path": "json", "dataset_kwargs": {"data_files": str(data)},
        "test_split": "train", "output_type": "generate_until", "doc_to_text": "{{problem}} ",
        "doc_to_target": "{{answer}}", "repeats": 2, "metric_list": [{"metric": "exact_match"}],
        "generation_kwargs": {"do_sample": True, "temperature": 1.0, "max_gen_toks": 8, "until": ["\n"]},
    }  # fmt: skip
    (folder / "tiny.yaml").write_text(json.dumps(task))  # JSON is YAML
    from lm_eval.__main__ import cli_evaluate

    sys.argv[1:] = [
        "--model", "hf", "--model_args", f"pretrained={model},max_length=64", "--tasks", "tiny_arith",
        "--include_path", str(folder), "--device", "cpu", "--log_samples", "--output_path", str(folder / "out"),
    ]  # fmt: skip
    cli_evaluate()


def inspect(folder: Path, model: str) -> None:
    """Evaluate a model on a data set of its own, two epochs."""
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate

    task = Task(
        dataset=MemoryDataset([Sample(input=p, target=a) for p, a in QUESTIONS]), solver=generate(),
        scorer=match(numeric=True), epochs=2, name="tiny",
    )  # fmt: skip
    args = {"model_path": model, "tokenizer_path": model, "device": "cpu", "chat_template": TEMPLATE}
    [log] = eval(task, model="hf/local", model_args=args, log_dir=str(folder / "out"), display="plain", max_tokens=8)
    assert log.status == "success", log.error


def trl(folder: Path, model: str) -> None:
    """Train two steps and log the completions."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)

    def accuracy(completions: list[str], answer: list[str], **_: Any) -> list[float]:
        return [float(gold in text) for text, gold in zip(completions, answer, strict=True)]

    settings = GRPOConfig(
        output_dir=str(folder / "out"), per_device_train_batch_size=8, num_generations=4, max_completion_length=8,
        max_steps=2, logging_steps=1, log_completions=True, report_to=[], use_cpu=True, bf16=False,
        save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    data = Dataset.from_list([{"prompt": p, "answer": a} for p, a in QUESTIONS] * 4)
    trainer = GRPOTrainer(model, accuracy, args=settings, train_dataset=data, processing_class=tokenizer)
    trainer.train()


def verifiers(folder: Path, _: str) -> None:
    """Write records of episodes into prime-rl's stream, as its file monitor does."""
    from verifiers.v1.configs.agent import WireAgentConfig
    from verifiers.v1.episode import Episode, EvalWorkInfo, TrainRunInfo, TrainWorkInfo
    from verifiers.v1.graph import MessageNode
    from verifiers.v1.task import WireTaskData
    from verifiers.v1.trace import AgentInfo, ModelCall, Reward, Trace, TraceTask
    from verifiers.v1.types import AssistantMessage, Usage, UserMessage

    def episode(step: int, work: Any, problem: str, gold: str, text: str) -> str:
        task = TraceTask(type="T", data=WireTaskData(idx=0, prompt=problem, answer=gold))
        nodes = [
            MessageNode(message=UserMessage(content=problem), token_ids=[1, 2], mask=[False] * 2),
            MessageNode(parent=0, message=AssistantMessage(content=text), sampled=True, token_ids=[3, 4, 5],
                        mask=[False, True, True], logprobs=[0.0, -0.5, -0.5]),
        ]  # fmt: skip
        call = ModelCall(node=1, model="m", finish_reason="stop", usage=Usage(prompt_tokens=2, completion_tokens=2))
        trace = Trace(
            task=task, agent=AgentInfo(config=WireAgentConfig()), nodes=nodes, calls=[call], ok=True,
            rewards={"correct": Reward(score=float(gold in text))},
        )  # fmt: skip
        made = Episode(task=task, ok=True, traces=[trace])
        made.record_run(TrainRunInfo(id="r", work=work(step=step)))
        return json.dumps(made.to_record(), default=str) + "\n"

    place = folder / "out" / "monitors" / "file" / "traces"
    place.mkdir(parents=True)
    lines = [
        episode(step, work, problem, gold, f"\\boxed{{{gold if step else 8}}}")
        for step, work in ((1, TrainWorkInfo), (0, EvalWorkInfo), (2, EvalWorkInfo), (2, TrainWorkInfo))
        for problem, gold in QUESTIONS
    ]
    (place / "stream.jsonl").write_text("".join(lines))


MAKERS = {"lm-eval": lm_eval, "inspect": inspect, "trl": trl, "prime-rl": verifiers}

if __name__ == "__main__":
    MAKERS[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
