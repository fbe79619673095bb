"""Read the samples of lm-evaluation-harness 0.4 (`--log_samples`): one file per task, a row per question and filter.

(lm_eval/loggers/evaluation_tracker.py and evaluator.py of 0.4.13.) They hold the answers' texts and the harness's
metrics of each question, but no token counts and no reasons why an answer ended.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from relift.errors import InputError
from relift.grading.extract import last_box
from relift.importers.answers import About, Batch, ImportedAnswer, Options
from relift.importers.files import read_each, text_in
from relift.schema import Origin, RunKind

NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl")
PROBLEMS = ("problem", "question", "Problem", "Question", "query", "input")  # columns of a task's documents
FIRST = ("exact_match", "acc", "math_verify", "is_correct")  # metrics whose value, 0 or 1, is of the first answer
SAMPLING = ("temperature", "top_p", "max_gen_toks", "do_sample")


class LmEvalSamples:
    """Reads a folder of samples_TASK_DATE.jsonl files, or one of them; of a task the newest."""

    def __init__(self, source: Path, options: Options) -> None:
        self._source, self._options = source, options
        self._files = _newest(source)
        self._sampling: dict[str, Any] = {}
        self._older = len(list(source.glob("samples_*.jsonl"))) - len(self._files) if source.is_dir() else 0

    def about(self) -> About:
        """Say which model was evaluated, as the results of the same date tell."""
        results = _results(self._source if self._source.is_dir() else self._source.parent)
        model = results.get("model_name") or (self._source if self._source.is_dir() else self._source.parent).name
        versions = {"lm_eval": str(results["lm_eval_version"])} if results.get("lm_eval_version") else {}
        older = (f"a place for {self._older} older files of the same tasks, which are left out",) if self._older else ()
        config = results.get("config") or {}
        return About(
            project="lm-eval", kind=RunKind.eval, model=str(model), sampling=self._sampling, versions=versions,
            seed=config.get("random_seed"), lacks=older,
        )  # fmt: skip

    def batches(self) -> Iterator[Batch]:
        """Give the answers task by task."""
        for task, path in self._files.items():
            seen: set[Any] = set()
            answers: list[ImportedAnswer] = []
            for number, key, found in read_each(path, partial(self._answers, task=task)):
                if (number, key) not in seen:  # each further filter repeats the row
                    seen.add((number, key))
                    answers += found
            yield Batch(0, Origin.benchmark, answers, task)

    def _answers(self, row: Mapping[str, Any], *, task: str) -> tuple[Any, Any, list[ImportedAnswer]]:
        request = next(iter(row["arguments"].values()))
        prompt, settings = request["arg_0"], request.get("arg_1")
        if not isinstance(settings, Mapping):
            raise ValueError(f"task {task} compares log-likelihoods of given answers: there are no answers to import")
        self._sampling = {name: settings[name] for name in SAMPLING if name in settings}
        texts = row["resps"][0]
        texts = [texts] if isinstance(texts, str) else texts
        document = row["doc"]
        problem = next((document[name] for name in PROBLEMS if isinstance(document.get(name), str)), prompt)
        question = self._options.question(problem, gold_in(text_in(row, "target")), source="lm-eval", split=task)
        first = next((row[name] for name in FIRST if name in row), None)
        answers = [
            ImportedAnswer(
                question=question, text=text, score_is=self._options.verdict_of(first) if number == 0 else None
            )
            for number, text in enumerate(texts)
            if isinstance(text, str)
        ]
        return row["doc_id"], row.get("doc_hash"), answers


def gold_in(target: str) -> str:
    """Read the gold in a target that may be a worked solution: behind `####`, or in its last box."""
    if "####" in target:
        return target.rpartition("####")[2].strip()
    return last_box(target) or target.strip()


def _newest(source: Path) -> dict[str, Path]:
    """Find the newest file of each task. Raises InputError where there is none."""
    files = sorted(source.glob("samples_*.jsonl")) if source.is_dir() else [source]
    found: dict[str, tuple[str, Path]] = {}
    for path in files:
        match = NAME.fullmatch(path.name)
        if match is not None:
            found[match["task"]] = max(found.get(match["task"], ("", path)), (match["date"], path))
    if not found:
        raise InputError(
            f"{source}: no samples_TASK_DATE.jsonl there; lm-eval writes them with --log_samples --output_path FOLDER, "
            "into a folder with the model's name"
        )
    return {task: path for task, (_, path) in sorted(found.items())}


def _results(folder: Path) -> dict[str, Any]:
    """Read the newest results file beside the samples; empty where there is none."""
    for path in sorted(folder.glob("results_*.json"), reverse=True):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(values, dict):
            return values
    return {}
