"""Write comparisons as text: a row per benchmark, what could be detected, and the questions that flipped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from relift.analysis.scores.paired import Comparison
from relift.analysis.scores.table import is_macro, records
from relift.analysis.scores.text_table import Format, TextTable, draw, one_line
from relift.errors import InputError
from relift.inert import for_markdown

PROBLEM_CHARACTERS = 60


def render_comparisons(
    comparisons: Sequence[Comparison],
    *,
    over_seeds: pd.DataFrame | None = None,
    format: Format = "terminal",
    flips: int = 10,
) -> str:
    """Write a table for each comparison; `flips`: so many flipped questions are listed below each.

    `over_seeds` of `compare_over_seeds` comes first: what is said of methods. Of two training runs no p-value is
    shown: they are checkpoints. json holds everything: every column of `Comparison.frame` and `flipped`. Raises
    InputError without a comparison.
    """
    if not comparisons:
        raise InputError("nothing to compare: give at least two runs")
    family = sum(int(one.frame["p_holm"].notna().sum()) for one in comparisons)
    if format == "json":
        facts = as_json(comparisons, family=family)
        facts["over_seeds"] = [] if over_seeds is None else records(over_seeds)
        return json.dumps(facts, indent=2, allow_nan=False)
    parts = []
    if over_seeds is not None and len(over_seeds):
        parts.append(_over_seeds(over_seeds, format=format))
    for one in comparisons:
        notes = [*_explanation(one, family), *(f"NOTE: {note}" for note in one.notes), *_flips(one, flips)]
        parts.append(_title(f"{one.a} - {one.b}", format=format) + draw(_table(one), format=format, notes=notes))
    return "\n\n".join(parts)


def _title(text: str, *, format: Format) -> str:
    text = one_line(text)
    return {"terminal": f"{text}\n", "markdown": f"### {for_markdown(text)}\n\n", "latex": f"% {text}\n"}[format]


def _over_seeds(frame: pd.DataFrame, *, format: Format) -> str:
    """Write what is said of methods: means over seeds, the interval between seeds, the single seeds."""
    rows = [
        [
            f"{row['a']} - {row['b']}", row["benchmark"], f"{row['n_questions']}", row["seeds"],
            f"{_points(row['difference'])} {_ends(row['low'], row['high'])}", row["values"],
        ]
        for row in records(frame)
    ]  # fmt: skip
    columns = ["methods", "benchmark", "questions", "seeds", "difference", "single seeds"]
    note = "In points, paired by question in each seed; in brackets the 95 % interval between seeds (Student's t)."
    return _title("Over training seeds", format=format) + draw(TextTable(columns, rows), format=format, notes=[note])


def _table(comparison: Comparison) -> TextTable:
    frame = comparison.frame
    these = bool(frame["low_these"].notna().any())
    tested = comparison.seeds is None
    single = tested and bool(frame["mcnemar_p"].notna().any())
    columns = ["benchmark", "questions", "k", comparison.a, comparison.b, "difference"]
    columns += ["these questions"] * these + ["p", "Holm"] * tested + ["McNemar"] * single
    columns += ["detects", "flipped", "by chance"]
    rows = []
    for row in records(frame):
        k = f"{row['k_a']}" if row["k_a"] == row["k_b"] else f"{row['k_a']}, {row['k_b']}"
        k = "" if is_macro(row["benchmark"]) else k
        cells = [row["benchmark"], f"{row['n_questions']}", k, _percent(row["value_a"]), _percent(row["value_b"])]
        cells.append(f"{_points(row['difference'])} {_ends(row['low'], row['high'])}")
        cells += [_ends(row["low_these"], row["high_these"])] * these
        cells += [_p(row["p_value"]), _p(row["p_holm"])] * tested + [_p(row["mcnemar_p"])] * single
        detectable = "" if row["detectable"] is None or row["detectable"] == 0 else f"{100 * row['detectable']:.1f}"
        cells += [detectable, f"+{row['n_only_a']} -{row['n_only_b']}"]
        cells.append(f"+{row['expected_only_a']:.1f} -{row['expected_only_b']:.1f}")
        rows.append(cells)
    first_macro = next((i for i, name in enumerate(frame["benchmark"]) if is_macro(name)), len(frame))
    return TextTable(columns, rows, rules={first_macro} - {0})


def _explanation(comparison: Comparison, family: int) -> list[str]:
    frame = comparison.frame
    p = f" p of the first, Holm over {family} test{'s' * (family != 1)}." if comparison.seeds is None else ""
    lines = [
        "In percent and points; differences with the 95 % interval for questions like these (paired by question), then "
        f"for these questions alone.{p}",
        "detects: the true difference found in 4 of 5 such comparisons. flipped: questions that only the first (+) or "
        "only the second (-) solves in more than half of its attempts; by chance: as many if both were equally good.",
    ]
    if frame["low_these"].isna().all():
        lines[0] = lines[0].replace(
            ", then for these questions alone", "; one attempt each says nothing of these alone"
        )
    if comparison.seeds is not None:
        seeds = " and ".join("an unknown one" if seed is None else str(seed) for seed in comparison.seeds)
        lines.append(
            f"These two checkpoints are compared, one training run each (seeds {seeds}): another seed gives others. "
            "Name two or more seeds of both methods to compare the methods."
        )
    return lines


def _flips(comparison: Comparison, flips: int) -> list[str]:
    flipped = comparison.flipped
    tested = comparison.frame[~comparison.frame["benchmark"].map(is_macro)]
    expected = float(tested[["expected_only_a", "expected_only_b"]].sum().sum())
    found = int(tested[["n_only_a", "n_only_b"]].sum().sum())
    sure = int((flipped["q_value"] <= 0.05).sum())
    lines = [
        f"Flipped questions: {found} found, {expected:.1f} expected by chance; {sure} at a false discovery rate of 5 %."
    ]
    for row in records(flipped.head(flips)):
        name = comparison.a if row["solved_by"] == "a" else comparison.b
        counts = f"{row['n_correct_a']}/{row['n_decided_a']} against {row['n_correct_b']}/{row['n_decided_b']}"
        problem = one_line(str(row["problem"] or ""))
        short = problem if len(problem) <= PROBLEM_CHARACTERS else problem[: PROBLEM_CHARACTERS - 3] + "..."
        lines.append(
            f"{row['benchmark']} {row['question_id'][:8]}, {counts}, by {name} "
            f"(p {_p(row['p_value'])}, q {_p(row['q_value'])}): {short}"
        )
    return lines


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{100 * low:+.1f}, {100 * high:+.1f}]"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "<.001" if value < 0.001 else f"{value:.3f}"


def as_json(comparisons: Sequence[Comparison], *, family: int) -> dict[str, Any]:
    """Return everything of the comparisons, for programs; null is "not defined"."""
    return {
        "version": 1,
        "level": 0.95,
        "holm_family": family,
        "comparisons": [
            {
                "a": one.a,
                "b": one.b,
                "benchmarks": records(one.frame),
                "flipped": records(one.flipped),
                "notes": list(one.notes),
            }
            for one in comparisons
        ],
    }
