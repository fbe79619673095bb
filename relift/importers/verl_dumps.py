"""Read what verl writes of its answers: STEP.jsonl in trainer.rollout_data_dir and trainer.validation_data_dir.

(verl/trainer/ppo/ray_trainer.py of 0.9.) A row has input, output, gts, score, step, and what a reward function adds.
Prompts are decoded without their special tokens, so the question is cut out of the text by the names of the turns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from relift.data.layouts import single
from relift.errors import InputError
from relift.importers.answers import About, Batch, ImportedAnswer, Options
from relift.importers.files import number_in, read_each, text_in
from relift.schema import Origin, RunKind

NAME = re.compile(r"(\d+)\.jsonl")
# "system\n...\nuser\nQUESTION\nassistant\n": what ChatML leaves without its special tokens (Qwen and others)
CHATML = re.compile(r"(?:.*\n|^)user\n(?P<question>.*)\nassistant\s*(?P<opened><think>)?\s*", re.DOTALL)
LLAMA = re.compile(r"(?:.*|^)user\n\n(?P<question>.*)assistant\s*(?P<opened><think>)?\s*", re.DOTALL)


class VerlDumps:
    """Reads a training run: rollouts of `source`, and validations of `options.second` as probes.

    `only_validation`: `source` itself is the folder of validations.
    """

    def __init__(self, source: Path, options: Options, *, only_validation: bool = False) -> None:
        self._options = options
        folders = {Origin.probe if only_validation else Origin.rollout: source}
        if options.second is not None:
            folders[Origin.probe] = options.second
        self._files = sorted(
            ((step, origin, path) for origin, folder in folders.items() for step, path in _files(folder).items()),
            key=lambda item: (item[0], str(item[1])),
        )

    def about(self) -> About:
        """Say what verl's dumps leave out."""
        lacks = ("the prompts' special tokens: questions are cut out of the text by the names of the turns",)
        return About(project="verl", kind=RunKind.train, recipe="verl", lacks=lacks)

    def batches(self) -> Iterator[Batch]:
        """Give rollouts and validations step by step."""
        for step, origin, path in self._files:
            split = "probe" if origin is Origin.probe else "train"
            answers = list(read_each(path, partial(self._answer, split=split)))
            yield Batch(step, origin, answers)

    def _answer(self, row: Mapping[str, Any], *, split: str) -> ImportedAnswer:
        problem, opened = question_in(text_in(row, "input"))
        reward = number_in(row, "score")
        named = row.get(self._options.reward) if self._options.reward else row.get("acc", reward)
        return ImportedAnswer(
            question=self._options.question(problem, single(row["gts"]), source="verl", split=split),
            text=text_in(row, "output"),
            score_is=self._options.verdict_of(named),
            reward=reward if split == "train" else None,
            opened=opened,
        )


def question_in(text: str) -> tuple[str, bool]:
    """Cut the question out of a decoded prompt; say whether the prompt opens the thoughts."""
    for pattern in (CHATML, LLAMA):
        match = pattern.fullmatch(text)
        if match is not None:
            return match["question"].strip(), match["opened"] is not None
    return text.strip(), text.rstrip().endswith("<think>")


def _files(folder: Path) -> dict[int, Path]:
    """Find the files by step. Raises InputError where there are none."""
    found = {
        int(match[1]): path
        for path in (sorted(folder.iterdir()) if folder.is_dir() else [folder])
        if (match := NAME.fullmatch(path.name)) and path.exists()
    }
    if not found:
        raise InputError(
            f"{folder}: no STEP.jsonl there; verl writes them with trainer.rollout_data_dir and "
            "trainer.validation_data_dir"
        )
    return found
