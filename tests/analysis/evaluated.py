"""Run folders of evaluations from hand-written verdicts, for the tests of scores and comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relift.run_record import parse_run
from relift.schema import question_id_of
from relift.store import RunWriter

PROTOCOL = {
    "name": "relift", "template": "chat", "system": None, "instruction": {}, "grader": "relift",
    "thinking": [["<think>", "</think>"]], "samples": {"aime24": 32},
    "sampling": {"temperature": 0.6, "top_p": 1.0, "max_tokens": 8192},
}  # fmt: skip
VERDICTS = {"c": "correct", "w": "wrong", "u": "undecided", "t": "wrong"}


@dataclass(frozen=True)
class Attempt:
    """One attempt. `letter`: c correct, w wrong, u undecided, t cut off without an answer; `answer` None: none."""

    letter: str
    answer: str | None


def attempts_of(letters: str, *, gold: str = "7") -> list[Attempt]:
    """ "ccwut" as attempts: right ones answer `gold`, wrong ones "0", undecided and cut-off ones nothing."""
    return [Attempt(x, {"c": gold, "w": "0"}.get(x)) for x in letters]


def write_evaluation(
    folder: Path,
    benchmarks: Mapping[str, Sequence[str | Sequence[Attempt]]],
    *,
    samples: int | None = None,
    draw: int = 0,
    problems: Mapping[str, Sequence[str]] | None = None,
    **more: Any,
) -> Path:
    """A run with these attempts, question by question, of each benchmark. A question is known by its text, by default
    "NAME i"; one text in two benchmarks is one question, whose attempts the first benchmark gives."""
    attempts: list[list[Attempt]] = []
    texts: list[str] = []
    declared = {}
    for name, questions in benchmarks.items():
        its = problems[name] if problems and name in problems else [f"{name} {i}" for i in range(len(questions))]
        for text, given in zip(its, questions, strict=True):
            if text not in texts:
                texts.append(text)
                attempts.append(attempts_of(given) if isinstance(given, str) else list(given))
        most = max(len(given) for given in questions)
        ixs = [texts.index(text) for text in its]
        declared[name] = {"question_ixs": ixs, "samples": samples or most, "out_of_distribution": name == "mmlu_pro"}
    body = {
        "run_id": folder.name, "kind": "eval", "status": "done", "protocol": PROTOCOL, "benchmarks": declared,
        "decodings": {"benchmark": PROTOCOL["sampling"]}, "graders": {"math": {"name": "relift", "version": 1}},
        "model": {"name": folder.name}, **more,
    }  # fmt: skip
    with RunWriter(folder) as writer:
        writer.start(parse_run(body, "test"), config_toml="", questions=_questions(texts), demonstrations=None)
        writer.write("attempts", _rows(attempts), step=0, origin="benchmark", draw=draw, part=0)
        writer.commit(0)
    return folder


def _questions(texts: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "question_id": [question_id_of(text) for text in texts], "question_ix": np.arange(len(texts)),
            "source": "test", "split": "test", "problem": list(texts), "answer": "7", "answer_kind": "math",
            "prompt_tokens": 4, "has_demo": False,
        }
    )  # fmt: skip


def _rows(attempts: Sequence[Sequence[Attempt]]) -> pd.DataFrame:
    rows = [
        {
            "question_ix": ix, "attempt": number, "verdict": VERDICTS[one.letter], "verdict_rule": "box.text",
            "reward": None if one.letter == "u" else float(one.letter == "c"),
            "finish": "length" if one.letter == "t" else "stop", "n_tokens": 9, "answer": one.answer,
            "policy_version": 0, "decoding_id": "benchmark", "seed": number,
        }
        for ix, of in enumerate(attempts)
        for number, one in enumerate(of)
    ]  # fmt: skip
    return pd.DataFrame(rows)
