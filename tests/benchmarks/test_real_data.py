"""The published questions themselves, where a copy is at hand; none is part of the project."""

from pathlib import Path

import pytest

from relift.benchmarks.listing import pin
from relift.benchmarks.load import load_benchmark
from relift.benchmarks.table import BENCHMARKS
from tests.repository import benchmark_data

HELD = ("aime24", "aime25", "amc", "math500")


@pytest.fixture(scope="module")
def folder() -> Path:
    found = benchmark_data()
    if found is None:
        pytest.skip("no copies of the benchmarks: set RELIFT_BENCHMARK_DATA")
    return found


@pytest.mark.parametrize("name", HELD)
def test_a_copy_has_the_declared_contents(folder: Path, name: str) -> None:
    loaded = load_benchmark(BENCHMARKS[name], data=folder)
    assert loaded.pinned and len(loaded.questions) == BENCHMARKS[name].rows and loaded.notes == ()
    golds = [q.answer for q in loaded.questions]
    if name in ("aime24", "amc"):
        assert all(gold == str(int(gold)) for gold in golds), "025 and 142.0 are spelt as whole numbers"
    if name == "aime25":
        assert [gold for gold in golds if not gold.isdigit()] == [r"336^\circ"]


def test_pin_agrees_with_the_table(folder: Path) -> None:
    said = pin("amc", data=folder).splitlines()
    assert [line.endswith("# as declared") for line in said] == [False, True, True]
