"""Declare the embedded world's held-out sets (docs/arith.md): made by relift.arith, exact whole numbers.

A question: problem `47+3*8-5?`, answer `66`. Nothing is downloaded, so there are no columns and no layout.
"""

from __future__ import annotations

from relift.benchmarks.benchmark import Benchmark

SEED = 0  # of the questions; the demo draws its own with other seeds, and its training sets are disjoint for every seed

SOURCES = ("relift/arith/world.py, make_questions(split, rows, seed=0)", "samples: as the demo's probes")

ARITH_TEST = Benchmark(
    name="arith_test",
    title="Arithmetic: as trained on",
    answer_kind="exact",
    rows=320,
    split="test",
    content_hash="7112a4152a37093612851aaea4214d02",
    licence="Apache-2.0",
    template="plain",
    samples=8,
    sources=SOURCES,
    notes=("1 to 4 terms, 30 % with one product",),
)

ARITH_LONGER = Benchmark(
    name="arith_longer",
    title="Arithmetic: longer chains",
    answer_kind="exact",
    rows=100,
    split="longer",
    content_hash="22b0fd196433ce3b00990d5541dac5ce",
    licence="Apache-2.0",
    out_of_distribution=True,
    template="plain",
    samples=8,
    sources=SOURCES,
    notes=("5 and 6 terms, no product",),
)

ARITH_TWO_PRODUCTS = Benchmark(
    name="arith_two_products",
    title="Arithmetic: two products",
    answer_kind="exact",
    rows=100,
    split="two_products",
    content_hash="a8f2c0b48d7564edc980eeb63f423f59",
    licence="Apache-2.0",
    out_of_distribution=True,
    template="plain",
    samples=8,
    sources=SOURCES,
    notes=("two products in two terms",),
)

ARITH_SEQUENCE = Benchmark(
    name="arith_sequence",
    title="Arithmetic: next number of a sequence",
    answer_kind="exact",
    rows=100,
    split="sequence",
    content_hash="fb5457f159f275bedc2074a3d1f1c651",
    licence="Apache-2.0",
    template="plain",
    samples=8,
    sources=SOURCES,
    notes=("a side skill of the base model that nothing trains on: it measures forgetting",),
)

TASKS = (ARITH_TEST, ARITH_LONGER, ARITH_TWO_PRODUCTS, ARITH_SEQUENCE)
