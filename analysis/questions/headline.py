"""What training changed, in one table and a sentence per run: each run's last probe less the base, paired."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis.questions.bands import BANDS, codes_of
from relift.analysis.runs.counts import Counts
from relift.analysis.runs.panel import base_of_bands, check_measure_draw, lay_out, matched_questions
from relift.errors import InputError

ALL = "all"


def change_from_base(
    trajectories: pd.DataFrame | Counts, bands: pd.DataFrame, *, measure_draw: int = 1
) -> pd.DataFrame:
    """One row per run with a probe after step 0 and group ("all", then BANDS): its last step less the base, paired.

    Columns: run_id, run, step, group, n_questions, base_accuracy, accuracy (means over the questions of c/n),
    difference, low, high (95 %, Student's t over questions; null with fewer than two). Over the questions probed in
    every run and at every step of `trajectories`; the base is `measure_draw` of the run that assigned `bands` at step
    0, later steps pool draws 0 and 1. "all" holds the questions without a sure band too. InputError where nothing can
    be told.
    """
    check_measure_draw(bands, measure_draw, allow_same_draw=False)
    sums = ("n_attempts", "n_correct", "n_undecided")
    panel = lay_out(matched_questions(trajectories), bands, sums=sums, measure_draw=measure_draw)
    base = panel.column_of(base_of_bands(bands)[0], 0)
    if base is None:
        raise InputError(f"the base run has no draw {measure_draw} at step 0: probe step 0 once more")
    later = panel.columns[panel.columns["step"] > 0]
    if later.empty:
        raise InputError("no run has a probe at a step after 0")
    codes, base_Q = codes_of(bands), _rate_at(panel.sum_QC, base)
    rows = []
    for column in later.groupby("run_id", sort=False)["step"].idxmax():
        run, rate_Q = panel.columns.loc[column], _rate_at(panel.sum_QC, int(column))
        paired_Q = ~np.isnan(rate_Q) & ~np.isnan(base_Q)
        for group, inside_Q in ((ALL, paired_Q), *((b, paired_Q & (codes == i)) for i, b in enumerate(BANDS))):
            n = int(inside_Q.sum())
            difference_Q = rate_Q[inside_Q] - base_Q[inside_Q]
            estimate = stats.paired_t(difference_Q) if n > 1 else None
            rows.append(
                {
                    "run_id": run["run_id"], "run": run["run"], "step": int(run["step"]), "group": group,
                    "n_questions": n,
                    "base_accuracy": float(base_Q[inside_Q].mean()) if n else np.nan,
                    "accuracy": float(rate_Q[inside_Q].mean()) if n else np.nan,
                    "difference": float(difference_Q.mean()) if n else np.nan,
                    "low": estimate.low if estimate else np.nan,
                    "high": estimate.high if estimate else np.nan,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _rate_at(sum_QC: dict[str, stats.Floats], column: int) -> stats.Floats:
    correct_Q, attempts_Q, undecided_Q = (
        sum_QC[name][:, column].astype(float) for name in ("n_correct", "n_attempts", "n_undecided")
    )
    return stats.rate(correct_Q, attempts_Q - undecided_Q)


def say_change(rows: pd.DataFrame) -> str:
    """A sentence about one run's rows of `change_from_base`: overall, then by band, in points with intervals."""
    rows = rows[rows["n_questions"] > 0]
    parts = {str(row["group"]): row for row in rows.to_dict("records")}
    every = parts.pop(ALL)
    n = int(every["n_questions"])
    bands = [f"{band} {_points(row)} ({int(row['n_questions']):,})" for band, row in parts.items()]
    by_band = f" By band of the base, with questions: {', '.join(bands)}." if bands else ""
    return (
        f"accuracy {every['base_accuracy']:.3f} to {every['accuracy']:.3f} at step {int(every['step'])}, "
        f"{_points(every)} points over {n:,} question{'s' if n != 1 else ''}.{by_band}"
    )


def _points(row: dict[Any, Any]) -> str:
    point = f"{100 * row['difference']:+.1f}"
    if not np.isnan(row["low"]):
        point += f" [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"
    return point.replace("-", "\N{MINUS SIGN}")
