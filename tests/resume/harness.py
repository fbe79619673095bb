"""A small real training in a forked process that can be killed at any instant, and what must be equal afterwards.

The model is a random Llama with the arithmetic world's tokenizer, the grader calls a fixed pseudo-random eighth of all
answers correct, so that RL, the buffer and fine-tuning are all at work within seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from relift.arith.world import make_demonstrations, make_questions
from relift.config import Config, parse_config
from relift.data.questions import write_questions
from relift.demo.base_model import BaseSpec, make_base
from relift.grading import SCORERS, Judgement, Submission
from relift.schema import TABLES, RunStatus, Verdict
from relift.trainer.loop import train
from relift.trainer.run import Run, StepReport
from relift.trainer.setup import open_run

BATCH = 4  # demonstrations of a fine-tuning step: a full buffer


class HashGrader:
    """Correct: demonstrations (they begin with ":") and every text whose hash ends in 0 or 8; never undecided."""

    name = "hash"

    def __init__(self, **_: object) -> None:
        """Takes what scorers are made with, and needs none of it."""

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        return [
            Judgement(Verdict.correct if self._likes(s.text) else Verdict.wrong, "box.hash", s.text[:4])
            for s in submissions
        ]

    def describe(self) -> dict[str, object]:
        return {"name": self.name}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    @staticmethod
    def _likes(text: str) -> bool:
        return text.startswith(":") or hashlib.sha256(text.encode()).hexdigest()[-1] in "08"


def lay_inputs(folder: Path) -> Path:
    """A base model and data, made once for a test session."""
    SCORERS["exact"] = HashGrader
    torch.set_num_threads(1)
    spec = BaseSpec(steps=2, hidden=16, layers=1, heads=2, mlp=32, first_batch=4, batch=4)
    make_base(folder / "base", seed=0, spec=spec)
    make_base(folder / "teacher", seed=1, spec=spec)
    train_questions = make_questions("train", 24, seed=0)
    write_questions(folder / "train.jsonl", train_questions, make_demonstrations(train_questions))
    write_questions(folder / "probe.jsonl", make_questions("test", 6, seed=0), [])
    return folder


def config_of(inputs: Path, **changes: Any) -> Config:
    values: dict[str, Any] = {
        "recipe": "relift",
        "steps": 9,
        "model": {"path": str(inputs / "base")},
        "data": {"questions": str(inputs / "train.jsonl"), "prompt": "plain"},
        "rollout": {"questions_per_step": 6, "attempts_per_question": 4, "max_tokens": 12, "batch_rows": 32},
        "rl": {"optimizer": {"lr": 1e-3, "warmup_steps": 3}},
        "sft": {"batch": BATCH, "optimizer": {"lr": 2e-3}},
        "probe": {"questions": str(inputs / "probe.jsonl"), "every": 4, "attempts": 2},
        "checkpoint": {"every": 2},
    }
    for key, value in changes.items():
        values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
    return parse_config(values, where="test")


def run_here(config: Config, folder: Path, *, on_step: Callable[[Run, StepReport], None] | None = None) -> None:
    """Train to the end in this process."""
    with open_run(config, folder, allow_changes=("steps",)) as run:
        if on_step is not None:
            run.on_step = lambda report: on_step(run, report)
        train(run)
        run.record.writer.update_run(status=RunStatus.done)


class Child:
    """The same in a forked process: its own lock, its own end. torch is imported already, so it starts at once."""

    def __init__(
        self, config: Config, folder: Path, *, on_step: Callable[[Run, StepReport], None] | None = None
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: the child uses none of them
            self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                run_here(config, folder, on_step=on_step)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """0 done, -9 killed, else failed."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def poll(self) -> int | None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return None if pid == 0 else os.waitstatus_to_exitcode(status)


def contents(folder: Path) -> dict[str, str]:
    """Hash every table file and the last weights and state: two runs of the same identity must agree in all.

    Clock columns are left out: those tables are hashed by their other columns. Everything else is hashed byte by byte.
    """
    found = {}
    for path in sorted(folder.rglob("*.parquet")):
        if "orphaned" not in path.parts:
            found[str(path.relative_to(folder))] = _table_hash(path, folder)
    newest = max((folder / "weights").glob("step-*"))
    for path in sorted(newest.iterdir()):
        if path.name == "state.json":
            state = json.loads(path.read_text())
            del state["totals"]["wall_seconds"]
            found[f"{newest.name}/{path.name}"] = json.dumps(state, sort_keys=True)
        elif path.name != "manifest.json":  # it names the commit record, which names the start
            found[f"{newest.name}/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _table_hash(path: Path, folder: Path) -> str:
    name = path.parent.name if path.parent != folder else path.stem
    clocks = [c.name for c in TABLES[name].columns if c.clock]
    if not clocks:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    table = pq.read_table(path, page_checksum_verification=True).drop_columns(clocks)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue().to_pybytes()).hexdigest()
