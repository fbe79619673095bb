"""Share what all charts use: a colour and dash for each run, and lines with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from relift.analysis import style

PAGE_PIXELS, COLUMN_PIXELS = 850, 400  # of a page and of its wider half in a window of 1024 pixels
LEGEND_ROW = 20  # pixels
SHARE = "share"  # in `usermeta` of a chart: its part of a row of charts, for one with labels that the others lack
NEUTRAL = "#8A9099"  # what print draws in black: seen on white and on black
BAND_COLOURS = {"Hardest": "#7B4FA6", "Hard": "#31688E", "Medium": "#35B779", "Easy": "#B5DE2B"}
VERDICT_COLOURS = {"correct": "#2E9E63", "wrong": "#C8553D", "undecided": "#9AA0A6"}


def _rows(data: Any = None) -> Any:
    """Convert a frame to the rows of a specification, null for what is missing; Altair's own way takes five times as
    long, and every layer of a chart is converted anew."""
    if not isinstance(data, pd.DataFrame):
        return data
    columns = [_plain_values(data[name]) for name in data.columns]
    names = [str(name) for name in data.columns]
    return {"values": [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]}


def _plain_values(column: pd.Series) -> list[Any]:
    if column.dtype.kind in "iub" and not hasattr(column.dtype, "na_value"):
        values: list[Any] = column.to_numpy().tolist()
        return values
    if column.dtype.kind == "f" and not hasattr(column.dtype, "na_value"):
        return [value if math.isfinite(value) else None for value in column.to_numpy().tolist()]
    plain = column.astype(object)
    return [
        None if missing else getattr(v, "item", lambda v=v: v)() for v, missing in zip(plain, plain.isna(), strict=True)
    ]


alt.data_transformers.register("relift", _rows)
alt.data_transformers.enable("relift")
alt.utils.schemapi.disable_debug_mode()  # checking every part against the schema is most of the time of a chart

# A specification without data, made once for many frames, and the frames by the names that it calls them
Filled = tuple[dict[str, Any], dict[str, pd.DataFrame]]

_DASHES = {"solid": [1.0, 0.0]}


_known: dict[str, None] = {}  # names of the runs of the command line, the same for all sessions


def remember_runs(names: Iterable[str]) -> None:
    """Note the runs that pages show, so that each has one colour on all of them."""
    _known.update(dict.fromkeys(names))


class RunScale:
    """Give the runs named their colours and dashes, the same on every page that shows the same runs."""

    def __init__(self, names: Iterable[object], *, beside: Iterable[str] | None = None):
        asked = dict.fromkeys(str(name) for name in names)
        # a run has its colour also where others are not shown; `beside` names what else there is, if not all runs
        styles = style.run_styles((*(_known if beside is None else beside), *asked))
        styles = {name: look for name, look in styles.items() if name in asked}
        self.names = list(styles)
        self._colours = [NEUTRAL if look.colour == "#000000" else look.colour for look in styles.values()]
        self._dashes = [_dash(look.dash) for look in styles.values()]

    def hex(self, name: str) -> str:
        """Give the colour of one run."""
        return self._colours[self.names.index(name)]

    def colour(self, *, legend: Any = None) -> alt.Color:
        """Encode the column `run` as colour."""
        scale = alt.Scale(domain=self.names, range=self._colours)
        return alt.Color("run:N", scale=scale, legend=legend, title=None, sort=self.names)

    def dash(self) -> alt.StrokeDash:
        """Encode the column `run` as dash pattern."""
        return alt.StrokeDash("run:N", scale=alt.Scale(domain=self.names, range=self._dashes), legend=None)


def _dash(pattern: Any) -> list[float]:
    if isinstance(pattern, str):
        return _DASHES[pattern]
    return [2.0 * length for length in pattern[1]]


def legend_of(runs: RunScale, *, width: int = PAGE_PIXELS) -> alt.LayerChart | alt.FacetChart:
    """Draw rows that name the runs by colour and dash, for several panels that have no legend of their own."""
    return _legend(runs.names, runs.colour(), runs.dash(), width)


def legend_row(colours: Mapping[str, str], *, width: int = PAGE_PIXELS) -> alt.LayerChart | alt.FacetChart:
    """Draw rows that name the colours of other things than runs."""
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return _legend(list(colours), alt.Color("run:N", scale=scale, legend=None), alt.StrokeDash(), width)


def _legend(
    names: Sequence[str], colour: alt.Color, dash: alt.StrokeDash, width: int
) -> alt.LayerChart | alt.FacetChart:
    labels = [style.shorten(name, longest=28) for name in names]
    rows = pd.DataFrame({"run": names, "label": labels})
    lefts, tops, left, top = [], [], 0.0, 0
    for label in labels:
        own = 30 + 7.2 * len(label)
        if left and left + own > width:
            left, top = 0.0, top + LEGEND_ROW
        lefts.append(left)
        tops.append(top + LEGEND_ROW / 2)
        left += own + 18
    rows["x"], rows["y"] = lefts, tops
    rows["x_end"], rows["x_text"] = rows["x"] + 24, rows["x"] + 30
    height = top + LEGEND_ROW
    pixels = alt.Scale(domain=[0, width], range=[0, width])
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[0, height], range=[0, height]))
    base = alt.Chart(rows)
    line = base.mark_rule(strokeWidth=3).encode(
        x=alt.X("x:Q", axis=None, scale=pixels), x2="x_end:Q", y=y, color=colour, strokeDash=dash
    )
    text = base.mark_text(align="left", fontSize=13, color=NEUTRAL).encode(
        x=alt.X("x_text:Q", axis=None, scale=pixels), y=y, text="label:N"
    )
    return alt.layer(line, text).properties(height=height, width=width)


def lines(
    frame: pd.DataFrame,
    runs: RunScale,
    *,
    y: str,
    low: str | None = "low",
    high: str | None = "high",
    title: str,
    domain: Sequence[float] | None = None,
    tooltip: Sequence[Any] = (),
    legend: Any = None,
    height: int = 310,
) -> alt.LayerChart | alt.FacetChart:
    """Draw a line per run over `step` with its interval shaded; a run at step 0 alone is a level across the panel."""
    tips = list(tooltip) or [alt.Tooltip("run:N"), alt.Tooltip("step:Q"), alt.Tooltip(f"{y}:Q", format=".3f")]
    alone = frame.groupby("run")["step"].transform("nunique") == 1
    level = alone & (frame["step"] == 0) & bool((frame["step"] > 0).any())  # a base model, to compare with
    axis = alt.Axis(tickMinStep=1, format="d", tickCount=6)
    x = alt.X("step:Q", title="training step", scale=alt.Scale(nice=False, zero=True), axis=axis)
    scale = alt.Scale(domain=list(domain), nice=False) if domain is not None else alt.Scale(zero=True)
    colour = runs.colour(legend=legend)
    value = alt.Y(f"{y}:Q", title=title, scale=scale)
    layers: list[Any] = []
    if low is not None and high is not None:
        bottom = alt.Y(f"{low}:Q", title=title, scale=scale)
        for rows, mark in (
            (frame[~alone], alt.Chart(frame[~alone]).mark_area(opacity=0.16, clip=True)),
            (frame[alone & ~level], alt.Chart(frame[alone & ~level]).mark_rule()),
        ):
            if len(rows):
                layers.append(mark.encode(x=x, y=bottom, y2=f"{high}:Q", color=colour))
    line = alt.Chart(frame[~alone]).mark_line(strokeWidth=2, clip=True)
    layers.append(line.encode(x=x, y=value, color=colour, strokeDash=runs.dash()))
    points = alt.Chart(frame[~level]).mark_circle(size=46, opacity=1)
    layers.append(points.encode(x=x, y=value, color=colour, tooltip=tips))
    if level.any():
        rule = alt.Chart(frame[level]).mark_rule(strokeWidth=2)
        layers.append(rule.encode(y=value, color=colour, strokeDash=runs.dash(), tooltip=tips))
    return alt.layer(*layers).properties(height=height)
