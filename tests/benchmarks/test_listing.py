import json
import subprocess
import sys
from pathlib import Path

import pytest

from relift.benchmarks import BENCHMARKS, list_benchmarks, pin, render_list
from relift.errors import InputError
from relift.grading.golds import solution_in
from tests.benchmarks.rows import lay, sums

QUICK = """
import sys, time
began = time.process_time()
from relift.benchmarks import list_benchmarks, render_list
render_list(list_benchmarks())
print(time.process_time() - began, *[name for name in ("torch", "transformers", "datasets", "sympy") if name in sys.modules])
"""  # noqa: E501


def test_a_row_for_each_benchmark_as_json_can_hold_it() -> None:
    rows = json.loads(json.dumps(list_benchmarks()))
    assert [row["name"] for row in rows] == list(BENCHMARKS)
    gpqa = next(row for row in rows if row["name"] == "gpqa_diamond")
    assert gpqa["gated"] and gpqa["out_of_distribution"] and gpqa["rows"] == 198 and "ood" in gpqa["groups"]
    assert gpqa["content_hash"] is None and not gpqa["pinned"]


def test_the_table_fits_100_columns_and_says_what_is_unpinned() -> None:
    lines = render_list(list_benchmarks()).splitlines()
    assert max(map(len, lines)) <= 100
    by_name = {line.split()[0]: line for line in lines if line}
    assert set(BENCHMARKS) < set(by_name)
    assert by_name["olympiad"].endswith("unpinned") and by_name["minerva"].endswith("ee46ddc4 *")
    assert by_name["math500"].endswith("6e4ed1a2") and by_name["arith_test"].endswith("embedded")
    assert "CC-BY-4.0, gated" in by_name["gpqa_diamond"] and "12,032" in by_name["mmlu_pro"]


def test_listing_takes_half_a_second_of_cpu_and_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", QUICK], capture_output=True, text=True, check=True)
    seconds, *heavy = done.stdout.split()
    assert heavy == [] and float(seconds) < 0.5


def test_pin_tells_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"problem": "a", "answer": "2"}, {"problem": "b", "answer": "???"}] * 2
    file = lay(tmp_path / "sums.jsonl", rows)
    monkeypatch.setitem(BENCHMARKS, "sums", sums())
    said = pin("sums", data=file).splitlines()
    assert said[0] == f"# {file}"
    assert (
        said[1].startswith("# sums: each of its 2 questions stands there 2 times")
        and said[2] == "rows=2,  # declared: 3"
    )
    assert said[3].startswith('content_hash="') and len(said[3]) == len('content_hash="",') + 32
    assert said[4].startswith('unreadable_golds=["') and said[4].endswith("],  # to be repaired or declared")
    assert pin("arith_test").splitlines()[1:] == [
        "rows=320,  # as declared",
        f'content_hash="{BENCHMARKS["arith_test"].content_hash}",  # as declared',
    ]


GSM8K = "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 = <<48+24=72>>72 clips.\n#### 72"


def test_pin_refuses_golds_that_are_whole_solutions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GSM8K's own column holds the solution; the answer stands behind ####."""
    file = lay(tmp_path / "sums.jsonl", [{"problem": "a", "answer": "2"}, {"problem": "b", "answer": GSM8K}])
    monkeypatch.setitem(BENCHMARKS, "sums", sums())
    with pytest.raises(InputError, match="row 2: the gold 'Natalia sold 48/2 .* is a whole solution"):
        pin("sums", data=file)


@pytest.mark.parametrize(
    ("gold", "expected"),
    [
        (GSM8K, True),
        ("We add both sides.\\nSo the answer is \\boxed{7}", True),
        ("First we add the two numbers to get seven and a half.\n" * 3, True),
        ("72", False),
        (r"\frac{1}{2}", False),
        ("the line through the origin with slope two and the point at infinity", False),
    ],
)
def test_solutions_are_told_from_answers(gold: str, expected: bool) -> None:  # noqa: FBT001
    assert (solution_in(gold) is not None) is expected
