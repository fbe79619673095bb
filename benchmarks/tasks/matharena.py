"""Declare competitions as MathArena publishes them: HMMT, BRUMO, Apex, ArXivMath.

A row, made up: {"problem_idx": 1, "problem": "Compute $1+2$.", "answer": "3"}. Where the licence is CC-BY-NC-SA-4.0
rows may not be used commercially.
"""

from __future__ import annotations

from relift.benchmarks.benchmark import Benchmark

LICENCE = "CC-BY-NC-SA-4.0"
CARD = "columns, rows, licence: the card; rows also in eth-sri/matharena e927660, configs/competitions"
COLUMNS = {"problem": "problem", "answer": "answer"}
ARXIVMATH = "id, {2} rows: eth-sri/matharena {0}, configs/competitions/arxiv/{1}; no revision is known"
ARXIVMATH_COLUMNS = "split, columns: as public evaluation code reads the later months (NVIDIA, arxivmath-0426)"

HMMT_FEB25 = Benchmark(
    name="hmmt_feb25",
    title="HMMT February 2025",
    answer_kind="math",
    rows=30,
    hub="MathArena/hmmt_feb_2025",
    config="default",
    split="train",
    revision="6fdc4277120810ff75aa22d2d5489b91f7a262a1",
    columns=COLUMNS,
    licence=LICENCE,
    samples=32,
    sources=(
        CARD,
        "revision: scitix/sieval 5d0c658, sieval/datasets/hmmt_feb_2025.py; the hub was not read",
        "samples: ours, as AIME",
    ),
)

HMMT_NOV25 = Benchmark(
    name="hmmt_nov25",
    title="HMMT November 2025",
    answer_kind="math",
    rows=30,
    hub="MathArena/hmmt_nov_2025",
    config="default",
    split="train",
    revision="118dbfb45c4c9467c672268ed55166642897aa46",
    columns=COLUMNS,
    licence=LICENCE,
    samples=32,
    sources=(
        CARD,
        "revision: scitix/sieval 01d2530, sieval/datasets/hmmt_nov_2025.py; the hub was not read",
        "samples: ours, as AIME",
    ),
)

HMMT_FEB26 = Benchmark(
    name="hmmt_feb26",
    title="HMMT February 2026",
    answer_kind="math",
    rows=33,
    hub="MathArena/hmmt_feb_2026",
    config="default",
    split="train",
    revision="02fba4f74d8e68e73e66a02d540fd979c05c274c",
    columns=COLUMNS,
    licence=LICENCE,
    samples=32,
    sources=(
        CARD,
        "revision: scitix/sieval 61feafc, sieval/datasets/hmmt_feb_2026.py; the hub was not read",
        "samples: ours, as AIME",
    ),
)

BRUMO25 = Benchmark(
    name="brumo25",
    title="BRUMO 2025",
    answer_kind="math",
    rows=30,
    hub="MathArena/brumo_2025",
    config="default",
    split="train",
    revision="6de9bc0987f5710c6376ee980e1483dbeb55cfda",
    columns=COLUMNS,
    licence=LICENCE,
    samples=32,
    sources=(
        CARD,
        "revision: scitix/sieval 8a7d66e, sieval/datasets/brumo_2025.py; the hub was not read",
        "samples: ours, as AIME",
    ),
)

APEX25 = Benchmark(
    name="apex25",
    title="MathArena Apex 2025",
    answer_kind="math",
    rows=12,
    hub="MathArena/apex_2025",
    config="default",
    split="train",
    revision="ac8a641db12cc87be39e61ea89f2e04c80c5f2e7",
    columns=COLUMNS,
    licence=LICENCE,
    samples=32,
    sources=(
        "id, config, split, columns, 12 rows, licence: scitix/sieval 8a7d66e, sieval/datasets/apex_2025.py",
        "revision: the same file; the hub was not read",
        "samples: ours, as AIME",
    ),
    notes=("questions of 2025 contests, chosen because models of then failed on them",),
)

APEX_SHORTLIST25 = Benchmark(
    name="apex_shortlist25",
    title="MathArena Apex shortlist 2025",
    answer_kind="math",
    rows=47,
    hub="MathArena/apex-shortlist",
    config="default",
    split="train",
    revision="f3efdf224ef665f129ddaae37699f6098c65781b",
    columns=COLUMNS,
    licence=LICENCE,
    samples=32,
    sources=(
        "id, config, split, columns, 47 rows, licence: scitix/sieval 105c20d, sieval/datasets/apex_shortlist_2025.py",
        "revision: the same file; the hub was not read",
        "samples: ours, as AIME",
    ),
    notes=("shares questions with brumo25 and hmmt_feb25, says the same file; they are sampled once",),
)

ARXIVMATH_DEC25 = Benchmark(
    name="arxivmath_dec25",
    title="ArXivMath December 2025",
    answer_kind="math",
    rows=17,
    hub="MathArena/arxivmath-1225",
    config="default",
    split="train",
    columns=COLUMNS,
    licence="unknown",
    samples=32,
    sources=(ARXIVMATH.format("63f9e59", "december.yaml", 17), ARXIVMATH_COLUMNS, "samples: ours, as AIME"),
)

ARXIVMATH_JAN26 = Benchmark(
    name="arxivmath_jan26",
    title="ArXivMath January 2026",
    answer_kind="math",
    rows=23,
    hub="MathArena/arxivmath-0126",
    config="default",
    split="train",
    columns=COLUMNS,
    licence="unknown",
    samples=32,
    sources=(ARXIVMATH.format("a8489a6", "january.yaml", 23), ARXIVMATH_COLUMNS, "samples: ours, as AIME"),
)

ARXIVMATH_FEB26 = Benchmark(
    name="arxivmath_feb26",
    title="ArXivMath February 2026",
    answer_kind="math",
    rows=32,
    hub="MathArena/arxivmath-0226",
    config="default",
    split="train",
    columns=COLUMNS,
    licence="unknown",
    samples=32,
    sources=(ARXIVMATH.format("a8489a6", "february.yaml", 32), ARXIVMATH_COLUMNS, "samples: ours, as AIME"),
)

TASKS = (
    HMMT_FEB25, HMMT_NOV25, HMMT_FEB26, BRUMO25, APEX25, APEX_SHORTLIST25, ARXIVMATH_DEC25, ARXIVMATH_JAN26,
    ARXIVMATH_FEB26,
)  # fmt: skip
