"""Declare AMC 12: 83 questions of 2022 and 2023, turned into whole-number answers, and the 40 of 2023 alone.

A row of the first, made up: {"problem": "A box holds 12 rows of 11 eggs. How many eggs?", "answer": 132.0}.
"""

from __future__ import annotations

from relift.benchmarks.benchmark import Benchmark

AMC = Benchmark(
    name="amc",
    title="AMC 2022-2023",
    answer_kind="math",
    rows=83,
    hub="AI-MO/aimo-validation-amc",
    config="default",
    split="train",
    revision="69d78a4a2c840e82d69af6bc742bda09005f6316",
    content_hash="ea25a554bb1f2488343e8e623af26e6c",
    columns={"problem": "problem", "answer": "answer"},
    licence="Apache-2.0",
    samples=32,
    sources=(
        "split, columns, 83 rows, licence: the card",
        "revision: nine repositories of public evaluation code name it; the hub was not read",
        "content hash: two copies that agree, a local one and LUFFY 01f4ae0, data/valid.all.parquet; the hub was not "
        "read",
        "samples: avg@32 of the ReLIFT paper (arXiv 2506.07527, version 2)",
    ),
    notes=("the set of ReLIFT and LUFFY", "golds are written 142.0"),
)

AMC23 = Benchmark(
    name="amc23",
    title="AMC 2023",
    answer_kind="math",
    rows=40,
    hub="math-ai/amc23",
    config="default",
    split="test",
    revision="80815d37005feb82cd7f8fbc6901d5d3eff43057",
    columns={"problem": "question", "answer": "answer"},
    samples=32,
    sources=(
        "split, columns (id, answer, url, question), 40 rows and revision: ten repositories of public evaluation code "
        "name them; the hub was not read",
        "samples: as amc",
    ),
    notes=(
        "how far it overlaps with amc is not known; a question in both is sampled once",
        "other copies: zwhe99/amc23 (has empty questions, golds written 27.0), knoveleng/AMC-23",
    ),
)

TASKS = (AMC, AMC23)
