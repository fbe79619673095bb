"""Declare Minerva: 272 questions of university science, many with a number in powers of ten as the answer.

A row, made up: {"question": "Light travels for 100 seconds. How many metres is that?", "answer": "3e10"}.
"""

from __future__ import annotations

from relift.benchmarks.benchmark import Benchmark

MINERVA = Benchmark(
    name="minerva",
    title="Minerva Math",
    answer_kind="math",
    rows=272,
    hub="math-ai/minervamath",
    config="default",
    split="test",
    revision="ee46ddc498933b1977577953250ca5c66be64f96",
    columns={"problem": "question", "answer": "answer"},
    licence="unknown",
    samples=8,
    unreadable_golds=(  # as math-verify 0.9.0 reads them, in LUFFY's copy: E_{1} and L_{\odot} are no symbols to it
        "eb1caa10b224548e675def05072ace28",
        "6e7020b841303939aa18ef58e6b9c5a0",
        "de0097403eca676354aead9f9768d12e",
    ),
    sources=(
        "split, columns, 272 rows and revision: five repositories of public evaluation code name them; the hub was "
        "not read",
        "samples: ours, as MATH-500; LUFFY takes 1",
    ),
    notes=(
        "the copy in LUFFY 01f4ae0, data/valid.all.parquet, has content hash 0d248467eeb2f9cd2180ddf2a476012b",
        "58 golds are written like 4.5e33",
        "knoveleng/Minerva-Math holds problem and solution, no column of answers; svc-huggingface/minerva-math is MIT",
    ),
)

TASKS = (MINERVA,)
