"""Describe benchmarks (table, tasks), load and check them, and put their questions (protocols, prompting)."""

from __future__ import annotations

from relift.benchmarks.benchmark import Benchmark, LoadedBenchmark, Protocol
from relift.benchmarks.listing import list_benchmarks, pin, render_list
from relift.benchmarks.load import content_hash_of, find_benchmark, find_benchmarks, load_benchmark
from relift.benchmarks.prompting import render_prompt
from relift.benchmarks.protocols import PROTOCOLS, customised, find_protocol, samples_of
from relift.benchmarks.table import BENCHMARKS, GROUPS

__all__ = [
    "BENCHMARKS", "GROUPS", "PROTOCOLS", "Benchmark", "LoadedBenchmark", "Protocol", "content_hash_of", "customised",
    "find_benchmark", "find_benchmarks", "find_protocol", "list_benchmarks", "load_benchmark", "pin", "render_list",
    "render_prompt", "samples_of",
]  # fmt: skip
