"""Draw runs over steps, and what changed in them: frames of relift.analysis in, Altair out."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from relift.analysis import BANDS, REACH
from relift.analysis.questions.changes import groups_of
from relift.analysis.style import count_range
from relift.dashboards.charts.common import NEUTRAL, SHARE, RunScale, lines

REACH_COLOURS = {"within": "#0072B2", "undetermined": "#B9BEC6", "beyond": "#E69F00"}
STEP_AXIS = alt.Axis(tickMinStep=1, format="d", tickCount=6)


def band_accuracy(frame: pd.DataFrame) -> list[Any]:
    """Draw a panel per band, hardest first: accuracy over steps with intervals."""
    return _band_panels(frame, y="accuracy", domain=(0.0, 1.0), number=".3f")


def band_lengths(frame: pd.DataFrame) -> list[Any]:
    """Draw a panel per band: tokens of an answer over steps; dashed, the band's demonstrations."""
    top = float(frame[["tokens", "high"]].max().max())
    longest = frame["demonstration_tokens"].max() if "demonstration_tokens" in frame else float("nan")
    panels = _band_panels(
        frame, y="tokens", domain=(0.0, max(top, longest if longest == longest else 0.0)), number=".1f"
    )
    if "demonstration_tokens" not in frame:
        return panels
    with_rules = []
    for band, panel in zip(BANDS, panels, strict=True):
        length = frame.loc[frame["band"] == band, "demonstration_tokens"].dropna()
        if length.empty:
            with_rules.append(panel)
            continue
        row = pd.DataFrame({"tokens": [float(length.iloc[0])], "of": ["demonstrations"]})
        tips = [alt.Tooltip("of:N", title="mean of"), alt.Tooltip("tokens:Q", format=".1f")]
        rule = alt.Chart(row).mark_rule(color=NEUTRAL, strokeDash=[5, 4]).encode(y="tokens:Q", tooltip=tips)
        with_rules.append(alt.layer(panel, rule))
    return with_rules


def _band_panels(frame: pd.DataFrame, *, y: str, domain: tuple[float, float], number: str) -> list[Any]:
    runs = RunScale(frame["run"])
    tips = [
        alt.Tooltip("run:N"), alt.Tooltip("step:Q"), alt.Tooltip(f"{y}:Q", format=number),
        alt.Tooltip("low:Q", format=number), alt.Tooltip("high:Q", format=number),
        alt.Tooltip("n_questions:Q", title="questions"),
    ]  # fmt: skip
    panels: list[Any] = []
    for i, band in enumerate(BANDS):
        rows = frame[frame["band"] == band]
        counts = rows["band_counts"].dropna().unique()
        of = f"{counts[0]} of {frame['band_attempts'].iloc[0]}" if len(counts) else "some of the base's attempts"
        chart = lines(rows, runs, y=y, title=y if i == 0 else "", domain=domain, tooltip=tips)
        n = count_range(rows["n_questions"])
        panels.append(
            chart.properties(title=panel_title(band, f"{of} correct · {n} questions" if len(rows) else "no question"))
        )
    return panels


def panel_title(text: str, below: str) -> alt.TitleParams:
    return alt.TitleParams(
        text, subtitle=below, subtitleColor=NEUTRAL, anchor="start", fontSize=14, subtitleFontSize=12
    )


def change_by_split(frame: pd.DataFrame) -> list[Any]:
    """Draw a panel for all questions and one per split: each run's difference from the base in points."""
    return _change(frame, ("all", "group"))


def change_by_band(frame: pd.DataFrame) -> list[Any]:
    """Draw a panel per band: each run's difference from the base in points."""
    return _change(frame, ("band",))


def _change(frame: pd.DataFrame, kinds: tuple[str, ...]) -> list[Any]:
    """Draw a panel per group of these kinds, all on one scale."""
    runs = RunScale(frame["run"])
    rows = frame.assign(**{name: 100 * frame[name] for name in ("difference", "low", "high")})
    rows = rows[((rows["n_questions"] > 0) & rows["kind"].isin(kinds)).to_numpy()]
    ends = rows[["low", "high", "difference"]].to_numpy(float)
    least, most = float(np.nanmin(ends)), float(np.nanmax(ends))
    pad = 0.05 * (most - least + 1)
    span = [min(0.0, least) - pad, max(0.0, most) + pad]
    tips = [
        alt.Tooltip("run:N"), alt.Tooltip("group:N"), alt.Tooltip("difference:Q", format="+.1f", title="points"),
        alt.Tooltip("low:Q", format="+.1f"), alt.Tooltip("high:Q", format="+.1f"),
        alt.Tooltip("base_accuracy:Q", format=".3f", title="accuracy of the base"),
        alt.Tooltip("accuracy:Q", format=".3f"), alt.Tooltip("n_questions:Q", title="questions"),
        alt.Tooltip("n_left_out:Q", title="questions left out"),
    ]  # fmt: skip
    panels: list[Any] = []
    for kind, group in [one for one in groups_of(frame) if one[0] in kinds]:
        own = rows[((rows["kind"] == kind) & (rows["group"] == group)).to_numpy()]
        base = alt.Chart(own)
        axis = alt.Axis(
            labels=not panels, ticks=False, domain=False, labelLimit=110, labelOverlap=False, labelFlush=False
        )
        y = alt.Y("run:N", sort=runs.names, title=None, axis=axis, scale=alt.Scale(domain=runs.names))
        scale = alt.Scale(domain=span, nice=False)
        x = alt.X("low:Q", title="points", scale=scale, axis=alt.Axis(values=few_ticks(*span)))
        rule = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=NEUTRAL)
        zero = rule.encode(x=alt.X("zero:Q", title="points"))
        bar = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q", y=y, color=runs.colour())
        dot = base.mark_circle(size=90, opacity=1).encode(
            x=alt.X("difference:Q", title="points", scale=scale), y=y, color=runs.colour(), tooltip=tips
        )
        title = panel_title("All questions" if kind == "all" else group, f"{count_range(own['n_questions'])} questions")
        panel = alt.layer(zero, bar, dot).properties(height=90 + 30 * len(runs.names), title=title)
        panels.append(panel if panels else panel.properties(usermeta={SHARE: 1.45}))  # it has the names of the runs
    return panels


def few_ticks(low: float, high: float) -> list[float]:
    """Choose at most three round values between low and high, 0 among them: panels are narrow."""
    for step in (5, 10, 20, 25, 50, 100):
        ticks = [float(step * i) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
        if len(ticks) <= 3:
            return ticks
    return [0.0]


def reach_bars(frame: pd.DataFrame) -> list[Any]:
    """Draw a bar per run and end: its questions within reach, undetermined, beyond."""
    rows = frame.assign(at=[f"{run}, step {step}" for run, step in zip(frame["run"], frame["step"], strict=True)])
    rows["order"] = rows["reach"].map(list(REACH).index)
    order = list(dict.fromkeys(rows["at"]))
    tips = [
        alt.Tooltip("at:N", title="run"), alt.Tooltip("reach:N"), alt.Tooltip("count:Q", title="questions"),
        alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("low:Q", format=".1%"), alt.Tooltip("high:Q", format=".1%"),
        alt.Tooltip("n_attempts:N", title="attempts a question"),
    ]  # fmt: skip
    scale = alt.Scale(domain=list(REACH_COLOURS), range=list(REACH_COLOURS.values()))
    total = int(frame["n_questions"].max())
    x = alt.X("count:Q", stack="zero", title="questions", scale=alt.Scale(domain=[0, total], nice=False))
    y = alt.Y(
        "at:N", sort=order, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=260, labelFlush=False)
    )
    base = alt.Chart(rows)
    bars = base.mark_bar(height=20).encode(
        x=x, y=y, order="order:Q", tooltip=tips,
        color=alt.Color("reach:N", scale=scale, legend=None, sort=list(REACH)),
    )  # fmt: skip
    rows["middle"] = rows.groupby("at", sort=False)["count"].cumsum() - rows["count"] / 2
    said = rows[rows["count"] > 0.03 * total].assign(
        ink=["#FFFFFF" if r == "within" else "#1F2328" for r in rows.loc[rows["count"] > 0.03 * total, "reach"]]
    )
    text = (
        alt.Chart(said)
        .mark_text(fontSize=11)
        .encode(x=alt.X("middle:Q", title="questions"), y=y, text="count:Q", color=alt.Color("ink:N", scale=None))
    )
    return [alt.layer(bars, text).properties(height=80 + 34 * len(order))]


def reach_accuracy(frame: pd.DataFrame) -> list[Any]:
    """Draw a panel per class of the base's reach that holds questions: accuracy over steps."""
    runs = RunScale(frame["run"])
    panels: list[Any] = []
    for name in REACH:
        rows = frame[frame["reach"] == name]
        if not rows["n_questions"].any():
            continue
        chart = lines(rows, runs, y="accuracy", title="accuracy" if not panels else "", domain=(0.0, 1.0))
        panels.append(chart.properties(title=panel_title(name, f"{count_range(rows['n_questions'])} questions")))
    return panels


def pass_at_k(frame: pd.DataFrame) -> list[Any]:
    """Draw pass@k over k on a scale of powers of two, a line per run at its last step, with intervals."""
    runs = RunScale(frame["run"])
    last = frame[(frame["step"] == frame.groupby("run_id")["step"].transform("max")).to_numpy()]
    values = sorted(int(k) for k in last["k"].unique())
    x = alt.X("k:Q", title="k, attempts", scale=alt.Scale(type="log", base=2), axis=alt.Axis(values=values, format="d"))
    scale = alt.Scale(domain=[0, 1])
    y = alt.Y("value:Q", title="share of questions with a correct one", scale=scale, axis=alt.Axis(format=".0%"))
    tips = [
        alt.Tooltip("run:N"), alt.Tooltip("step:Q"), alt.Tooltip("k:Q"), alt.Tooltip("value:Q", format=".3f"),
        alt.Tooltip("low:Q", format=".3f"), alt.Tooltip("high:Q", format=".3f"),
        alt.Tooltip("n_questions:Q", title="questions"),
    ]  # fmt: skip
    base = alt.Chart(last)
    band = base.mark_area(opacity=0.14).encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q", color=runs.colour())
    line = base.mark_line(strokeWidth=2).encode(x=x, y=y, color=runs.colour(), strokeDash=runs.dash())
    dots = base.mark_circle(size=50, opacity=1).encode(x=x, y=y, color=runs.colour(), tooltip=tips)
    return [alt.layer(band, line, dots).properties(height=330)]


MEASURES = {
    "reward": "Reward (share correct)", "tokens": "Tokens of an answer", "entropy": "Entropy, nats",
    "truncated_share": "Share cut off",
}  # fmt: skip


def dynamics(frame: pd.DataFrame) -> list[Any]:
    """Draw a panel per measure: thin lines are rollouts of a step, thick ones their running mean, dots probes.

    Ticks above are steps with a fine-tuning or mixed update, a row per run.
    """
    runs = RunScale(frame["run"])
    tuned = frame[(frame["n_sft"] + frame["n_mixed"] > 0) & (frame["n_rl"].groupby(frame["run"]).transform("sum") > 0)]
    return [_measure(frame, runs, name, title, tuned) for name, title in MEASURES.items()]


def _measure(frame: pd.DataFrame, runs: RunScale, name: str, title: str, tuned: pd.DataFrame) -> Any:
    x = alt.X("step:Q", title="training step", axis=STEP_AXIS)
    top = 1.0 if name == "reward" else float(frame[[name, f"probe_{name}"]].max().max())
    scale = alt.Scale(domain=[0, top if top > 0 else 1], nice=name != "reward")
    parts: list[Any] = []
    rolled, probed = frame[frame[name].notna()], frame[frame[f"probe_{name}"].notna()]
    tips = [alt.Tooltip("run:N"), alt.Tooltip("step:Q"), alt.Tooltip("n_questions:Q", title="questions of the step")]
    if len(rolled):
        y = alt.Y(f"{name}:Q", title=None, scale=scale)
        parts.append(alt.Chart(rolled).mark_line(strokeWidth=0.8, opacity=0.4).encode(x=x, y=y, color=runs.colour()))
        if f"{name}_smooth" in frame:
            smooth = alt.Y(f"{name}_smooth:Q", title=None, scale=scale)
            line = alt.Chart(rolled).mark_line(strokeWidth=2)
            parts.append(line.encode(x=x, y=smooth, color=runs.colour(), strokeDash=runs.dash(),
                                     tooltip=[*tips, alt.Tooltip(f"{name}:Q", format=".3f")]))  # fmt: skip
    if len(probed):
        y = alt.Y(f"probe_{name}:Q", title=None, scale=scale)
        at_zero = probed.groupby("run")["step"].transform("max") == 0
        probe_tips = [
            alt.Tooltip("run:N"),
            alt.Tooltip("step:Q"),
            alt.Tooltip(f"probe_{name}:Q", format=".3f", title="probe"),
        ]
        if at_zero.all() or not at_zero.any():
            later = probed
        else:
            later = probed[~at_zero]
            level = alt.Chart(probed[at_zero]).mark_rule(strokeWidth=1.5)
            parts.append(level.encode(y=y, color=runs.colour(), strokeDash=runs.dash(), tooltip=probe_tips))
        unrolled = later[~later["run"].isin(rolled["run"].unique())]
        parts.append(
            alt.Chart(unrolled).mark_line(strokeWidth=1.2).encode(x=x, y=y, color=runs.colour(), strokeDash=runs.dash())
        )
        dots = alt.Chart(later).mark_point(filled=False, size=55, strokeWidth=2)
        parts.append(dots.encode(x=x, y=y, color=runs.colour(), tooltip=probe_tips))
    if len(tuned):
        lanes = list(dict.fromkeys(tuned["run"]))  # above the panel: below its upper edge are data
        rows = tuned.assign(row=[-4 - min(7.0, 21 / len(lanes)) * lanes.index(run) for run in tuned["run"]])
        ticks = alt.Chart(rows).mark_tick(orient="vertical", thickness=1.2, height=6)
        parts.append(ticks.encode(x=x, y=alt.Y("row:Q", axis=None, scale=None), color=runs.colour()))
    if not parts:
        empty = pd.DataFrame({"text": ["not recorded"]})
        parts.append(alt.Chart(empty).mark_text(color=NEUTRAL, fontSize=13).encode(text="text:N"))
    return alt.layer(*parts).properties(height=330, title=panel_title(title, " "))


def length_accuracy(frame: pd.DataFrame) -> list[Any]:
    """Draw accuracy by length of the answer, a panel per group and a point per tenth of a run's attempts."""
    return _by_length(frame, "accuracy", "accuracy")


def length_cut_off(frame: pd.DataFrame) -> list[Any]:
    """Draw the share cut off likewise."""
    return _by_length(frame, "truncated_share", "share cut off")


def _by_length(frame: pd.DataFrame, name: str, title: str) -> list[Any]:
    runs = RunScale(frame["run"])
    rows = frame.assign(middle=(frame["tokens_low"] + frame["tokens_high"]) / 2)
    x = alt.X("middle:Q", title="tokens of an answer")
    tips = [
        alt.Tooltip("run:N"), alt.Tooltip("tokens_low:Q"), alt.Tooltip("tokens_high:Q"),
        alt.Tooltip("accuracy:Q", format=".3f"), alt.Tooltip("truncated_share:Q", format=".1%", title="cut off"),
        alt.Tooltip("n_attempts:Q", title="attempts"),
    ]  # fmt: skip
    panels: list[Any] = []
    scale = alt.Scale(domain=[0, 1])
    for group, own in rows.groupby("group", sort=False):
        base = alt.Chart(own)
        label = title if not panels else ""
        y = alt.Y(f"{name}:Q", title=label, scale=scale)
        parts = []
        if name == "accuracy":
            band = base.mark_area(opacity=0.16)
            parts.append(band.encode(x=x, y=alt.Y("low:Q", title=label, scale=scale), y2="high:Q", color=runs.colour()))
        parts.append(base.mark_line(strokeWidth=2).encode(x=x, y=y, color=runs.colour(), strokeDash=runs.dash()))
        parts.append(base.mark_circle(size=46, opacity=1).encode(x=x, y=y, color=runs.colour(), tooltip=tips))
        head = title.capitalize() if group == "all" else str(group)
        panels.append(alt.layer(*parts).properties(height=290, title=panel_title(head, " ")))
    return panels
