"""Offer our benchmarks as tasks of lighteval, named `relift:<benchmark>`: our questions, golds, prompts and grader.

lighteval 0.13.0's own names collide with ours (it has an aime24), hence the prefix. It loads a task's rows through
`datasets` from `hf_repo`; ours is a folder that is written, from our loader, when a task is asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import datasets
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.requests import Doc

from relift.benchmarks.benchmark import Benchmark, LoadedBenchmark
from relift.benchmarks.lighteval.metrics import make_metrics
from relift.benchmarks.lighteval.questions import doc_fields, question_of, question_row_of
from relift.benchmarks.lighteval.settings import Settings, read_settings
from relift.benchmarks.load import load_benchmark
from relift.benchmarks.prompting import user_text
from relift.benchmarks.table import BENCHMARKS

PREFIX = "relift:"
SPLIT = "test"
VERSION = 1


def make_tasks(settings: Settings | None = None) -> list[LightevalTaskConfig]:
    """Make a task for each benchmark of the table. Nothing is loaded yet. Raises InputError for bad settings."""
    settings = settings or read_settings()
    return [make_task(benchmark, settings) for benchmark in BENCHMARKS.values()]


def make_task(benchmark: Benchmark, settings: Settings) -> LightevalTaskConfig:
    """Make the task of one benchmark. Nothing is loaded yet."""
    protocol = settings.protocol

    def doc_of(line: dict[str, Any], task_name: str) -> Doc:
        question = question_of(line)
        return Doc(
            task_name=task_name,
            query=user_text(question, protocol=protocol, benchmark=benchmark),
            specific=doc_fields(question),
            **_choices(question.answer_kind, question.answer, len(question.options)),
        )

    return ReliftTask(
        benchmark,
        settings,
        name=f"{PREFIX}{benchmark.name}",
        prompt_function=doc_of,
        hf_repo="",
        hf_subset="default",
        hf_avail_splits=(SPLIT,),
        evaluation_splits=(SPLIT,),
        generation_size=protocol.sampling.max_tokens,
        stop_sequence=list(protocol.sampling.stop),
        metrics=make_metrics(settings.samples_of(benchmark), grader=protocol.grader, tags=tuple(protocol.thinking)),
        version=VERSION,
    )


def _choices(kind: str, gold: str, n_options: int) -> dict[str, Any]:
    """Give lighteval's own metrics, and its log, what they want to see of the gold."""
    if kind != "choice":
        return {"choices": [gold], "gold_index": 0}
    letters = [chr(ord("A") + i) for i in range(n_options)]
    return {"choices": letters, "gold_index": letters.index(gold)}


class ReliftTask(LightevalTaskConfig):
    """Define a task whose `hf_repo` is a local folder, written when it is first read.

    lighteval makes every task of the table, and only those that are asked for shall be loaded.
    """

    def __init__(self, benchmark: Benchmark, settings: Settings, **fields: Any) -> None:
        self._benchmark, self._settings, self._folder = benchmark, settings, ""
        super().__init__(**fields)

    @property
    def hf_repo(self) -> str:
        """Return the folder with the rows, written on first use."""
        if not self._folder:
            loaded = load_benchmark(self._benchmark, data=self._settings.data, any_content=self._settings.any_content)
            self._folder = str(write_rows(loaded, cache_folder()))
        return self._folder

    @hf_repo.setter
    def hf_repo(self, given: str) -> None:
        """Return the folder with the rows, written on first use."""
        self._folder = given


def cache_folder() -> Path:
    """Return a folder of ours inside that of `datasets`, which keeps its copy of the rows there too."""
    return Path(datasets.config.HF_DATASETS_CACHE) / "relift"


def write_rows(loaded: LoadedBenchmark, root: Path) -> Path:
    """Write the questions as one file in a folder of their own, named by their content; written once."""
    lines = "".join(json.dumps(question_row_of(q), ensure_ascii=False) + "\n" for q in loaded.questions)
    folder = root / f"{loaded.benchmark.name}-{hashlib.blake2b(lines.encode(), digest_size=8).hexdigest()}"
    path = folder / f"{SPLIT}.jsonl"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{os.getpid()}"
        unfinished.write_text(lines, encoding="utf-8")
        os.replace(unfinished, path)
    return folder
