"""Competitions as MathArena publishes them: HMMT and BRUMO. Their rows may not be used commercially."""

from __future__ import annotations

from relift.benchmarks.benchmark import Benchmark

LICENCE = "CC-BY-NC-SA-4.0"
CARD = "columns, rows, licence: the card; rows also in eth-sri/matharena e927660, configs/competitions"
COLUMNS = {"problem": "problem", "answer": "answer"}

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
