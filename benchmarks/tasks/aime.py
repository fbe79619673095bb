r"""Declare AIME: the two exams of one year, 30 questions whose answers are whole numbers from 0 to 999.

A row, made up: {"problem": "Find the number of positive integers $n \le 30$ divisible by 7.", "answer": "004"}.
"""

from __future__ import annotations

from relift.benchmarks.benchmark import Benchmark

AIME24 = Benchmark(
    name="aime24",
    title="AIME 2024",
    answer_kind="math",
    rows=30,
    hub="HuggingFaceH4/aime_2024",
    config="default",
    split="train",
    revision="2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
    content_hash="57b3f1f61219e81ce36ad4f4207334c1",
    columns={"problem": "problem", "answer": "answer"},
    samples=32,
    sources=(
        "id, split, columns: lighteval 3fd1526, src/lighteval/tasks/tasks/aime.py; 30 rows: the card",
        "revision: ai-dynamo/aiperf 9e859f6, src/aiperf/accuracy/worker.py; scitix/sieval 9c7a9bc, "
        "sieval/datasets/aime_2024.py; the hub was not read",
        "content hash: two copies that agree, a local one and LUFFY 01f4ae0, data/valid.all.parquet; the hub was not "
        "read",
        "samples: avg@32 of the ReLIFT paper (arXiv 2506.07527, version 2)",
    ),
    notes=(
        "golds are text with leading zeros (025)",
        "Maxwell-Jia/AIME_2024 (MIT) is another copy: I-5, I-6 and II-10 were corrected in it later",
    ),
)

AIME25 = Benchmark(
    name="aime25",
    title="AIME 2025",
    answer_kind="math",
    rows=30,
    hub="yentinglin/aime_2025",
    config="default",
    split="train",
    revision="6f71d77b0b89b9dabe07ab466c51df33f514df7f",
    content_hash="772761a19852dda2cc2f25a432260354",
    columns={"problem": "problem", "answer": "answer"},
    samples=32,
    sources=(
        "id, split, columns: lighteval 3fd1526, src/lighteval/tasks/tasks/aime.py; 30 rows: the card",
        "revision: ai-dynamo/aiperf 9e859f6, src/aiperf/accuracy/worker.py; the hub was not read",
        "content hash: two copies that agree, a local one and LUFFY 01f4ae0, data/valid.all.parquet; the hub was not "
        "read",
        "samples: avg@32 of the ReLIFT paper (arXiv 2506.07527, version 2)",
    ),
    notes=("other copies: math-ai/aime25 (split test), MathArena/aime_2025 (CC-BY-NC-SA-4.0)",),
)

AIME26 = Benchmark(
    name="aime26",
    title="AIME 2026",
    answer_kind="math",
    rows=30,
    hub="MathArena/aime_2026",
    config="default",
    split="train",
    revision="d2de22f3c656b4f56cf8981212186377d1e23bc3",
    columns={"problem": "problem", "answer": "answer"},
    licence="CC-BY-NC-SA-4.0",
    samples=32,
    sources=(
        "columns, 30 rows, licence: the card; rows also in eth-sri/matharena e927660, configs/competitions/aime",
        "revision: scitix/sieval ca4706f, sieval/datasets/aime_2026.py; the hub was not read",
        "samples: as the other years",
    ),
    notes=("golds are int64", "math-ai/aime26 (Apache-2.0) is another copy"),
)

TASKS = (AIME24, AIME25, AIME26)
