r"""Declare MATH-500: 500 questions of the test set of MATH.

A row, made up: {"problem": "Simplify $\sqrt{50}$.", "solution": "We have ... $\boxed{5\sqrt{2}}$.", "answer":
"5\sqrt{2}", "subject": "Prealgebra", "level": 1}.
"""

from __future__ import annotations

from relift.benchmarks.benchmark import Benchmark

MATH500 = Benchmark(
    name="math500",
    title="MATH-500",
    answer_kind="math",
    rows=500,
    hub="HuggingFaceH4/MATH-500",
    config="default",
    split="test",
    revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
    content_hash="2dbc17df6aeefc1ab9634e28292a81e7",
    columns={"problem": "problem", "answer": "answer", "subject": "subject", "level": "level"},
    licence="MIT",  # as scitix/sieval declares it; the card was not read for it
    samples=8,
    sources=(
        "id, split, columns: lighteval 3fd1526, src/lighteval/tasks/tasks/math_500.py; 500 rows: the card",
        "revision: ai-dynamo/aiperf 9e859f6, src/aiperf/accuracy/worker.py; scitix/sieval 61feafc, "
        "sieval/datasets/math_500.py; the hub was not read",
        "content hash: two copies that agree, a local one and LUFFY 01f4ae0, data/valid.all.parquet; the hub was not "
        "read",
        "samples: avg@8 of the ReLIFT paper (arXiv 2506.07527, version 2; second-hand)",
    ),
    notes=("lighteval reads the gold out of the whole solution, not out of the column answer",),
)

TASKS = (MATH500,)
