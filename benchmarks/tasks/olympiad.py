"""Declare OlympiadBench: 675 text-only competition questions in English with final answers.

A row, made up: {"question": "Solve $x^2 = 4$.", "answer": "$2$, $-2$"}.
"""

from __future__ import annotations

from relift.benchmarks.benchmark import Benchmark

OLYMPIAD = Benchmark(
    name="olympiad",
    title="OlympiadBench",
    answer_kind="math",
    rows=675,
    hub="knoveleng/OlympiadBench",
    config="default",
    split="train",
    columns={"problem": "question", "answer": "answer"},
    licence="unknown",
    samples=8,
    gold_repairs={
        "3aa13f46fa8f034874f95eab23c0a3b1": "n^{2}-n-1",  # published as m_{\max }=n^{2}-n-1: a value with its name
        "4f242e527d359ee078383776950a0cd0": "(0,4]",  # published as t(0,4]: the sign of membership was lost
    },
    sources=(
        "id, split, 675 rows: the card; columns: public evaluation code (question, answer); no revision is known",
        "samples: avg@8 of the ReLIFT paper (arXiv 2506.07527, version 2; second-hand)",
    ),
    notes=(
        "not Hothan/OlympiadBench (OE_TO_maths_en_COMP, 674 questions, other columns), nor math-ai/olympiadbench (674)",
        "the copy in LUFFY 01f4ae0, data/valid.all.parquet, has content hash 85465d799d99ef00fdc213aaa2b71796",
        "20 golds are lists, written as several $...$",
    ),
)

TASKS = (OLYMPIAD,)
