"""Draw methods over their training seeds: means with intervals between seeds, and the single seeds beside them."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from relift.analysis import BANDS
from relift.analysis.questions.changes import groups_of
from relift.analysis.style import count_range
from relift.dashboards.charts.common import NEUTRAL, SHARE, RunScale
from relift.dashboards.charts.curves import STEP_AXIS, few_ticks, panel_title


def colours_of(frame: pd.DataFrame) -> dict[str, str]:
    """Name the colour of each method of a frame, for the legend."""
    scale = RunScale(frame["method"], beside=())
    return {name: scale.hex(name) for name in scale.names}


def _colour(scale: RunScale) -> alt.Color:
    domain = alt.Scale(domain=scale.names, range=[scale.hex(name) for name in scale.names])
    return alt.Color("method:N", scale=domain, legend=None, sort=scale.names)


def change_over_seeds(frame: pd.DataFrame) -> list[Any]:
    """Draw a panel for all questions and one per split: each method's mean change in points, its seeds as ticks."""
    groups = [one for one in groups_of(frame) if one[0] != "band"]
    return _panels(frame, groups)


def change_of_bands_over_seeds(frame: pd.DataFrame) -> list[Any]:
    """Draw a panel per band likewise."""
    return _panels(frame, [one for one in groups_of(frame) if one[0] == "band"])


def _panels(frame: pd.DataFrame, groups: list[tuple[str, str]]) -> list[Any]:
    methods = RunScale(frame["method"], beside=())
    rows = frame.assign(**{name: 100 * frame[name] for name in ("difference", "mean", "low", "high")})
    rows["single"] = rows["seed"].astype(object).where(rows["seed"].notna(), "?").astype(str)
    rows = rows.drop(columns="seed")
    drawn = [one in groups for one in zip(rows["kind"].astype(str), rows["group"].astype(str), strict=True)]
    ends = rows.loc[drawn, ["low", "high", "difference"]].to_numpy(float)
    least, most = float(np.nanmin(ends)), float(np.nanmax(ends))
    pad = 0.05 * (most - least + 1)
    span = (min(0.0, least) - pad, max(0.0, most) + pad)
    scale = alt.Scale(domain=list(span), nice=False)
    tips = [
        alt.Tooltip("method:N"), alt.Tooltip("mean:Q", format="+.1f", title="mean, points"),
        alt.Tooltip("low:Q", format="+.1f"), alt.Tooltip("high:Q", format="+.1f"),
        alt.Tooltip("n_seeds:Q", title="seeds"),
    ]  # fmt: skip
    seed_tips = [
        alt.Tooltip("run:N"), alt.Tooltip("single:N", title="seed"),
        alt.Tooltip("difference:Q", format="+.1f", title="points"), alt.Tooltip("n_questions:Q", title="questions"),
    ]  # fmt: skip
    panels: list[Any] = []
    for kind, group in groups:
        own = rows[((rows["kind"] == kind) & (rows["group"] == group)).to_numpy()]
        mean = own.drop_duplicates("method")
        axis = alt.Axis(
            labels=not panels, ticks=False, domain=False, labelLimit=110, labelOverlap=False, labelFlush=False
        )
        y = alt.Y("method:N", sort=methods.names, title=None, axis=axis, scale=alt.Scale(domain=methods.names))
        x = alt.X("low:Q", title="points", scale=scale, axis=alt.Axis(values=few_ticks(*span)))
        zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=NEUTRAL)
        colour = _colour(methods)
        layers = [
            zero.encode(x=alt.X("zero:Q", title="points")),
            alt.Chart(mean).mark_rule(strokeWidth=2).encode(x=x, x2="high:Q", y=y, color=colour),
            alt.Chart(own).mark_tick(thickness=1.5, height=10, opacity=0.8).encode(
                x=alt.X("difference:Q", title="points", scale=scale), y=y, color=colour, tooltip=seed_tips
            ),
            alt.Chart(mean).mark_circle(size=90, opacity=1).encode(
                x=alt.X("mean:Q", title="points", scale=scale), y=y, color=colour, tooltip=tips
            ),
        ]  # fmt: skip
        title = panel_title("All questions" if kind == "all" else group, f"{count_range(own['n_questions'])} a seed")
        panel = alt.layer(*layers).properties(height=120 + 30 * len(methods.names), title=title)
        panels.append(panel if panels else panel.properties(usermeta={SHARE: 1.45}))  # it has the names of the methods
    return panels


def bands_over_seeds(frame: pd.DataFrame) -> list[Any]:
    """Draw a panel per band, hardest first: mean accuracy over seeds with its interval, single seeds as thin lines."""
    methods = RunScale(frame["method"], beside=())
    colour, last = _colour(methods), frame["step"].max()
    rows = frame.drop(columns="seed")
    x = alt.X("step:Q", title="training step", axis=STEP_AXIS)
    scale = alt.Scale(domain=[0, 1], nice=False)
    tips = [
        alt.Tooltip("method:N"), alt.Tooltip("step:Q"), alt.Tooltip("mean:Q", format=".3f"),
        alt.Tooltip("low:Q", format=".3f"), alt.Tooltip("high:Q", format=".3f"),
        alt.Tooltip("n_seeds:Q", title="seeds"),
    ]  # fmt: skip
    panels: list[Any] = []
    for band in BANDS:
        own = rows[(rows["band"] == band).to_numpy()]
        alone = (own.groupby("method")["step"].transform("max") == 0) & (last > 0)
        mean = own.drop_duplicates(["method", "step"])
        level, moving = mean[alone.loc[mean.index]], mean[~alone.loc[mean.index]]
        y = alt.Y("mean:Q", title="accuracy" if not panels else "", scale=scale)
        single = alt.Chart(own[~alone]).mark_line(strokeWidth=0.7, opacity=0.5)
        layers = [
            single.encode(x=x, y=alt.Y("accuracy:Q", title="", scale=scale), color=colour, detail="run:N"),
            alt.Chart(moving).mark_area(opacity=0.16).encode(
                x=x, y=alt.Y("low:Q", title="", scale=scale), y2="high:Q", color=colour
            ),
            alt.Chart(moving).mark_line(strokeWidth=2).encode(x=x, y=y, color=colour),
            alt.Chart(moving).mark_circle(size=46, opacity=1).encode(x=x, y=y, color=colour, tooltip=tips),
        ]  # fmt: skip
        if len(level):
            rule = alt.Chart(level).mark_rule(strokeWidth=1.5, strokeDash=[3, 3])
            layers.append(rule.encode(y=y, color=colour, tooltip=tips))
        of = f"{count_range(own['n_questions'])} questions a seed" if len(own) else "no question"
        panels.append(alt.layer(*layers).properties(height=310, title=panel_title(band, of)))
    return panels
