"""Draw what was acquired, lost and kept over the probes."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from relift.analysis import style
from relift.dashboards.charts.common import NEUTRAL, RunScale
from relift.dashboards.charts.curves import STEP_AXIS, panel_title

GAIN, LOSS = style.GAIN, style.LOSS
WORDS = {"acquired": "acquired", "lost": "dropped"}  # lost is a class of trajectories
LEGEND = {"acquired (up)": GAIN, "dropped (down)": LOSS, "by chance": NEUTRAL}


def turnover(frame: pd.DataFrame) -> list[Any]:
    """Draw a panel per run: questions acquired (up) and dropped (down) at each probe since the one before."""
    panels: list[Any] = []
    top = 1.05 * float(frame[["acquired", "lost", "null_acquired", "null_lost"]].max().max())
    scale = alt.Scale(domain=[-top, top], nice=False)
    for run, own in frame.groupby("run", sort=False):
        parts = []
        for kind, sign, colour in (("acquired", 1, GAIN), ("lost", -1, LOSS)):
            rows = own.assign(
                value=sign * own[kind], null=sign * own[f"null_{kind}"], what=WORDS[kind], at=own["step"].astype(str)
            )
            order = [str(step) for step in sorted(own["step"])]
            x = alt.X("at:N", sort=order, title="training step", axis=alt.Axis(labelAngle=0))
            tips = [
                alt.Tooltip("what:N"), alt.Tooltip("step_before:Q", title="from step"),
                alt.Tooltip("step:Q", title="to step"),
                alt.Tooltip(f"{kind}:Q", title="questions"),
                alt.Tooltip(f"null_{kind}:Q", format=".1f", title="by chance"),
                alt.Tooltip(f"{kind}_excess:Q", format="+.1f", title="excess"),
                alt.Tooltip(f"{kind}_excess_low:Q", format="+.1f"), alt.Tooltip(f"{kind}_excess_high:Q", format="+.1f"),
                alt.Tooltip("n_questions:Q", title="of questions"),
            ]  # fmt: skip
            base = alt.Chart(rows)
            y = alt.Y("value:Q", title="questions" if not panels else "", scale=scale)
            parts.append(base.mark_bar(color=colour, width={"band": 0.55}).encode(x=x, y=y, tooltip=tips))
            mark = base.mark_tick(color=NEUTRAL, thickness=3, width={"band": 0.85})
            parts.append(mark.encode(x=x, y=alt.Y("null:Q", scale=scale, title="questions" if not panels else "")))
        panels.append(
            alt.layer(*parts).properties(height=310, title=panel_title(style.shorten(str(run), longest=18), " "))
        )
    return panels


def retention(frame: pd.DataFrame) -> list[Any]:
    """Draw the share of what was mastered at first that still is, a line per run, chance dashed."""
    runs = RunScale(frame["run"])
    x = alt.X("step:Q", title="training step", axis=STEP_AXIS, scale=alt.Scale(nice=False))
    scale = alt.Scale(domain=[0, 1])
    y = alt.Y("share:Q", title="share still mastered", scale=scale)
    tips = [
        alt.Tooltip("run:N"), alt.Tooltip("step:Q"), alt.Tooltip("share:Q", format=".3f"),
        alt.Tooltip("low:Q", format=".3f"), alt.Tooltip("high:Q", format=".3f"),
        alt.Tooltip("null_share:Q", format=".3f", title="by chance"),
        alt.Tooltip("n_mastered:Q", title="mastered at first"),
    ]  # fmt: skip
    base = alt.Chart(frame)
    band = base.mark_area(opacity=0.16).encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q", color=runs.colour())
    line = base.mark_line(strokeWidth=2).encode(x=x, y=y, color=runs.colour(), strokeDash=runs.dash())
    dots = base.mark_circle(size=50, opacity=1).encode(x=x, y=y, color=runs.colour(), tooltip=tips)
    null = base.mark_line(color=NEUTRAL, strokeDash=[4, 4]).encode(
        x=x, y=alt.Y("null_share:Q", scale=scale), detail="run:N"
    )
    once = frame[frame.groupby("run_id")["step"].transform("size") == 1]
    bar = alt.Chart(once).mark_rule().encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q", color=runs.colour())
    return [alt.layer(null, band, bar, line, dots).properties(height=320)]
