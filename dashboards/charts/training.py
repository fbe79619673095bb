"""Draw training itself: groups, the demonstration buffer, updates. Frames of relift.analysis in, Altair out."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from relift.dashboards.charts.common import NEUTRAL, RunScale
from relift.dashboards.charts.curves import STEP_AXIS, panel_title

GROUP_COLOURS = {"all wrong": "#7B4FA6", "mixed": "#31688E", "all right": "#9BC53D", "undecided": "#B9BEC6"}


def group_signal(frame: pd.DataFrame) -> list[Any]:
    """Draw a panel per run: share of its groups that are all wrong, mixed, all right, undecided, over steps."""
    names = {f"n_{name.replace(' ', '_')}": name for name in GROUP_COLOURS}
    long = frame.melt(id_vars=["run", "step"], value_vars=list(names), var_name="kind", value_name="groups")
    long["kind"] = long["kind"].map(names)
    long["order"] = long["kind"].map(list(GROUP_COLOURS).index)
    scale = alt.Scale(domain=list(GROUP_COLOURS), range=list(GROUP_COLOURS.values()))
    panels: list[Any] = []
    for i, run in enumerate(dict.fromkeys(long["run"])):
        shown = "share of groups" if i == 0 else ""
        area = alt.Chart(long[long["run"] == run]).mark_area().encode(
            x=alt.X("step:Q", title="training step", axis=STEP_AXIS),
            y=alt.Y("groups:Q", stack="normalize", title=shown, axis=alt.Axis(format="%")),
            color=alt.Color("kind:N", scale=scale, legend=None, sort=list(GROUP_COLOURS)),
            order="order:Q", tooltip=["run:N", "step:Q", "kind:N", "groups:Q"],
        )  # fmt: skip
        panels.append(area.properties(height=300, title=panel_title(str(run), " ")))
    return panels


def buffer(frame: pd.DataFrame) -> list[Any]:
    """Draw the demonstrations that wait over steps, and how old they were when trained on."""
    runs = RunScale(frame["run"])
    x = alt.X("step:Q", title="training step", axis=STEP_AXIS)
    named = {"buffer_len": "waiting", "n_enqueued": "enqueued", "n_trained": "trained on", "n_evicted": "evicted"}
    tips = ["run:N", "step:Q", *(alt.Tooltip(f"{name}:Q", title=title) for name, title in named.items())]
    length = (
        alt.Chart(frame)
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(x=x, y=alt.Y("buffer_len:Q", title=None), color=runs.colour(), tooltip=tips)
    )
    aged = frame[frame["age_median"].notna()]
    span = (
        alt.Chart(aged)
        .mark_rule(strokeWidth=1.5)
        .encode(x=x, y=alt.Y("age_low:Q", title=None), y2="age_high:Q", color=runs.colour())
    )
    dots = alt.Chart(aged).mark_circle(size=55, opacity=1).encode(
        x=x, y=alt.Y("age_median:Q", title=None), color=runs.colour(),
        tooltip=["run:N", "step:Q", alt.Tooltip("age_median:Q", title="median age, steps")],
    )  # fmt: skip
    waiting = length.properties(height=310, title=panel_title("Demonstrations waiting", "after each step"))
    return [
        waiting,
        alt.layer(span, dots).properties(
            height=310, title=panel_title("Age when trained on", "steps; median, .1 to .9")
        ),
    ]


def efficiency(frame: pd.DataFrame) -> list[Any]:
    """Draw accuracy against demonstrations trained on, with repeats and distinct, a path per run."""
    runs = RunScale(frame["run"])
    panels: list[Any] = []
    ticks = alt.Axis(values=[0, *(10**k for k in range(1, 8))], format=",d")
    for column, title in (("demonstrations", "with repeats"), ("distinct_demonstrations", "distinct")):
        x = alt.X(
            f"{column}:Q", title="demonstrations trained on", scale=alt.Scale(type="symlog", constant=10), axis=ticks
        )
        y = alt.Y("value:Q", title="accuracy" if not panels else "", scale=alt.Scale(zero=False))
        tips = ["run:N", "step:Q", alt.Tooltip("value:Q", format=".3f", title="accuracy"),
                alt.Tooltip("ci_low:Q", format=".3f"), alt.Tooltip("ci_high:Q", format=".3f"), f"{column}:Q",
                alt.Tooltip("n_questions:Q", title="questions")]  # fmt: skip
        base = alt.Chart(frame)
        path = base.mark_line(strokeWidth=1.5).encode(
            x=x, y=y, color=runs.colour(), order="step:Q", strokeDash=runs.dash()
        )
        span = base.mark_rule(opacity=0.6).encode(
            x=x, y=alt.Y("ci_low:Q", title="accuracy" if not panels else ""), y2="ci_high:Q", color=runs.colour()
        )
        last = frame["step"] == frame.groupby("run_id")["step"].transform("max")
        dots = [
            alt.Chart(rows).mark_point(size=55, opacity=1, filled=filled, strokeWidth=1.6).encode(
                x=x, y=y, color=runs.colour(), tooltip=tips
            )
            for rows, filled in ((frame[~last], False), (frame[last], True))
        ]  # fmt: skip
        panels.append(alt.layer(path, span, *dots).properties(height=330, title=panel_title("Demonstrations", title)))
    return panels


def metric(frame: pd.DataFrame, *, y: str, title: str) -> Any:
    """Draw one column over steps, a line per run and kind of update; rows are thinned before."""
    runs = RunScale(frame["run"])
    shapes = alt.Scale(domain=["rl", "sft", "mixed"], range=["circle", "square", "triangle-up"])
    shape = alt.Shape("kind:N", scale=shapes, legend=None)
    base = alt.Chart(frame)
    x = alt.X("step:Q", title="training step", axis=STEP_AXIS)
    value = alt.Y(f"{y}:Q", title=None, scale=alt.Scale(zero=False))
    line = base.mark_line(strokeWidth=1, opacity=0.5).encode(x=x, y=value, color=runs.colour(), detail="kind:N")
    dots = base.mark_point(size=22, filled=True).encode(
        x=x, y=value, color=runs.colour(), shape=shape,
        tooltip=["run:N", "step:Q", "update:Q", "kind:N", alt.Tooltip(f"{y}:Q", format=".4g")],
    )  # fmt: skip
    return alt.layer(line, dots).properties(height=270, title=panel_title(title, " "))


def after_training(frame: pd.DataFrame) -> list[Any]:
    """Draw a panel per run: trained-on questions less their controls, by steps since, with intervals."""
    panels: list[Any] = []
    runs = RunScale(frame["run"])
    ends = np.nan_to_num(frame[["low", "high", "att"]].to_numpy(float))
    scale = alt.Scale(domain=[min(-0.05, float(ends.min())), max(0.05, float(ends.max()))], nice=True)
    for run, own in frame.groupby("run", sort=False):
        if not own["att"].notna().any():
            none = alt.Chart(pd.DataFrame({"text": ["no control to compare with"]})).mark_text(
                color=NEUTRAL, fontSize=13
            )
            panels.append(none.encode(text="text:N").properties(height=310, title=panel_title(str(run), " ")))
            continue
        rows = own.assign(steps=[f"{a} to {b}" for a, b in zip(own["from"], own["to"], strict=True)])
        order = list(dict.fromkeys(rows["steps"]))
        x = alt.X("steps:N", sort=order, title="steps since", axis=alt.Axis(labelAngle=0))
        tips = [
            alt.Tooltip("steps:N"), alt.Tooltip("att:Q", format="+.3f", title="difference"),
            alt.Tooltip("low:Q", format="+.3f"), alt.Tooltip("high:Q", format="+.3f"),
            alt.Tooltip("trained:Q", format=".3f"), alt.Tooltip("control:Q", format=".3f"),
            alt.Tooltip("n_trained:Q", title="trained on"), alt.Tooltip("n_controls:Q", title="controls"),
        ]  # fmt: skip
        base = alt.Chart(rows)
        zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=NEUTRAL).encode(y=alt.Y("zero:Q", title=""))
        span = base.mark_rule(strokeWidth=2).encode(
            x=x, y=alt.Y("low:Q", title="difference in reward", scale=scale), y2="high:Q", color=runs.colour()
        )
        dots = base.mark_circle(size=80, opacity=1).encode(
            x=x, y=alt.Y("att:Q", title="difference in reward", scale=scale), color=runs.colour(), tooltip=tips
        )
        panels.append(alt.layer(zero, span, dots).properties(height=310, title=panel_title(str(run), " ")))
    return panels


def throughput(frame: pd.DataFrame) -> list[Any]:
    """Draw tokens generated and trained on per second, and seconds per step, between checkpoints."""
    runs = RunScale(frame["run"])
    titles = {
        "generated_per_second": "tokens generated a second", "trained_per_second": "tokens trained on a second",
        "seconds_per_step": "seconds a step",
    }  # fmt: skip
    panels: list[Any] = []
    for name, title in titles.items():
        tips = ["run:N", "step_before:Q", "step:Q", alt.Tooltip(f"{name}:Q", format=",.4g")]
        base = alt.Chart(frame)
        x = alt.X("step:Q", title="training step", axis=STEP_AXIS, scale=alt.Scale(nice=False))
        y = alt.Y(f"{name}:Q", title=None)
        line = base.mark_line(strokeWidth=2).encode(x=x, y=y, color=runs.colour(), strokeDash=runs.dash())
        dots = base.mark_circle(size=50, opacity=1).encode(x=x, y=y, color=runs.colour(), tooltip=tips)
        panels.append(alt.layer(line, dots).properties(height=300, title=panel_title(title.capitalize(), " ")))
    return panels
