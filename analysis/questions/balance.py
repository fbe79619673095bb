"""Balance what a run gained against what it lost, in questions and in attempts, so that both counts are one story."""

from __future__ import annotations

from typing import Any

import pandas as pd

from relift.analysis.questions.compare import counts_at, run_ends
from relift.analysis.runs.panel import base_id_of
from relift.errors import InputError


def balance(trajectories: pd.DataFrame, *, base: str | None = None) -> pd.DataFrame:
    """Count what each run gained and lost from the base's step 0 to its last probe, draw 0 of both: one row per run.

    Columns: run_id, run, step, n_questions (with a decided attempt at both ends), newly_solved, no_longer_solved,
    solved_before, solved_after (at least once; after less before is the difference of the first two), n_rose, n_fell
    (questions whose accuracy is higher, lower), correct_before, decided_before, correct_after, decided_after
    (attempts). InputError if no run shares a question with the base.
    """
    start = counts_at(trajectories, base_id_of(trajectories, base), 0, draws=(0,))
    rows: list[dict[str, Any]] = []
    for run_id, run, step in run_ends(trajectories):
        both = start.add_suffix("_before").join(counts_at(trajectories, run_id, step, draws=(0,)), how="inner")
        both = both.dropna(subset=["rate", "rate_before"])
        if both.empty:
            continue
        before, after = both["n_correct_before"] > 0, both["n_correct"] > 0
        rows.append(
            {
                "run_id": run_id, "run": run, "step": step, "n_questions": len(both),
                "newly_solved": int((~before & after).sum()), "no_longer_solved": int((before & ~after).sum()),
                "solved_before": int(before.sum()), "solved_after": int(after.sum()),
                "n_rose": int((both["rate"] > both["rate_before"]).sum()),
                "n_fell": int((both["rate"] < both["rate_before"]).sum()),
                "correct_before": int(both["n_correct_before"].sum()),
                "decided_before": int(both["n_decided_before"].sum()),
                "correct_after": int(both["n_correct"].sum()), "decided_after": int(both["n_decided"].sum()),
            }
        )  # fmt: skip
    if not rows:
        raise InputError("no run shares a question with the base at its last probe")
    return pd.DataFrame(rows)


def say_balance(row: dict[Any, Any]) -> str:
    """Say one row of `balance` in a sentence: gained less lost in questions, then in attempts."""
    net = row["newly_solved"] - row["no_longer_solved"]
    more = "as many as before" if net == 0 else f"{abs(net):,} {'more' if net > 0 else 'fewer'} than before"
    moved = row["correct_after"] - row["correct_before"]
    of = f"of {row['decided_after']:,}" if row["decided_after"] == row["decided_before"] else (
        f"of {row['decided_after']:,}, from {row['correct_before']:,} of {row['decided_before']:,}"
    )  # fmt: skip
    return (
        f"Of {row['n_questions']:,} questions {row['newly_solved']:,} are newly solved and {row['no_longer_solved']:,} "
        f"no longer, so {row['solved_after']:,} are solved at least once, {more}; {row['n_rose']:,} are answered more "
        f"often and {row['n_fell']:,} less often, which together is {moved:+,} correct attempts {of}."
    ).replace("-", "\N{MINUS SIGN}")
