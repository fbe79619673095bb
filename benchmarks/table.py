"""List the benchmarks. Adding one is a file in tasks/ and its name in TASK_FILES (docs/add-a-benchmark.md)."""

from __future__ import annotations

from importlib import import_module

from relift.benchmarks.benchmark import Benchmark

# Each is a module of relift.benchmarks.tasks whose TASKS holds its benchmarks, in the order in which they are listed.
TASK_FILES = (
    "aime",
    "amc",
    "math500",
    "minerva",
    "olympiad",
    "matharena",
    "gsm8k",
    "choice",
    "arith",
)
BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for name in TASK_FILES
    for benchmark in import_module(f"relift.benchmarks.tasks.{name}").TASKS
}

# The six of the paper's average, and other names for several at once.
PAPER = ("aime24", "aime25", "amc", "math500", "olympiad", "mmlu_pro")
GROUPS: dict[str, tuple[str, ...]] = {
    "paper": PAPER,
    "math": tuple(b.name for b in BENCHMARKS.values() if b.answer_kind == "math"),
    "ood": tuple(b.name for b in BENCHMARKS.values() if b.out_of_distribution and b.hub is not None),
    "arith": tuple(b.name for b in BENCHMARKS.values() if b.hub is None),
    "all": tuple(BENCHMARKS),
}
