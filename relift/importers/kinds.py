"""List the kinds of sources that `relift import` reads. Adding one is a module and a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relift.data.questions import read_questions
from relift.errors import InputError
from relift.grading import Grader, require_kind
from relift.importers.answers import Options, Source
from relift.importers.chat_jsonl import ChatJsonl
from relift.importers.inspect_logs import InspectLogs
from relift.importers.lm_eval import LmEvalSamples
from relift.importers.prime_traces import PrimeTraces
from relift.importers.trl_completions import TrlCompletions
from relift.importers.verl_dumps import VerlDumps
from relift.importers.write import write_imported
from relift.schema import Question
from relift.suggest import hint


@dataclass(frozen=True)
class Kind:
    """Open a source; `what` it reads; `second`: the option for a second place that it reads, "" where it has none."""

    open: Callable[[Path, Options], Source]
    what: str
    second: str = ""


KINDS: dict[str, Kind] = {
    "lm-eval": Kind(LmEvalSamples, "folder of samples_TASK_DATE.jsonl (lm-eval --log_samples)"),
    "inspect": Kind(InspectLogs, "a .eval or .json log of Inspect, or a folder of them"),
    "openai-jsonl": Kind(ChatJsonl, "a jsonl file of chats or responses in OpenAI's form", "--requests"),
    "trl": Kind(TrlCompletions, "output folder of a TRL trainer with log_completions=True"),
    "verl": Kind(VerlDumps, "trainer.rollout_data_dir of verl", "--validation"),
    "verl-validation": Kind(partial(VerlDumps, only_validation=True), "trainer.validation_data_dir of verl"),
    "prime-rl": Kind(PrimeTraces, "run folder of prime-rl, in both layouts of its traces"),
}


def import_source(
    kind: str,
    source: Path,
    into: Path,
    *,
    grader: Grader,
    questions: str | None = None,
    reward: str | None = None,
    correct_from: float = 1.0,
    instructions: tuple[str, ...] = (),
    answer_kind: str = "math",
    second: tuple[str, Path] | None = None,
) -> Path:
    """Import a source of this kind as the new run folder `into`. `second`: option and path of a second place.

    Raises InputError, with nothing written.
    """
    if kind not in KINDS:
        raise InputError(f"cannot import {kind!r}{hint(kind, KINDS)}; known: {', '.join(('lighteval', *KINDS))}")
    if second is not None and second[0] != KINDS[kind].second:
        raise InputError(f"{second[0]}: {kind} has no such place")
    for path in (source, *([second[1]] if second else [])):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
    require_kind(answer_kind)
    golds: dict[str, Question] = {}
    if questions is not None:
        read = read_questions(questions, answer_kind=lambda _: answer_kind, repeats="any")
        golds = {q.question_id: q for q in read.questions}
    options = Options(
        golds=golds,
        reward=reward,
        correct_from=correct_from,
        instructions=instructions,
        kind=answer_kind,
        second=None if second is None else second[1],
    )
    opened = KINDS[kind].open(source, options)
    return write_imported(opened, into, grader=grader, where=source)
