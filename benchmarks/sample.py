"""Take a stated sample of a benchmark's questions: the same for everybody, marked wherever its name stands."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from relift.benchmarks.benchmark import LoadedBenchmark


def limited(loaded: LoadedBenchmark, limit: int | None) -> LoadedBenchmark:
    """Keep `limit` questions, in the order of their source; the benchmark itself where it has no more than that.

    A hash of the question's id chooses, so order, copy and seed change nothing, and a larger sample contains a smaller
    one. The first ones would be the easiest of many sets. The name says so: "math500 (50 of 500)".
    """
    questions = loaded.questions
    if limit is None or limit >= len(questions):
        return loaded
    order = sorted(range(len(questions)), key=lambda i: _rank(questions[i].question_id))
    kept = sorted(order[:limit])
    of = f" ({limit} of {len(questions)})"
    benchmark = loaded.benchmark
    sample = replace(
        benchmark, name=benchmark.name + of, title=benchmark.title + of, rows=limit, sample_of=benchmark.name
    )
    return replace(loaded, benchmark=sample, questions=tuple(questions[i] for i in kept))


def _rank(question_id: str) -> bytes:
    return hashlib.blake2b(f"sample/{question_id}".encode(), digest_size=8).digest()
