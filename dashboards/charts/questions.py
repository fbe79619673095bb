"""Draw many questions, and one: frames of relift.analysis in, Altair out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import altair as alt
import pandas as pd

from relift.analysis import style
from relift.dashboards.charts.common import NEUTRAL, VERDICT_COLOURS, Filled, RunScale

EVENT_SHAPES = {"enqueue": "circle", "train": "triangle-up", "evict": "cross"}
_EVENT_DEPTH = {"enqueue": 0.0, "train": 0.055, "evict": 0.0}  # several may happen at one step


def heat_map(frame: pd.DataFrame, *, height: int = 420) -> Any:
    """Draw a panel per run, a bar per question (or neighbours) from the top, steps across, shade by accuracy.

    One chart with the panels side by side on one axis, because it then fills the page's width. Interval selection
    `bars` over places in the list (`first`); every panel has the same order of questions.
    """
    rows = frame.assign(end=frame["first"] + frame["n_questions"])
    n, left, parts, names, labels = int(rows["end"].max()), 0.0, [], [], []
    total = sum(own["step"].nunique() for _, own in rows.groupby("run"))
    gap = max(0.12, 0.02 * total)
    for run, own in rows.groupby("run", sort=False):
        steps = sorted({int(step) for step in own["step"]})
        at = {step: left + i for i, step in enumerate(steps)}
        parts.append(own.assign(x=own["step"].map(at), x_end=own["step"].map(at) + 1))
        names.append({"run": style.shorten(str(run), longest=18), "x": left + len(steps) / 2})
        shown = _labelled(steps, columns=total)
        labels += [{"step": str(step), "x": at[step] + 0.5} for step in steps if step in shown]
        left += len(steps) + gap
    span = alt.Scale(domain=[0, left - gap], nice=False, zero=False)
    x = alt.X("x:Q", axis=None, scale=span)
    y = alt.Y(
        "first:Q", title="place in the list", scale=alt.Scale(domain=[n, 0], nice=False),
        axis=alt.Axis(tickCount=5, format="d", grid=False, domain=False, ticks=False),
    )  # fmt: skip
    legend = alt.Legend(title=None, format=".0%", orient="bottom", gradientLength=150, offset=26)
    colour = alt.Color("accuracy:Q", scale=alt.Scale(scheme="viridis", domain=[0, 1]), legend=legend)
    tips = [
        alt.Tooltip("run:N"), alt.Tooltip("step:Q"), alt.Tooltip("accuracy:Q", format=".2f"),
        alt.Tooltip("n_questions:Q", title="questions"), alt.Tooltip("first:Q", title="from place"),
    ]  # fmt: skip
    brush = alt.selection_interval(name="bars", encodings=["y"])
    bars = (
        alt.Chart(pd.concat(parts, ignore_index=True))
        .mark_rect(strokeWidth=0)
        .encode(x=x, x2="x_end:Q", y=y, y2="end:Q", color=colour, tooltip=tips)
        .add_params(brush)
    )
    slanted = len(names) > 3  # names beside each other would run into one another
    longest = max(len(str(name["run"])) for name in names)
    head = 6.0 + (4.4 * longest if slanted else 0.0)
    titles = alt.Chart(pd.DataFrame(names)).mark_text(
        fontWeight="bold", fontSize=11, color=NEUTRAL, angle=315 if slanted else 0,
        align="left" if slanted else "center", baseline="middle",
    )  # fmt: skip
    below = alt.Chart(pd.DataFrame(labels)).mark_text(fontSize=11, color=NEUTRAL, dy=12)
    return alt.layer(
        bars,
        titles.encode(x=x, y=alt.value(-9), text="run:N"),
        below.encode(x=x, y=alt.value("height"), text="step:N"),
    ).properties(height=height, padding={"left": 5, "right": 5 + head / 2 * slanted, "top": head, "bottom": 6})


def _labelled(steps: Sequence[int], *, columns: int) -> set[int]:
    """Choose the steps of a run that are written below its columns, of `columns` in the whole map: it is narrow."""
    if columns > 8:
        return {steps[-1]}
    return {steps[i * (len(steps) - 1) // 3] for i in range(4)} if len(steps) > 5 else set(steps)


def trajectory(frame: pd.DataFrame, events: pd.DataFrame, *, at: Sequence[tuple[str, int]] = ()) -> Filled:
    """Draw a line per run with intervals, marks of the demonstration below the axis, rings at what is being read."""
    ran, happened = frame["run"].tolist(), events["run"].tolist()
    runs = _ordered(tuple(dict.fromkeys(map(str, (*ran, *happened)))))
    marked = [name for name in runs if name in set(happened)]
    steps = frame["step"].tolist()
    gap = max(1, *steps) * 0.006 if steps else 0.006
    shift = {name: (i - (len(runs) - 1) / 2) * gap for i, name in enumerate(runs)}
    lane = {name: -0.08 - 0.11 * i for i, name in enumerate(marked)}
    columns = ("run", "step", "n_correct", "n_decided", "rate", "low", "high")
    rows = pd.DataFrame({name: frame[name].to_numpy() for name in columns})
    rows["place"] = [step + shift[run] for run, step in zip(ran, steps, strict=True)]
    being_read = set(at)
    kinds, whens = events["event"].tolist(), events["step"].tolist()
    marks = {
        "run": happened, "step": whens, "event": kinds, "reason": events["reason"].tolist(),
        "lane": [lane[run] - _EVENT_DEPTH[kind] for run, kind in zip(happened, kinds, strict=True)],
        "place": [step + shift[run] for run, step in zip(happened, whens, strict=True)],
    }  # fmt: skip
    data = {
        "rows": rows,
        "read": rows[[place in being_read for place in zip(ran, steps, strict=True)]],
        "events": pd.DataFrame(marks),
    }
    used = {name: one for name, one in data.items() if len(one)}
    return _trajectory(runs, len(marked), ringed="read" in used), used


@lru_cache(maxsize=64)
def _ordered(names: tuple[str, ...]) -> tuple[str, ...]:
    """Order runs as legends do."""
    return tuple(RunScale(names).names)


@lru_cache(maxsize=64)
def _trajectory(names: tuple[str, ...], n_lanes: int, *, ringed: bool) -> dict[str, Any]:
    """Build the specification over data called rows, read and events."""
    runs = RunScale(names)
    columns = 4 if max(map(len, names), default=0) <= 12 else 2  # the chart is half a page wide
    legend = alt.Legend(
        orient="top", title=None, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, columns=columns,
        labelLimit=190,
    )  # fmt: skip
    x = alt.X("place:Q", title="training step", axis=alt.Axis(format="d", tickMinStep=1), scale=alt.Scale(nice=False))
    scale = alt.Scale(domain=[-0.06 - 0.11 * n_lanes, 1.02], nice=False)
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".0%")
    y = alt.Y("rate:Q", title="attempts correct", scale=scale, axis=axis)
    tips = [
        alt.Tooltip("run:N"), alt.Tooltip("step:Q"), alt.Tooltip("n_correct:Q", title="correct"),
        alt.Tooltip("n_decided:Q", title="of"), alt.Tooltip("low:Q", format=".2f"), alt.Tooltip("high:Q", format=".2f"),
    ]  # fmt: skip
    colour = runs.colour(legend=legend)
    rows = alt.Chart(alt.NamedData(name="rows"))
    layers: list[Any] = [
        rows.mark_rule(strokeWidth=1.5, opacity=0.55).encode(
            x=x, y=alt.Y("low:Q", scale=scale, axis=axis), y2="high:Q", color=colour
        ),
        rows.mark_line(strokeWidth=2.2).encode(x=x, y=y, color=colour, strokeDash=runs.dash()),
        rows.mark_circle(size=60, opacity=1).encode(x=x, y=y, color=colour, tooltip=tips),
    ]
    if ringed:
        ring = alt.Chart(alt.NamedData(name="read")).mark_point(size=260, strokeWidth=1.6, filled=False)
        layers.append(ring.encode(x=x, y=y, color=colour, tooltip=tips))
    if n_lanes:
        shape = alt.Shape(
            "event:N",
            scale=alt.Scale(domain=list(EVENT_SHAPES), range=list(EVENT_SHAPES.values())),
            legend=alt.Legend(orient="top", title="demonstration:", titleOrient="left", symbolFillColor="gray"),
        )
        tip = [alt.Tooltip("run:N"), alt.Tooltip("step:Q"), alt.Tooltip("event:N"), alt.Tooltip("reason:N")]
        marks = alt.Chart(alt.NamedData(name="events")).mark_point(size=70, filled=True, opacity=0.9)
        place = alt.Y("lane:Q", scale=scale, axis=axis)
        layers.append(marks.encode(x=x, y=place, shape=shape, color=colour, tooltip=tip))
    return alt.layer(*layers).properties(height=330).to_dict(validate=False)


def attempt_grid(frame: pd.DataFrame) -> Filled:
    """Draw the attempts of one run, a column per probed step, a square per attempt coloured by verdict.

    Point selection `attempt` returns step and slot. `frame`: step, slot, verdict, answer, n_tokens.
    """
    return _attempt_grid(tuple(int(slot) for slot in dict.fromkeys(frame["slot"]))), {"rows": frame}


@lru_cache(maxsize=64)
def _attempt_grid(slots: tuple[int, ...]) -> dict[str, Any]:
    """Build the specification over data called rows."""
    pick = alt.selection_point(name="attempt", fields=["step", "slot"], toggle=False)
    colour = alt.Color(
        "verdict:N", title=None, legend=alt.Legend(orient="top"),
        scale=alt.Scale(domain=list(VERDICT_COLOURS), range=list(VERDICT_COLOURS.values())),
    )  # fmt: skip
    chart = (
        alt.Chart(alt.NamedData(name="rows"))
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("step:O", title="step", axis=alt.Axis(labelAngle=0, ticks=False, domain=False),
                    scale=alt.Scale(paddingInner=0.08)),
            y=alt.Y("slot:O", title="attempt", sort=list(slots), scale=alt.Scale(paddingInner=0.14),
                    axis=alt.Axis(ticks=False, domain=False)),
            color=colour,
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.45)),
            tooltip=[alt.Tooltip("step:O"), alt.Tooltip("slot:O", title="attempt"), alt.Tooltip("verdict:N"),
                     alt.Tooltip("answer:N", title="final answer"), alt.Tooltip("n_tokens:Q", title="tokens")],
        )
        .add_params(pick)
        .properties(height=max(330, 15 * len(slots) + 90))
    )  # fmt: skip
    return chart.to_dict(validate=False)
