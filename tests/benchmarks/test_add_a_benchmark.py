"""Follow docs/add-a-benchmark.md in a copy of the checkout: one file, one line, and the benchmark is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from relift.benchmarks.load import load_benchmark
from relift.benchmarks.table import BENCHMARKS
from relift.errors import InputError
from relift.grading.golds import solution_in
from tests.benchmarks.rows import lay, sums
from tests.repository import ROOT

FENCE = re.compile(r"^```(?:python|text)\n(.*?)^```", re.DOTALL | re.MULTILINE)
ROWS = [
    {"question": "3 boxes of 4 pens, 2 given away?", "answer": "3 * 4 = <<3*4=12>>12 pens.\n12 - 2 = 10.\n#### 10"},
    {"question": "How many metres are 2 km?", "answer": "2 * 1000 = <<2*1000=2000>>2,000.\n#### 2,000"},
]


def copy_of_the_checkout(to: Path) -> None:
    """Copy the package with its links, docs and tests, without a benchmark of the page's name."""
    for name in ("relift", "analysis", "dashboards", "benchmarks", "docs", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "images", "notebooks")
        shutil.copytree(ROOT / name, to / name, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", to)
    (to / "benchmarks" / "tasks" / "gsm8k.py").unlink()
    table = to / "benchmarks" / "table.py"
    table.write_text(table.read_text(encoding="utf-8").replace('    "gsm8k",\n', ""), encoding="utf-8")


def run_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_page_adds_a_benchmark(tmp_path: Path) -> None:
    copy_of_the_checkout(tmp_path)
    listing = ("-m", "relift.cli", "eval", "--list", "--json")
    before = [row["name"] for row in json.loads(run_in(tmp_path, *listing).stdout)["benchmarks"]]
    assert "gsm8k" not in before and len(before) == len(BENCHMARKS) - 1

    file, line = FENCE.findall((ROOT / "docs" / "add-a-benchmark.md").read_text(encoding="utf-8"))
    (tmp_path / "benchmarks" / "tasks" / "gsm8k.py").write_text(file, encoding="utf-8")
    table = tmp_path / "benchmarks" / "table.py"
    table.write_text(table.read_text(encoding="utf-8").replace('    "choice",\n', line + '    "choice",\n'), "utf-8")

    after = [row["name"] for row in json.loads(run_in(tmp_path, *listing).stdout)["benchmarks"]]
    assert after == list(BENCHMARKS)
    made = run_in(tmp_path, "docs/make_benchmarks.py")
    assert made.returncode == 0, made.stderr
    page = (tmp_path / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert "\n### gsm8k\n" in page and page == (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    data = lay(tmp_path / "data" / "gsm8k.jsonl", ROWS)
    pinned = run_in(tmp_path, "-m", "relift.cli", "eval", "--pin", "gsm8k", "--data", str(data.parent))
    assert pinned.returncode == 0 and "rows=2,  # declared: 1319" in pinned.stdout, pinned.stderr
    tests = run_in(tmp_path, "-m", "pytest", "-q", "tests/benchmarks/test_table.py", "-p", "no:cacheprovider")
    assert tests.returncode == 0, tests.stdout[-2000:]


def test_the_page_shows_the_file_that_is_there() -> None:
    file, line = FENCE.findall((ROOT / "docs" / "add-a-benchmark.md").read_text(encoding="utf-8"))
    assert file == (ROOT / "benchmarks" / "tasks" / "gsm8k.py").read_text(encoding="utf-8")
    assert line in (ROOT / "benchmarks" / "table.py").read_text(encoding="utf-8")


def test_gsm8k_takes_the_number_behind_the_last_mark(tmp_path: Path) -> None:
    loaded = load_benchmark(BENCHMARKS["gsm8k"], data=lay(tmp_path / "a.jsonl", ROWS), any_content=True)
    assert [q.answer for q in loaded.questions] == ["10", "2000"]  # 2,000 would be a list of two numbers
    reduced = [{"problem": row["question"], "answer": gold} for row, gold in zip(ROWS, ("10", "2000"), strict=True)]
    again = load_benchmark(BENCHMARKS["gsm8k"], data=lay(tmp_path / "b.jsonl", reduced), any_content=True)
    assert again.questions == loaded.questions and again.content_hash == loaded.content_hash


@pytest.mark.parametrize("any_content", [False, True])
def test_golds_that_are_solutions_are_refused(tmp_path: Path, *, any_content: bool) -> None:
    rows = [{"problem": f"{n}?", "answer": row["answer"]} for n, row in enumerate(ROWS)]
    with pytest.raises(InputError) as error:
        load_benchmark(sums(rows=2), data=lay(tmp_path / "a.jsonl", rows), any_content=any_content)
    assert "row 1: the gold '3 * 4 = <<3*4=12>>12 pens." in str(error.value)
    assert "is a whole solution (it contains ####)" in str(error.value) and "add-a-benchmark.md" in str(error.value)


def test_solutions_are_told_from_answers() -> None:
    assert solution_in("We have $2+2=4$, so it is $\\boxed{4}$.") == r"it contains \boxed"
    prose = "First note that the sum of the two roots equals the negative of the linear coefficient and " * 2
    assert solution_in(prose) == "it has 34 words"  # 17 a sentence
    answers = (
        "10", r"\frac{1}{2}", r"\text{no real solution exists}", r"$x \in (0, 4]$",
        r"\left\{ \begin{array}{ll} x & \text{if } x \geq 0 \\ -x & \text{otherwise} \end{array} \right.",
        "the set of all even positive integers greater than two",
    )  # fmt: skip
    assert [solution_in(answer) for answer in answers] == [None] * len(answers)
