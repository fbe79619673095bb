"""Measure what `relift.integrations.trl.record` adds to a training step: a batch of rollouts, recorded or not.

Run:  python -m relift.benchmarks.speed.recorder --out FILE [--steps 30]
      python -m relift.benchmarks.speed.recorder --out FILE --step MODEL --steps 4    (an environment with TRL)

A reward function that costs nothing is called as TRL calls it, wrapped and plain in turn, and the difference is the
recorder's: reading the batch, verdicts, files, syncs, the commit. Cases: 16 questions x 8 answers of about 30, 500 and
2,000 tokens (4 characters each), every question new, which is the dearest: the table of questions grows with each step.
Times are of a call, wall and processor; files lie in --folder (default: a temporary one).

With `--step MODEL` the call is inside a real step of TRL's GRPOTrainer on a CPU: 16 completions of up to 128 tokens by
the checkpoint MODEL, recorded, and the seconds spent in the recorder are set against the seconds of the step.
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
STEP_COMPLETIONS, STEP_TOKENS = 16, 128  # of a real step
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


def measure_training(folder: Path, model: str, *, steps: int) -> dict[str, Any]:
    """Train with TRL, recorded; seconds in the recorder and of the whole step, the first one (imports) left out."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    recorded = record(reward, folder / "run", strict=True)
    spent: list[tuple[float, float]] = []  # wall and processor seconds of each call
    whole: list[tuple[float, float]] = []  # of each step
    lengths: list[int] = []
    began = [(0.0, 0.0)]

    def now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def timed(**columns: Any) -> Any:
        start = now()
        rewards = recorded(**columns)
        spent.append(_since(start, now()))
        lengths.extend(len(ids) for ids in columns["completion_ids"])
        return rewards

    class Clock(TrainerCallback):
        """Time every step, generation and update."""

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            began[0] = now()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            whole.append(_since(began[0], now()))

    GRPOTrainer(
        model=model,
        args=GRPOConfig(
            output_dir=str(folder / "trl"), max_steps=steps, per_device_train_batch_size=STEP_COMPLETIONS,
            num_generations=8, max_completion_length=STEP_TOKENS, learning_rate=1e-6, save_strategy="no", bf16=False,
            use_cpu=True, report_to=[], disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(
            [{"prompt": f"Question {i}: what is {i} plus {i}?", "answer": str(2 * i)} for i in range(100, 164)]
        ),
        reward_funcs=timed,
        callbacks=[Clock()],
    ).train()  # fmt: skip
    shares = [100 * inside[0] / step[0] for inside, step in zip(spent[1:], whole[1:], strict=True)]
    return {
        "model": Path(model).name,
        "completions": STEP_COMPLETIONS,
        "mean_tokens": statistics.mean(lengths),
        "step_seconds": [step[0] for step in whole],
        "recorder_seconds": [inside[0] for inside in spent],
        "step_cpu_seconds": [step[1] for step in whole],
        "recorder_cpu_seconds": [inside[1] for inside in spent],
        "median_percent_of_a_step": statistics.median(shares),
        "largest_percent_of_a_step": max(shares),
        "sound": check_run(folder / "run").ok,
    }


def _since(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    return end[0] - start[0], end[1] - start[1]


def main() -> None:
    """Measure every case and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--step", metavar="MODEL", help="measure inside a training step of TRL with this checkpoint")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.step is not None:
            results["training step"] = measure_training(Path(folder), options.step, steps=options.steps)
        else:
            for case, tokens in CASES.items():
                results[case] = measure(Path(folder) / f"run-{tokens}", tokens, steps=options.steps)
    load = Path("/proc/loadavg")
    more = "" if options.step is None else f" --step {Path(options.step).name}"
    write_result(
        {
            "what": "what recording adds to a call of a reward function, median over steps"
            if options.step is None
            else "seconds in the recorder beside the seconds of a step of TRL's GRPOTrainer",
            "command": f"python -m relift.benchmarks.speed.recorder --steps {options.steps}{more}",
            "results": results,
            "versions": versions(),
            "hardware": {"cpu": cpu_name()},
            "load_average": load.read_text().split()[:3] if load.exists() else None,
        },
        options.out,
    )


if __name__ == "__main__":
    main()
