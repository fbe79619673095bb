"""relift report --audit, --json, --control: what is printed, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import assert_refused, relift
from tests.synthetic import write_run

SMALL = {"n_questions": 16, "n_steps": 2, "probe_every": 1}
QUICK = ("--resamples", "20", "--examples", "0", "--quiet")
CHECKS = ("expansion", "attempts", "two hits", "power", "seeds", "token limit", "many questions")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    write_run(root / "base", seed=1, name="base", learn=0.0, **{**SMALL, "n_steps": 0})
    write_run(root / "rl", seed=2, name="rl", learn=0.8, **SMALL)
    write_run(root / "copy", seed=3, name="copy", learn=0.0, **SMALL)
    return root


def test_the_audit_prints_seven_checks_of_each_run(runs: Path, tmp_path: Path) -> None:
    ended = relift("report", runs, "--audit", "--only", "audit", *QUICK, "--out", tmp_path / "report.html")
    assert ended.status == 0 and ended.err == ""
    lines = ended.out.splitlines()[:-1]
    heads = [tuple(line.split(": ")[0].split(", ", 1)) for line in lines]
    assert heads == [(run, check) for run in ("copy", "rl") for check in CHECKS] or heads == [
        (run, check) for run in ("rl", "copy") for check in CHECKS
    ]
    assert all(": passes: " in line or (": FAILS: " in line and " -> " in line) or "cannot be told" in line
               for line in lines)  # fmt: skip
    assert "by the base's second draw" in ended.out
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_a_control_is_named_and_left_out_of_the_runs_that_are_checked(runs: Path, tmp_path: Path) -> None:
    ended = relift(
        "report", runs, "--audit", "--control", "copy", "--only", "audit", *QUICK, "--out", tmp_path / "report.html"
    )
    assert ended.status == 0
    checked = {line.split(",")[0] for line in ended.out.splitlines()[:-1]}
    assert checked == {"rl"} and "by the control" in ended.out
    unknown = relift("report", runs, "--control", "cpoy", *QUICK, "--out", tmp_path / "report.html")
    assert_refused(unknown, "no run is called 'cpoy'")


def test_json_holds_the_facts_and_nothing_else_is_printed(runs: Path, tmp_path: Path) -> None:
    ended = relift(
        "report", runs, "--json", "--control", "copy", "--only", "audit", "--only", "frozen_copy", "--only", "balance",
        *QUICK, "--out", tmp_path / "report.html",
    )  # fmt: skip
    facts = json.loads(ended.out)
    assert facts["version"] == 1 and {run["run"] for run in facts["runs"]} == {"base", "rl", "copy"}
    assert {row["check"] for row in facts["tables"]["audit"]} == set(CHECKS)
    newly = [row for row in facts["tables"]["frozen_copy"] if row["claim"] == "newly solved"]
    (balance,) = [row for row in facts["tables"]["balance"] if row["run"] == "rl"]
    assert [row["count"] for row in newly] == [balance["newly_solved"]]


def test_an_audit_of_a_base_alone_says_why_there_is_none(runs: Path, tmp_path: Path) -> None:
    ended = relift("report", runs / "base", "--audit", *QUICK, "--out", tmp_path / "report.html")
    assert_refused(ended, "no audit")
