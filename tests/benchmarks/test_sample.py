"""A stated sample of a benchmark: nested, in order, the same from every copy, asked as the whole is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relift.benchmarks.load import find_benchmark, load_benchmark
from relift.benchmarks.prompting import user_text
from relift.benchmarks.protocols import find_protocol, samples_of
from relift.benchmarks.sample import limited

WHOLE = load_benchmark(find_benchmark("arith_sequence"))


@pytest.mark.parametrize("limit", [1, 7, 99])
def test_a_sample_is_named_and_in_order(limit: int) -> None:
    sample = limited(WHOLE, limit)
    assert sample.benchmark.name == f"arith_sequence ({limit} of 100)" and sample.benchmark.known_as == "arith_sequence"
    assert len(sample.questions) == limit == sample.benchmark.rows
    assert [q for q in WHOLE.questions if q in sample.questions] == list(sample.questions)


def test_a_larger_sample_holds_a_smaller_one_whatever_the_order() -> None:
    upside_down = replace(WHOLE, questions=WHOLE.questions[::-1])
    small, large = limited(upside_down, 10), limited(WHOLE, 20)
    assert set(small.questions) < set(large.questions) and set(small.questions) == set(limited(WHOLE, 10).questions)
    assert set(small.questions) != set(WHOLE.questions[:10])


@pytest.mark.parametrize("limit", [None, 100, 1000])
def test_all_of_it_is_no_sample(limit: int | None) -> None:
    assert limited(WHOLE, limit) is WHOLE


def test_a_sample_is_asked_as_the_whole() -> None:
    """MathArena asks AIME with a line of its own, and four times; MATH-500 with none."""
    aime, protocol = find_benchmark("aime24"), find_protocol("matharena")
    loaded = replace(WHOLE, benchmark=aime)
    sample = limited(loaded, 3).benchmark
    assert samples_of(protocol, sample) == samples_of(protocol, aime) == 4
    question = WHOLE.questions[0]
    assert user_text(question, protocol=protocol, benchmark=sample) == user_text(
        question, protocol=protocol, benchmark=aime
    )
