"""Measure what `relift.integrations.trl.record` adds to a training step: a batch of rollouts, recorded or not.

Run:  python -m relift.benchmarks.speed.recorder --out FILE [--steps 30]

A reward function that costs nothing is called as TRL calls it, wrapped and plain in turn, and the difference is the
recorder's: reading the batch, verdicts, files, syncs, the commit. Cases: 16 questions x 8 answers of about 30, 500 and
2,000 tokens (4 characters each), every question new, which is the dearest: the table of questions grows with each step.
Times are of a call, wall and processor; files lie in --folder (default: a temporary one).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from relift.benchmarks.speed.record import cpu_name, write_result
from relift.fingerprints import versions
from relift.integrations.trl import record
from relift.store import check_run

QUESTIONS, ATTEMPTS = 16, 8
CASES = {"30 tokens": 30, "500 tokens": 500, "2000 tokens": 2000}
SENTENCE = "so we add the two and carry one, which gives the next digit; "


class _Arguments(SimpleNamespace):
    """Stand for TRL's arguments."""

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


class _Trainer:
    """Stand for a trainer of TRL: what a reward function may ask of it."""

    def __init__(self) -> None:
        self.args = _Arguments(
            seed=1, max_completion_length=4096, gradient_accumulation_steps=1, steps_per_generation=1,
            reward_weights=None, temperature=1.0,
        )  # fmt: skip
        self.model = SimpleNamespace(training=True, config=None, parameters=list, generation_config=None)
        self.processing_class = SimpleNamespace(eos_token_id=0, pad_token_id=0)
        self.state = SimpleNamespace(global_step=0, max_steps=1)

    def add_callback(self, callback: object) -> None:
        """Take a callback and never call it."""

    def log_extra(self, column: str, values: list[Any]) -> None:
        """Take a column and drop it."""


def batch(trainer: _Trainer, step: int, tokens: int) -> dict[str, Any]:
    """Make the arguments of one call: new questions, long answers."""
    text = (SENTENCE * (1 + 4 * tokens // len(SENTENCE)))[: 4 * tokens - 10]
    n = QUESTIONS * ATTEMPTS
    numbers = [i // ATTEMPTS for i in range(n)]
    trainer.state.global_step = step
    return {
        "prompts": [f"Question {step} {i}: what is {step} plus {i}?" for i in numbers],
        "completions": [f"{text}\\boxed{{{step + i + k % 2}}}" for k, i in enumerate(numbers)],
        "completion_ids": [[5] * (tokens - 1) + [0]] * n,
        "answer": [str(step + i) for i in numbers],
        "trainer_state": trainer.state,
        "log_extra": trainer.log_extra,
        "log_metric": trainer.log_extra,
    }


def reward(completions: list[str], **columns: Any) -> list[float]:
    """Judge at no cost."""
    return [1.0, 0.0] * (len(completions) // 2)


def measure(folder: Path, tokens: int, *, steps: int) -> dict[str, Any]:
    """Call plain and recorded in turn; medians over the steps, the first one (which makes the folder) left out."""
    trainer, recorded = _Trainer(), record(reward, folder, strict=True)
    wall, processor = [], []
    for step in range(steps):
        arguments = batch(trainer, step, tokens)
        spent = []
        for function in (reward, recorded):
            began = time.perf_counter(), time.process_time()
            function(**arguments)
            spent.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        wall.append(spent[1][0] - spent[0][0])
        processor.append(spent[1][1] - spent[0][1])
    n = QUESTIONS * ATTEMPTS
    return {
        "completions": n,
        "first_call_seconds": wall[0],
        "seconds_per_call": statistics.median(wall[1:]),
        "cpu_seconds_per_call": statistics.median(processor[1:]),
        "slowest_call_seconds": max(wall[1:]),
        "ms_per_completion": 1000 * statistics.median(wall[1:]) / n,
        "cpu_ms_per_completion": 1000 * statistics.median(processor[1:]) / n,
        "sound": check_run(folder).ok,
    }


def main() -> None:
    """Measure every case and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for case, tokens in CASES.items():
            results[case] = measure(Path(folder) / f"run-{tokens}", tokens, steps=options.steps)
    load = Path("/proc/loadavg")
    write_result(
        {
            "what": "what recording adds to a call of a reward function, median over steps",
            "command": f"python -m relift.benchmarks.speed.recorder --steps {options.steps}",
            "results": results,
            "versions": versions(),
            "hardware": {"cpu": cpu_name()},
            "load_average": load.read_text().split()[:3] if load.exists() else None,
        },
        options.out,
    )


if __name__ == "__main__":
    main()
