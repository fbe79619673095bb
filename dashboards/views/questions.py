"""Charts of many questions, and of one: frames of relift.analysis in, Altair out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from relift.dashboards.charts import NEUTRAL, VERDICT_COLOURS, RunScale

EVENT_SHAPES = {"enqueue": "circle", "train": "triangle-up", "evict": "cross"}
_EVENT_DEPTH = {"enqueue": 0.0, "train": 0.055, "evict": 0.0}  # several may happen at one step


def heat_map(frame: pd.DataFrame, *, height: int = 420) -> Any:
    """A panel per run, a bar per question (or neighbours) from the top, steps across, shade by accuracy.

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
        names.append({"run": str(run), "x": left + len(steps) / 2})
        shown = {steps[i * (len(steps) - 1) // 3] for i in range(4)} if len(steps) > 5 else set(steps)
        labels += [{"step": str(step), "x": at[step] + 0.5} for step in steps if step in shown]
        left += len(steps) + gap
    span = alt.Scale(domain=[0, left - gap], nice=False, zero=False)
    x = alt.X("x:Q", axis=None, scale=span)
    y = alt.Y(
        "first:Q", title="place in the list", scale=alt.Scale(domain=[n, 0], nice=False),
        axis=alt.Axis(tickCount=5, format="d", grid=False, domain=False, ticks=False),
    )  # fmt: skip
    legend = alt.Legend(title=None, format=".0%", orient="right", gradientLength=120)
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
    titles = alt.Chart(pd.DataFrame(names)).mark_text(fontWeight="bold", fontSize=11, color=NEUTRAL)
    below = alt.Chart(pd.DataFrame(labels)).mark_text(fontSize=11, color=NEUTRAL, dy=12)
    return alt.layer(
        bars,
        titles.encode(x=x, y=alt.value(-9), text="run:N"),
        below.encode(x=x, y=alt.value("height"), text="step:N"),
    ).properties(height=height, padding={"left": 5, "right": 5, "top": 6, "bottom": 6})


def trajectory(frame: pd.DataFrame, events: pd.DataFrame, *, at: Sequence[tuple[str, int]] = ()) -> Any:
    """A line per run with interval bars; marks below the axis for the demonstration; rings at what is being read."""
    names = list(dict.fromkeys([*frame["run"], *events["run"]]))
    runs = RunScale(names)
    last = max([1, *(int(step) for step in frame["step"])])
    shift = {name: (i - (len(names) - 1) / 2) * last * 0.006 for i, name in enumerate(runs.names)}
    rows = frame.assign(place=frame["step"] + frame["run"].map(shift).astype(float))
    legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1)
    x = alt.X("place:Q", title="training step", axis=alt.Axis(format="d", tickMinStep=1), scale=alt.Scale(nice=False))
    scale = alt.Scale(domain=[-0.06 - 0.11 * events["run"].nunique(), 1.02], nice=False)
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".0%")
    y = alt.Y("rate:Q", title="attempts correct", scale=scale, axis=axis)
    tips = [
        alt.Tooltip("run:N"), alt.Tooltip("step:Q"), alt.Tooltip("n_correct:Q", title="correct"),
        alt.Tooltip("n_decided:Q", title="of"), alt.Tooltip("low:Q", format=".2f"), alt.Tooltip("high:Q", format=".2f"),
    ]  # fmt: skip
    colour = runs.colour(legend=legend)
    layers: list[Any] = [
        alt.Chart(rows)
        .mark_rule(strokeWidth=1.5, opacity=0.55)
        .encode(x=x, y=alt.Y("low:Q", scale=scale, axis=axis), y2="high:Q", color=colour),
        alt.Chart(rows).mark_line(strokeWidth=2.2).encode(x=x, y=y, color=colour, strokeDash=runs.dash()),
        alt.Chart(rows).mark_circle(size=60, opacity=1).encode(x=x, y=y, color=colour, tooltip=tips),
    ]
    read = rows[[(str(run), int(step)) in set(at) for run, step in zip(rows["run"], rows["step"], strict=True)]]
    if len(read):
        ring = alt.Chart(read).mark_point(size=260, strokeWidth=1.6, filled=False)
        layers.append(ring.encode(x=x, y=y, color=colour, tooltip=tips))
    if len(events):
        lane = {name: -0.08 - 0.11 * i for i, name in enumerate(n for n in runs.names if n in set(events["run"]))}
        marks = events.assign(
            lane=events["run"].map(lane).astype(float) - events["event"].map(_EVENT_DEPTH).astype(float),
            place=events["step"] + events["run"].map(shift).astype(float),
        )
        shape = alt.Shape(
            "event:N",
            scale=alt.Scale(domain=list(EVENT_SHAPES), range=list(EVENT_SHAPES.values())),
            legend=alt.Legend(orient="top", title="demonstration:", titleOrient="left", symbolFillColor="gray"),
        )
        tip = [alt.Tooltip("run:N"), alt.Tooltip("step:Q"), alt.Tooltip("event:N"), alt.Tooltip("reason:N")]
        layers.append(
            alt.Chart(marks)
            .mark_point(size=70, filled=True, opacity=0.9)
            .encode(x=x, y=alt.Y("lane:Q", scale=scale, axis=axis), shape=shape, color=colour, tooltip=tip)
        )
    return alt.layer(*layers).properties(height=330)


def attempt_grid(frame: pd.DataFrame, *, height: int | None = None) -> alt.Chart:
    """Attempts of one run, a column per probed step, a square per attempt coloured by verdict.

    Point selection `attempt` returns step and slot. `frame`: step, slot, verdict, answer, n_tokens.
    """
    pick = alt.selection_point(name="attempt", fields=["step", "slot"], toggle=False)
    colour = alt.Color(
        "verdict:N", title=None, legend=alt.Legend(orient="top"),
        scale=alt.Scale(domain=list(VERDICT_COLOURS), range=list(VERDICT_COLOURS.values())),
    )  # fmt: skip
    rows = frame["slot"].nunique()
    return (
        alt.Chart(frame)
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("step:O", title="step", axis=alt.Axis(labelAngle=0, ticks=False, domain=False),
                    scale=alt.Scale(paddingInner=0.08)),
            y=alt.Y("slot:O", title="attempt", sort=list(dict.fromkeys(frame["slot"])),
                    scale=alt.Scale(paddingInner=0.14),
                    axis=alt.Axis(ticks=False, domain=False)),
            color=colour,
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.45)),
            tooltip=[alt.Tooltip("step:O"), alt.Tooltip("slot:O", title="attempt"), alt.Tooltip("verdict:N"),
                     alt.Tooltip("answer:N", title="final answer"), alt.Tooltip("n_tokens:Q", title="tokens")],
        )
        .add_params(pick)
        .properties(height=height or max(330, 15 * rows + 90))
    )  # fmt: skip
