"""Draw runs beside each other: cells of solved questions, paired differences, scores."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from relift.analysis.questions.cells import SIDES
from relift.dashboards.charts.common import NEUTRAL, RunScale

_POINTS = "datum.value == 0 ? '0' : format(100 * datum.value, '+.0f')"  # a difference of shares is in points


def ink() -> str:
    """Find the colour of text in the theme that the browser shows."""
    return "#E6E9EE" if st.context.theme.type == "dark" else "#1F2328"


def cells(frame: pd.DataFrame, *, a: str, b: str, ink: str) -> Any:
    """Draw two rows (solved at the start or not) of four cells, each with its count and what chance gives.

    Point selection `cell` returns the column `cell`. `frame` of `relift.analysis.questions.cells.count_cells`.
    """
    names = {"both": "both", "only a": f"only {a}", "only b": f"only {b}", "neither": "neither"}
    rows = frame.assign(
        solved_by=frame["side"].map(names),
        start=["solved at the start" if began else "not solved at the start" for began in frame["started_solved"]],
        text=[f"{count:,}" for count in frame["count"]],
        chance=[f"{expected:,.0f} if both were equal" for expected in frame["expected"]],
    )
    pick = alt.selection_point(name="cell", fields=["cell"], toggle=False)
    x = alt.X(
        "solved_by:N", sort=[names[side] for side in SIDES], title="solved at the end by",
        axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False, labelLimit=260, labelFontSize=13),
    )  # fmt: skip
    y = alt.Y(
        "start:N", sort=["not solved at the start", "solved at the start"], title=None,
        axis=alt.Axis(ticks=False, domain=False, labelLimit=220, labelFontSize=13),
    )  # fmt: skip
    only = alt.FieldOneOfPredicate(field="side", oneOf=["only a", "only b"])
    base = alt.Chart(rows).encode(x=x, y=y)
    tips = [alt.Tooltip("solved_by:N"), alt.Tooltip("start:N"), alt.Tooltip("count:Q"),
            alt.Tooltip("expected:Q", format=".1f"), alt.Tooltip("n_questions:Q", title="of questions")]  # fmt: skip
    box = base.mark_rect(cornerRadius=4, stroke=NEUTRAL, strokeOpacity=0.35).encode(
        color=alt.condition(only, alt.value("#0072B2"), alt.value(NEUTRAL)),
        opacity=alt.condition(pick, alt.value(0.28), alt.value(0.08)),
        tooltip=tips,
    )
    count = base.mark_text(fontSize=24, dy=-8, color=ink, fontWeight="bold").encode(text="text:N", tooltip=tips)
    chance = base.mark_text(fontSize=12, dy=16, color=ink, opacity=0.75).encode(text="chance:N", tooltip=tips)
    return alt.layer(box.add_params(pick), count, chance).properties(height=210)


def differences(
    frame: pd.DataFrame, *, title: str, colour: str = "#0072B2", span: tuple[float, float] | None = None
) -> Any:
    """Draw a row per group: mean paired difference with its interval, a line at none; `span` of the axis."""
    order = list(frame["group"])
    label = [f"{group} ({n})" for group, n in zip(frame["group"], frame["n_questions"], strict=True)]
    rows = frame.assign(label=label)
    y = alt.Y(
        "label:N", sort=label, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=240, labelFlush=False)
    )
    scale = alt.Scale() if span is None else alt.Scale(domain=list(span), nice=False)
    x = alt.X("difference:Q", title=title, scale=scale, axis=alt.Axis(labelExpr=_POINTS, tickCount=8))
    tips = [alt.Tooltip("group:N"), alt.Tooltip("n_questions:Q"), alt.Tooltip("difference:Q", format="+.3f"),
            alt.Tooltip("low:Q", format="+.3f"), alt.Tooltip("high:Q", format="+.3f")]  # fmt: skip
    bar = (
        alt.Chart(rows)
        .mark_rule(strokeWidth=2, color=colour)
        .encode(y=y, x=alt.X("low:Q", title=title, scale=scale), x2="high:Q")
    )
    dot = alt.Chart(rows).mark_circle(size=80, color=colour, opacity=1).encode(y=y, x=x, tooltip=tips)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(strokeDash=[4, 3], color=NEUTRAL).encode(x="zero:Q")
    return alt.layer(zero, bar, dot).properties(height=40 + 30 * len(order))


def forest(frame: pd.DataFrame) -> Any:
    """Draw a row per benchmark, a point with its interval per run. `frame`: run, benchmark, value, ci_low, ci_high."""
    runs = RunScale(frame["run"])
    n = frame.groupby("benchmark")["n_questions"].max()
    rows = frame.assign(label=[f"{name} ({n[name]})" for name in frame["benchmark"]])
    labels = list(dict.fromkeys(rows["label"]))
    y = alt.Y(
        "label:N",
        sort=labels,
        title=None,
        axis=alt.Axis(ticks=False, domain=False, grid=True, labelLimit=240, labelFlush=False),
    )
    offset = alt.YOffset("run:N", sort=runs.names)
    x = alt.X("value:Q", title="score", axis=alt.Axis(format=".0%", tickCount=8), scale=alt.Scale(zero=False))
    tips = [alt.Tooltip("run:N"), alt.Tooltip("benchmark:N"), alt.Tooltip("value:Q", format=".3f"),
            alt.Tooltip("ci_low:Q", format=".3f"), alt.Tooltip("ci_high:Q", format=".3f"),
            alt.Tooltip("n_questions:Q"), alt.Tooltip("parameter:Q", title="k"), alt.Tooltip("step:Q")]  # fmt: skip
    colour = runs.colour()
    low = alt.X("ci_low:Q", title="score", scale=alt.Scale(zero=False))
    bar = alt.Chart(rows).mark_rule(strokeWidth=2).encode(y=y, yOffset=offset, x=low, x2="ci_high:Q", color=colour)
    dot = alt.Chart(rows).mark_circle(size=80, opacity=1).encode(y=y, yOffset=offset, x=x, color=colour, tooltip=tips)
    return alt.layer(bar, dot).properties(height=60 + len(labels) * (14 + 16 * len(runs.names)))
