"""Pairs that were written after the rules, for every kind that people reported (docs/grading.md has the figures)."""

from __future__ import annotations

import json
from pathlib import Path

from relift.grading.side_by_side import compare, is_expected
from relift.schema import Verdict

PAIRS = Path(__file__).with_name("written_pairs.jsonl")


def test_no_wrong_answer_is_accepted_and_nearly_all_right_ones_are() -> None:
    """At most 1 in 100 of the firm pairs is not as expected; a right one that is undecided counts as such."""
    rows = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    firm = [row for row in rows if not row.get("arguable")]
    verdicts = compare(firm, ["relift"])["relift"]
    accepted = [
        (row["gold"], row["answer_text"])
        for row, verdict in zip(firm, verdicts, strict=True)
        if row.get("truth") == "wrong" and verdict is Verdict.correct
    ]
    assert accepted == []
    missed = [row["gold"] for row, v in zip(firm, verdicts, strict=True) if not is_expected(row, v)]
    assert len(firm) > 1200 and len(missed) <= len(firm) // 100
