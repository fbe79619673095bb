"""Draw moves between bands as matrices whose cells can be chosen."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from relift.analysis import BANDS
from relift.dashboards.charts.common import NEUTRAL
from relift.dashboards.charts.curves import panel_title

KINDS = {"share": "observed", "null_share": "model that did not change", "excess": "excess"}
CELL = "cell"  # the selection's name


def largest_excess(frame: pd.DataFrame) -> float:
    """Find the end of the colour scale that the matrices of all runs share, in points: at least 10."""
    return max(10.0, float((100 * frame["excess"]).abs().max()))


def transitions(frame: pd.DataFrame, *, kind: str, largest: float) -> Any:
    """Draw one matrix of one run's frame: `kind` of KINDS, in per cent; rows are bands of the base, columns at `step`.

    `largest`: the end of the scale of the excess, the same for all runs.
    Of the excess, cells whose interval holds 0 are grey. Point selection CELL over band_from and band_to.
    """
    excess = kind == "excess"
    rows = frame.assign(value=100 * frame[kind], grey=(~frame["significant"].astype(bool)) & excess)
    largest = largest if excess else 100.0
    rows["text"] = [_text(value, signed=excess) for value in rows["value"]]
    rows["dark"] = (rows["value"].abs() > 0.55 * largest) & ~rows["grey"]
    counts = rows.drop_duplicates("band_from").set_index("band_from")["n_from"]
    rows["from"] = [f"{band} ({counts[band]})" for band in rows["band_from"]]
    order = [f"{band} ({counts[band]})" for band in BANDS]
    after = "band by other attempts" if kind == "null_share" else f"band at step {frame['step'].iloc[0]}"
    x = alt.X("band_to:N", sort=list(BANDS), title=after, axis=_axis())
    y = alt.Y("from:N", sort=order, title="band of the base (questions)" if kind == "share" else None, axis=_axis())
    scheme = (
        alt.Scale(scheme="redblue", domain=[-largest, largest])
        if excess
        else alt.Scale(scheme="blues", domain=[0, 100])
    )
    tips = [
        alt.Tooltip("band_from:N", title="from"), alt.Tooltip("band_to:N", title="to"),
        alt.Tooltip("count:Q", title="questions"), alt.Tooltip("n_from:Q", title="of"),
        alt.Tooltip("share:Q", format=".1%", title="observed"),
        alt.Tooltip("null_share:Q", format=".1%", title="by chance"),
        alt.Tooltip("excess:Q", format="+.1%"),
        alt.Tooltip("low:Q", format="+.1%"), alt.Tooltip("high:Q", format="+.1%"),
    ]  # fmt: skip
    bar = None  # of shares the cells say enough
    if excess:
        sign = "datum.value == 0 ? '0' : format(datum.value, '+d')"
        bar = alt.Legend(
            title=None, orient="right", gradientLength=140, gradientThickness=9, labelExpr=sign, tickCount=5
        )  # fmt: skip
    chosen = alt.selection_point(name=CELL, fields=["band_from", "band_to"], empty=False)
    below = "points; grey where chance explains it" if excess else "per cent of the row"
    base = alt.Chart(rows)
    cells = base.mark_rect(stroke="white", strokeWidth=1.5).encode(
        x=x, y=y, tooltip=tips,
        color=alt.condition("datum.grey", alt.value("#D5D8DD"), alt.Color("value:Q", scale=scheme, legend=bar)),
        strokeWidth=alt.condition(chosen, alt.value(4), alt.value(1.5)),
        stroke=alt.condition(chosen, alt.value("#E69F00"), alt.value("white")),
    ).add_params(chosen)  # fmt: skip
    text = base.mark_text(fontSize=14).encode(
        x=x,
        y=y,
        text="text:N",
        tooltip=tips,
        color=alt.condition("datum.dark", alt.value("white"), alt.value("#1F2328")),
    )
    return alt.layer(cells, text).properties(height=330, title=panel_title(KINDS[kind].capitalize(), below))


def _axis() -> alt.Axis:
    return alt.Axis(
        labelAngle=0,
        ticks=False,
        domain=False,
        grid=False,
        labelLimit=140,
        labelFontSize=11,
        labelOverlap=False,
        labelFlush=False,
        titleColor=NEUTRAL,
    )


def _text(value: float, *, signed: bool) -> str:
    if np.isnan(value):
        return "–"
    whole = round(value)
    return f"{whole:+d}".replace("-", "\N{MINUS SIGN}") if signed and whole else str(whole)
