"""The published questions themselves, where a copy is at hand; none is part of the project."""

import json
from pathlib import Path

import pytest

from relift.benchmarks.listing import pin
from relift.benchmarks.load import load_benchmark
from relift.benchmarks.table import BENCHMARKS
from relift.errors import InputError
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


@pytest.mark.parametrize("name", HELD)
def test_rows_that_differ_are_named(folder: Path, name: str, tmp_path: Path) -> None:
    """Row 2 has another gold, row 4 another problem, the last row is gone; order and spelling change nothing."""
    lines = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    gold = next(key for key in ("answer", "Answer") if key in lines[0])
    problem = next(key for key in ("problem", "question") if key in lines[0])
    lines[1][gold], lines[3][problem] = "12345", "1+1?"
    copy = tmp_path / f"{name}.jsonl"
    copy.write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]))
    with pytest.raises(InputError) as error:
        load_benchmark(BENCHMARKS[name], data=copy)
    said = "row 2 has another gold ('12345'); row 4 is none of its questions; 2 of its questions are missing"
    assert said in str(error.value) and "\n" not in str(error.value)


def test_pin_agrees_with_the_table(folder: Path) -> None:
    said = pin("amc", data=folder).splitlines()
    assert [line.endswith("# as declared") for line in said] == [False, True, True]
