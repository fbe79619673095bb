"""Pairs that were written after the rules, for every kind that people reported (docs/grading.md has the figures)."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

from relift.grading.side_by_side import compare, is_expected
from relift.schema import Verdict

PAIRS = Path(__file__).with_name("written_pairs.jsonl")

# Right answers that math-verify decides, and that its versions 0.5.2 and 0.6.0 call wrong: (gold, answer).
WRONG_TO_OLDER = {
    ("xy=4", r"So $\boxed{y=4/x}$."),
    ("xy=4", r"So $\boxed{y=\frac{4}{x}}$."),
    ("15", r"So $\boxed{15 s}$."),
}


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
    missed = [(r["gold"], r["answer_text"]) for r, v in zip(firm, verdicts, strict=True) if not is_expected(r, v)]
    if importlib.metadata.version("math-verify") != "0.9.0":
        assert set(missed) >= WRONG_TO_OLDER
        missed = [pair for pair in missed if pair not in WRONG_TO_OLDER]
    assert len(firm) > 1200 and len(missed) <= len(firm) // 100
