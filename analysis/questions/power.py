"""Tell the smallest change that a probe can see: the difference found in four of five such comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from relift.analysis import style
from relift.analysis.questions.audit import POWER
from relift.analysis.questions.changes import groups_of
from relift.analysis.questions.compare import LEVEL


def smallest_change(differences: pd.DataFrame) -> pd.DataFrame:
    """Compute what each comparison with the base could have found: one row per run, kind and group.

    `differences` of `difference_from_base`, whose interval gives the standard error. Columns: run_id, run, kind, group,
    n_questions, difference, detectable (accuracy; null of fewer than two questions), found (whether the difference is
    that large; null likewise).
    """
    rows = differences[differences["n_questions"] > 0]
    n_Q = rows["n_questions"].to_numpy(float)
    wide = ((rows["high"] < 1) & (rows["low"] > -1)).to_numpy()  # an end that was cut says nothing of the error
    with np.errstate(invalid="ignore"):
        t = stdtrit(np.maximum(n_Q - 1, 1), 0.5 + LEVEL / 2)
    error = np.where(wide, (rows["high"] - rows["low"]).to_numpy(float) / 2 / t, np.nan)
    detectable = POWER * error
    found = pd.Series(np.abs(rows["difference"].to_numpy(float)) >= detectable, index=rows.index, dtype=object)
    names = ["run_id", "run", "kind", "group", "n_questions", "difference"]
    return rows[names].assign(detectable=detectable, found=found.where(~np.isnan(detectable), None))


def plot_smallest_change(frame: pd.DataFrame) -> Any:
    """Draw each run's difference as a point and what could be seen as a bar around 0, a row per group."""
    groups = groups_of(frame)
    styles = style.run_styles(frame["run"])
    parts = style.by_style(frame, styles)
    axes = style.one_axes(height=0.7 + len(groups) * (0.12 + 0.11 * len(parts)))
    with style.context():
        axes.axvline(0, color="black", linewidth=0.6)
        for i, (run, own) in enumerate(parts):
            at = np.array([groups.index((str(k), str(g))) for k, g in zip(own["kind"], own["group"], strict=True)])
            height = at + (i - (len(parts) - 1) / 2) * 0.8 / len(parts)
            seen = 100 * own["detectable"].to_numpy(float)
            axes.hlines(height, -seen, seen, color=style.GREY, linewidth=2.2)
            axes.plot(100 * own["difference"], height, marker=styles[run].marker, color=styles[run].colour,
                      linestyle="none")  # fmt: skip
        axes.set_yticks(range(len(groups)), ["all questions" if k == "all" else g for k, g in groups], parse_math=False)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.set_xlabel("accuracy, points above or below the base")
        style.legend_above(axes.figure, styles)
    return axes


def caption_smallest_change(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    every = 100 * frame.loc[frame["kind"] == "all", "detectable"].dropna()
    of_all = f" On all questions that is {every.min():.1f} to {every.max():.1f} points." if len(every) else ""
    return (
        "Grey: changes that this probe would miss in more than one of five tries, at 5 % and by the spread over its "
        f"own questions; a point inside is no evidence of no change.{of_all}"
    )
