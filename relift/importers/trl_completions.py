"""Read the completion files of TRL's trainers (`log_completions=True`): OUTPUT/completions/completions_STEP.parquet.

(trl/trainer/grpo_trainer.py of 1.16.) A file holds the last batch of answers before its step was logged, and an
evaluation at the same step is written over it. It has no gold answers unless a reward function logged them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from relift.data.layouts import single
from relift.data.prompt_texts import last_turn
from relift.errors import InputError
from relift.importers.answers import About, Batch, ImportedAnswer, Options
from relift.importers.files import number_in, read_each
from relift.schema import Origin, RunKind

NAME = re.compile(r"completions_(\d+)\.parquet")
OWN = ("step", "prompt", "completion", "advantage")
GOLDS = ("answer", "solution", "ground_truth", "gold", "target")  # if a reward function logs them with log_extra


class TrlCompletions:
    """Reads the files of a training run in order of their steps."""

    def __init__(self, source: Path, options: Options) -> None:
        folder = source / "completions" if (source / "completions").is_dir() else source
        self._files = {
            int(match[1]): path
            for path in (sorted(folder.iterdir()) if folder.is_dir() else [source])
            if (match := NAME.fullmatch(path.name))
        }
        if not self._files:
            raise InputError(
                f"{source}: no completions_STEP.parquet there; TRL writes them into OUTPUT/completions with "
                "log_completions=True"
            )
        self._options = options
        self._reward = _reward_column(next(iter(self._files.values())), options.reward)

    def about(self) -> About:
        """Say what TRL's files leave out."""
        lacks = (
            "a mark of evaluations, which are written over the step's own file: some steps may be of other questions",
            "all but the last batch of answers before each file",
        )
        return About(project="trl", kind=RunKind.train, recipe="trl", lacks=lacks)

    def batches(self) -> Iterator[Batch]:
        """Give the answers file by file."""
        for step, path in sorted(self._files.items()):
            yield Batch(step, Origin.rollout, list(read_each(path, self._answer)))

    def _answer(self, row: Mapping[str, Any]) -> ImportedAnswer:
        prompt, completion = row["prompt"], row["completion"]
        problem = prompt if isinstance(prompt, str) else last_turn(prompt, "user")
        text = completion if isinstance(completion, str) else last_turn(completion, "assistant")
        if problem is None or text is None:
            raise ValueError("prompt or completion is neither a text nor turns of a user and an assistant")
        gold = next((found for name in GOLDS if (found := single(row.get(name))) is not None), None)
        reward = number_in(row, self._reward)
        return ImportedAnswer(
            question=self._options.question(problem, gold, source="trl", split="train"),
            text=text,
            score_is=self._options.verdict_of(reward),
            reward=reward,
            advantage=number_in(row, "advantage"),
        )


def _reward_column(path: Path, named: str | None) -> str:
    """Choose the column of the reward that says correct or wrong. Raises InputError where it is not clear."""
    try:
        schema = pq.ParquetFile(path, page_checksum_verification=True).schema_arrow
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no parquet file: {str(error).splitlines()[0]}") from None
    missing = [name for name in OWN if name not in schema.names]
    if missing:
        raise InputError(f"{path}: has no column {missing[0]!r}: not a completion file of TRL")
    numbers = [f.name for f in schema if f.name not in OWN and str(f.type) in ("double", "float", "int64", "null")]
    if named is not None and named not in schema.names:
        raise InputError(f"--reward {named}: {path.name} has no such column; there are {', '.join(numbers)}")
    if named is None and len(numbers) != 1:
        raise InputError(
            f"{path}: {len(numbers)} columns may be rewards ({', '.join(numbers)}): name the one that says correct or "
            "wrong with --reward"
        )
    return named or numbers[0]
