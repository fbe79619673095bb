"""The table of benchmarks. Adding one is a value in tasks/ and a line here."""

from __future__ import annotations

from relift.benchmarks.benchmark import Benchmark
from relift.benchmarks.tasks.aime import AIME24, AIME25, AIME26
from relift.benchmarks.tasks.amc import AMC, AMC23
from relift.benchmarks.tasks.arith import ARITH_LONGER, ARITH_SEQUENCE, ARITH_TEST, ARITH_TWO_PRODUCTS
from relift.benchmarks.tasks.choice import ARC_C, GPQA_DIAMOND, MMLU_PRO
from relift.benchmarks.tasks.math500 import MATH500
from relift.benchmarks.tasks.matharena import BRUMO25, HMMT_FEB25, HMMT_FEB26, HMMT_NOV25
from relift.benchmarks.tasks.minerva import MINERVA
from relift.benchmarks.tasks.olympiad import OLYMPIAD

BENCHMARKS: dict[str, Benchmark] = {
    b.name: b
    for b in (
        AIME24, AIME25, AIME26, AMC, AMC23, MATH500, MINERVA, OLYMPIAD, HMMT_FEB25, HMMT_NOV25, HMMT_FEB26, BRUMO25,
        MMLU_PRO, GPQA_DIAMOND, ARC_C, ARITH_TEST, ARITH_LONGER, ARITH_TWO_PRODUCTS, ARITH_SEQUENCE,
    )
}  # fmt: skip

# The six of the paper's average, and other names for several at once.
PAPER = ("aime24", "aime25", "amc", "math500", "olympiad", "mmlu_pro")
GROUPS: dict[str, tuple[str, ...]] = {
    "paper": PAPER,
    "math": tuple(b.name for b in BENCHMARKS.values() if b.answer_kind == "math"),
    "ood": tuple(b.name for b in BENCHMARKS.values() if b.out_of_distribution and b.hub is not None),
    "arith": tuple(b.name for b in BENCHMARKS.values() if b.hub is None),
    "all": tuple(BENCHMARKS),
}
