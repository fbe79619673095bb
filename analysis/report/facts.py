"""Give the facts of a report to programs and terminals: as JSON, and the checks as lines of text."""

from __future__ import annotations

import json
from typing import Any

from relift.analysis.report.content import Report
from relift.analysis.scores.table import records
from relift.errors import InputError

# Small tables, each a row per run and thing said; those with a row per question stay in `relift analyze`.
_TABLES = (
    "difference_from_base", "methods", "variance", "frozen_copy", "audit", "balance", "alerts", "classes",
    "support_ratios", "reach", "transitions", "crossover", "pairs", "probe_scores", "scores", "cost", "label_noise",
)  # fmt: skip
_SAID = {True: "passes", False: "FAILS", None: "cannot be told"}


def report_json(report: Report) -> str:
    """Write what the report says as JSON; null is "not known"."""
    facts: dict[str, Any] = {
        "version": 1,
        "level": 0.95,
        "runs": [{"run_id": run_id, "run": name} for run_id, name in report.names.items()],
        "letter": report.letter(),
        "cautions": report.cautions,
        "tables": {name: records(report.frames[name]) for name in _TABLES if name in report.frames},
        "limits": report.limits,
        "left_out": [{"what": what, "why": why} for what, why in report.left_out],
    }
    return json.dumps(facts, indent=2, allow_nan=False, default=str)


def audit_lines(report: Report) -> list[str]:
    """Write a line per run and check: whether it passes, the number, and what to do where it does not.

    InputError if these runs allow no audit.
    """
    if "audit" not in report.frames:
        why = dict(report.left_out).get("Seven checks of what is claimed", "no run has a probe after step 0")
        raise InputError(f"no audit: {why}")
    return [
        f"{report.names[row['run_id']]}, {row['check']}: {_SAID[row['passes']]}: {row['number']}"
        + ("" if row["passes"] else f" -> {row['mend']}")
        for row in report.frames["audit"].to_dict("records")
    ]
