"""The same answers graded by us and by lighteval 0.13: equal verdicts, and each difference is one that we know of.

lighteval lives in an environment of its own: RELIFT_LIGHTEVAL_PYTHON, else .venv-lighteval/bin/python at the
repository's root. Golds of MATH-500 and AIME where they are there, else golds like them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from relift.benchmarks.lighteval.cross_check import Cause, cross_check
from relift.schema import Question
from tests.lighteval.answers import DIFFER, RIGHT, WRONG, made
from tests.lighteval.runs import question, write_run
from tests.repository import ROOT

PYTHON = Path(os.environ.get("RELIFT_LIGHTEVAL_PYTHON", ROOT / ".venv-lighteval/bin/python"))
EVERY = int(os.environ.get("RELIFT_LIGHTEVAL_EVERY", "8"))  # of the golds; 1: all, several minutes
LIKE_THEM = (
    "204", "25", "0", "-3", "\\frac{14}{3}", "-\\frac{1}{2}", "\\sqrt{51}", "3\\sqrt{13}", "6 - 5i", "\\frac{\\pi}{2}",
    "\\left( 3, \\frac{\\pi}{2} \\right)", "p - q", "[-2,7]", "1,-2", "\\text{Evelyn}", "90^\\circ", "x^2 - 7x + 10",
    "10\\%", "11\\sqrt2", "\\{1, 2, 3\\}",
)  # fmt: skip


def needs_lighteval() -> None:
    if not PYTHON.exists():
        pytest.skip(f"no lighteval: {PYTHON} is missing; make test-lighteval makes it")


def benchmark_folder() -> Path | None:
    given = os.environ.get("RELIFT_BENCHMARK_DATA")
    folder = Path(given) if given else ROOT.parent / "shared/data/benchmarks"
    return folder if (folder / "math500.jsonl").is_file() else None


def questions_of(name: str) -> list[Question]:
    folder = benchmark_folder()
    if folder is None:
        pytest.skip("RELIFT_BENCHMARK_DATA names no folder with math500.jsonl and aime24.jsonl")
    rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    return [question(row["problem"], row["answer"], source=name) for row in rows[::EVERY]]


def test_differences_known_are_forms_that_there_are() -> None:
    assert set(DIFFER) <= {form.name for form in (*RIGHT, *WRONG)}
    assert len(RIGHT) >= 20 and len(WRONG) >= 15


@pytest.mark.lighteval
@pytest.mark.parametrize("source", ["aime24", "aime25", "math500", "like them"])
def test_verdicts_are_lightevals_but_for_known_differences(source: str, tmp_path: Path) -> None:
    needs_lighteval()
    if source == "like them":
        questions = [question(f"number {i}", gold) for i, gold in enumerate(LIKE_THEM)]
    else:
        questions = questions_of(source)
    answers = list(made([q.answer for q in questions]))
    folder = write_run(tmp_path / "run", questions, [(ix, text, form.finish) for ix, form, text in answers])
    checked = cross_check(folder, python=PYTHON)
    assert len(checked) == len(answers)
    wrong_verdicts, unknown, n_same, n_late = [], [], 0, 0
    # Attempts of a question are numbered in the order of `answers`, in which questions are in order too.
    for (ix, form, text), row in zip(answers, checked.to_dict("records"), strict=True):
        what = (form.name, questions[ix].answer, row["verdict"], row["verdict_rule"], row["theirs"], row["detail"])
        if row["verdict_rule"].endswith(".timeout"):  # of our grader, on a machine that does other things as well
            assert row["cause"] == Cause.undecided
            n_late += 1
            continue
        if row["verdict"] != ("correct" if form in RIGHT else "wrong"):
            wrong_verdicts.append(what)
        if row["agrees"] is True:
            n_same += 1
        elif row["cause"] is None or DIFFER.get(form.name) != row["cause"]:
            unknown.append(what)
        assert text or row["verdict"] == "wrong"
    assert wrong_verdicts == []
    assert unknown == []
    assert n_same > 0.8 * len(answers)
    assert n_late <= 0.01 * len(answers)
