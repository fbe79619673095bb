"""Measure the repair window: how likely a question that was lost is solved again, by the probes since the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.runs.figure import Figure
from relift.analysis.runs.panel import lay_out_counts, matched_questions, run_id_of
from relift.errors import InputError


def repair_window(trajectories: pd.DataFrame, *, control: str | None = None) -> pd.DataFrame:
    """Count questions solved again after a loss, by the number of probes since: one row per run and probes since.

    A question is lost where draw 0 has no correct attempt after a probe that had one, and repaired at its first correct
    attempt after that; each loss counts. Columns: run_id, run, probes_since, n_lost (not repaired before, and
    probed), n_repaired, share, low, high (95 %, Wilson); control_share: the same of a frozen run, null without one.
    InputError if no question was lost before a run's last probe.
    """
    panel = lay_out_counts(matched_questions(trajectories[(trajectories["draw"] == 0).to_numpy()]), draws=[0])
    rows = []
    for (run_id, run), columns in panel.columns.groupby(["run_id", "run"], sort=False):
        order = columns.sort_values("step").index.to_numpy()
        solved_QT = panel.sum_QC["n_correct"][:, order] > 0
        for since, (n_repaired, n_lost) in enumerate(_repairs(solved_QT), start=1):
            low, high = stats.wilson(n_repaired, n_lost)
            share = n_repaired / n_lost
            rows.append((run_id, run, since, n_lost, n_repaired, share, float(low), float(high)))
    if not rows:
        raise InputError("no question was lost before a run's last probe: there is nothing to repair")
    names = ["run_id", "run", "probes_since", "n_lost", "n_repaired", "share", "low", "high"]
    frame = pd.DataFrame(rows, columns=names).assign(control_share=np.nan)
    if control is None:
        return frame
    own = frame[frame["run_id"] == run_id_of(trajectories, control)].set_index("probes_since")["share"]
    return frame.assign(control_share=frame["probes_since"].map(own).astype(float))


def _repairs(solved_QT: Any) -> list[tuple[int, int]]:
    """List (repaired, at risk) by probes since a loss, beginning with 1."""
    n_steps = solved_QT.shape[1]
    found = []
    lost_QT = np.zeros_like(solved_QT)
    lost_QT[:, 1:] = solved_QT[:, :-1] & ~solved_QT[:, 1:]
    for since in range(1, n_steps):
        at_risk = repaired = 0
        for t in range(1, n_steps - since):
            waiting_Q = lost_QT[:, t] & ~solved_QT[:, t + 1 : t + since].any(axis=1)
            at_risk += int(waiting_Q.sum())
            repaired += int((waiting_Q & solved_QT[:, t + since]).sum())
        if at_risk:
            found.append((repaired, at_risk))
    return found


def plot_repair_window(frame: pd.DataFrame) -> Any:
    """Draw the share repaired over the probes since the loss, a line per run, dotted the frozen control."""
    axes = style.one_axes(height=2.3, width=style.COLUMN_WIDTH)
    styles = style.run_styles(frame["run"])
    with style.context():
        style.draw_lines(axes, frame, styles, x="probes_since", value="share", floor="control_share")
        axes.set_xlabel("probes since the loss")
        axes.set_ylabel("share solved again")
        axes.set_ylim(0, 1.02)
        axes.set_xticks(sorted(frame["probes_since"].unique()))
        style.legend_above(axes.figure, styles, columns=3)
    return axes


def caption_repair_window(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    dotted = " Dotted: a frozen copy, whose losses are chance." if frame["control_share"].notna().any() else ""
    return (
        "Of questions solved at one probe and not at the next, the share solved again at the first, second and later "
        f"probe after the loss, if not before ({style.count_range(frame['n_lost'])} losses a point). Shaded: 95 % "
        f"intervals (Wilson).{dotted}"
    )


REPAIR = Figure(
    "repair_window", "Lost questions that are solved again", "What changed",
    data=lambda loaded: repair_window(loaded.probes, control=loaded.control_id), draw=plot_repair_window,
    caption=caption_repair_window,
)  # fmt: skip
