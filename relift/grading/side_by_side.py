"""Grade the same pairs by every grader: `python -m relift.grading.side_by_side PAIRS.jsonl`.

A line of the file has `gold`, `answer_text` and `expected` (correct, wrong, or undecided-ok with `truth` as the only
other verdict allowed), and may have `kind`, `finish`, `opened`, `options`, `arguable`. Printed are, for each grader,
how many pairs come out as expected, how many wrong answers are accepted, and the pairs on which graders differ.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relift.grading.base import Submission
from relift.grading.grader import Grader
from relift.grading.scorers import GRADERS
from relift.schema import Finish, Verdict


def submission_of(row: dict[str, Any]) -> Submission:
    """Make what is graded of one line."""
    return Submission(
        row["gold"],
        row["answer_text"],
        Finish(row.get("finish", "stop")),
        kind=row.get("kind", "math"),
        options=tuple(row.get("options", ())),
        opened=row.get("opened", False),
    )


def is_expected(row: dict[str, Any], verdict: Verdict) -> bool:
    """Say whether a verdict is the one that a line asks for, or one that it allows."""
    if row["expected"] == "undecided-ok":
        return str(verdict) in ("undecided", row["truth"])
    return str(verdict) == row["expected"]


def compare(
    rows: Sequence[dict[str, Any]], graders: Sequence[str], *, limit_seconds: float = 10.0
) -> dict[str, list[Verdict]]:
    """Grade all lines by each grader; `limit_seconds` for one answer in a worker."""
    submissions = [submission_of(row) for row in rows]
    verdicts: dict[str, list[Verdict]] = {}
    for name in graders:
        with Grader(grader=name, limit_seconds=limit_seconds) as grader:
            verdicts[name] = [judgement.verdict for judgement in grader.judge(submissions)]
    return verdicts


def table(rows: Sequence[dict[str, Any]], verdicts: dict[str, list[Verdict]]) -> list[str]:
    """Write a line for each grader: expected among the firm pairs, accepted wrong answers, undecided."""
    firm = [place for place, row in enumerate(rows) if not row.get("arguable")]
    wrong = [place for place, row in enumerate(rows) if row.get("truth", row["expected"]) == "wrong"]
    lines = [f"{'grader':16} {'as expected':>14} {'wrong accepted':>15} {'undecided':>10}"]
    for name, found in verdicts.items():
        expected = sum(is_expected(rows[place], found[place]) for place in firm)
        accepted = sum(found[place] is Verdict.correct for place in wrong)
        lines.append(f"{name:16} {f'{expected} of {len(firm)}':>14} {accepted:15} {found.count(Verdict.undecided):10}")
    return lines


def main() -> None:
    """Read the file, print the table and what differs."""
    parser = argparse.ArgumentParser(description="Grade the same pairs by every grader.")
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--graders", default=",".join(GRADERS), help="names with commas between them")
    parser.add_argument("--differing", action="store_true", help="print the pairs on which graders differ too")
    args = parser.parse_args()
    lines = args.pairs.read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row.get("kind", "math") == "math"]
    verdicts = compare(rows, args.graders.split(","))
    print("\n".join(table(rows, verdicts)))
    for place, row in enumerate(rows if args.differing else ()):
        found = {name: str(each[place]) for name, each in verdicts.items()}
        if len(set(found.values())) > 1:
            print(f"{row['gold']!r} {row['answer_text'][-60:]!r}: {found}")


if __name__ == "__main__":
    main()
