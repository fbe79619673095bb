"""What stands under the table of scores: sentences on what limits them, each with the numbers it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relift.evaluate.tally import Standing
from relift.stats import minimum_detectable_difference

WORTH_A_LINE = 0.01  # share of truncated or undecided answers from which their bounds are given
SMALL_DETECTABLE = 0.10  # a benchmark that only detects more than this is said to


def sentences(standings: Sequence[Standing], run_json: dict[str, Any]) -> list[str]:
    """One line each: bounds where more than 1 % are truncated or undecided, questions that were not decided, sets
    that are not pinned, and what so few answers can detect."""
    lines = []
    for s in standings:
        lines += _bounds(s) + _counts(s, run_json["benchmarks"][s.name])
        k = run_json["benchmarks"][s.name]["samples"]
        least = float(minimum_detectable_difference(s.n_questions, k))
        if s.done and least > SMALL_DETECTABLE:
            times = "once" if k == 1 else f"{k} times"
            lines.append(
                f"{s.name}: {s.n_questions} questions asked {times} detect differences between two models from "
                f"{100 * least:.0f} points on"
            )
    unpinned = [s.name for s in standings if not run_json["benchmarks"][s.name]["pinned"]]
    if unpinned:
        lines.append(
            f"not pinned (what was loaded is not what the table declares, or it declares none): {', '.join(unpinned)}"
        )
    return lines


def _bounds(s: Standing) -> list[str]:
    """With c correct, u undecided, t truncated without an answer, of n: c/n, (c+u)/n, (c+u+t)/n."""
    if not s.done:
        return []
    n, lines = s.done, []
    if s.n_undecided > WORTH_A_LINE * n:
        lines.append(
            f"{s.name}: {s.n_undecided} of {n} answers are undecided and left out; counted as wrong or as correct they "
            f"put the mean between {_percent(s.n_correct, n)} and {_percent(s.n_correct + s.n_undecided, n)}"
        )
    if s.n_truncated > WORTH_A_LINE * n:
        most = _percent(s.n_correct + s.n_undecided + s.n_truncated_unanswered, n)
        lines.append(
            f"{s.name}: {s.n_truncated} of {n} answers were cut off, {s.n_truncated_unanswered} of them before a final "
            f"answer, which counts as wrong; a longer limit can reach {most} at most"
        )
    return lines


def _counts(s: Standing, entry: dict[str, Any]) -> list[str]:
    lines = []
    if s.done and s.n_seen < s.n_questions:
        lines.append(f"{s.name}: {s.n_questions - s.n_seen} of {s.n_questions} questions have no decided answer")
    if s.n_questions != entry["rows"]:
        lines.append(f"{s.name}: {s.n_questions} questions, {entry['rows']} declared")
    return lines


def _percent(count: int, n: int) -> str:
    return f"{100 * count / n:.1f} %"
