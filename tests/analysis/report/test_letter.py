"""The first sentences, and the facts for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from relift.analysis.report.content import make_report
from relift.analysis.report.facts import audit_lines, report_json
from relift.analysis.report.letter import letter
from relift.errors import InputError
from tests.synthetic import write_run


def _change(run: str, kind: str, group: str, low: float, high: float) -> dict[str, object]:
    return {
        "run_id": run, "run": run, "step": 9, "kind": kind, "group": group, "n_questions": 100, "n_left_out": 0,
        "base_accuracy": 0.4, "accuracy": 0.4 + (low + high) / 2, "difference": (low + high) / 2, "low": low,
        "high": high,
    }  # fmt: skip


def test_harm_stands_beside_gain() -> None:
    changes = pd.DataFrame(
        [
            _change("rl", "all", "all", -0.01, 0.03), _change("rl", "group", "test", 0.1, 0.2),
            _change("rl", "group", "longer", -0.3, -0.2),
        ]
    )  # fmt: skip
    said = letter({"difference_from_base": changes}, {"rl": "RL"})
    assert said[0].startswith("RL is compared at the last probe with the base, which answers 40.0 % of 100 questions")
    assert "(test 100, longer 100)" in said[0] and said[0].endswith("none left out.")
    beyond = "than the base beyond chance, in points (each of 2 intervals at 95 %): RL on"
    assert said[1] == f"Better {beyond} test by +15.0 [10.0, 20.0]."
    assert said[2] == f"Worse {beyond} longer by −25.0 [−30.0, −20.0]."
    assert letter({}, {}) == []
    calm = letter({"difference_from_base": changes.head(1)}, {"rl": "RL"})
    assert calm[1:] == [
        "No run is better than the base beyond chance on any split or band.",
        "No run is worse than the base beyond chance on any split or band.",
    ]


def test_the_frozen_copy_is_never_called_better_or_worse() -> None:
    rows = [_change("rl", "all", "all", 0.1, 0.2), _change("frozen", "all", "all", 0.01, 0.03)]
    beside = [{"control_difference": 0.02, "excess": excess} for excess in (0.13, 0.0)]
    changes = pd.DataFrame([row | of for row, of in zip(rows, beside, strict=True)])
    copies = pd.DataFrame(
        [{"run_id": "rl", "claim": "newly solved", "count": 9, "frozen": 4, "excess": 5, "low": 1.0, "high": 9.0}]
    )
    said = letter({"difference_from_base": changes, "frozen_copy": copies}, {"rl": "RL", "frozen": "copy"})
    assert said[1].endswith("(each of 1 intervals at 95 %): RL on all questions by +15.0 [10.0, 20.0].")
    assert said[3].endswith(
        "The frozen copy itself differs from the base on all questions by +2.0 [1.0, 3.0]: by chance."
    )


def test_json_and_checks_hold_the_same_facts(tmp_path: Path) -> None:
    write_run(tmp_path / "base", n_questions=60, n_steps=0, learn=0.0, seed=1, name="base")
    write_run(tmp_path / "rl", n_questions=60, n_steps=4, learn=0.6, seed=2, probe_every=2)
    report = make_report(
        [tmp_path / "base", tmp_path / "rl"],
        only=["difference_from_base", "methods", "frozen_copy", "audit", "alerts"],
        examples=0,
        resamples=20,
    )
    facts = json.loads(report_json(report))
    assert facts["letter"] == report.letter() and len(facts["letter"]) == 5
    assert [row["run"] for row in facts["tables"]["audit"]] == ["rl"] * 7
    assert facts["tables"]["difference_from_base"][0]["kind"] == "all"
    lines = audit_lines(report)
    assert len(lines) == 7 and lines[4].startswith("rl, seeds: FAILS: 1 training seed(s) -> train 3 seeds")
    del report.frames["audit"]
    with pytest.raises(InputError, match="no audit"):
        audit_lines(report)
