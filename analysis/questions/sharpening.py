"""Follow pass@1 against pass@k from probe to probe: sharpening moves right, widening moves up."""

from __future__ import annotations

from typing import Any

import pandas as pd

from relift.analysis import style
from relift.analysis.questions.sampling import least_attempts, pass_at_k
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.errors import InputError


def sharpening(trajectories: pd.DataFrame, *, k: int) -> pd.DataFrame:
    """Join pass@1 and pass@k of every probe: one row per run and step.

    Columns: run_id, run, step, pass_1, pass_k, low_1, high_1, low_k, high_k (95 %, of `pass_at_k`), k, n_questions,
    n_attempts. Over the questions that all runs and steps share. InputError if k is 1 or more than a question has.
    """
    if k < 2:
        raise InputError("sharpening compares pass@1 with pass@k: k must be at least 2")
    both = pass_at_k(trajectories, ks=[1, k])
    keys = ["run_id", "run", "step", "n_questions", "n_attempts"]
    sides = [both[both["k"] == of].set_index(keys)[["value", "low", "high"]] for of in (1, k)]
    sides[0].columns, sides[1].columns = ["pass_1", "low_1", "high_1"], ["pass_k", "low_k", "high_k"]
    return sides[0].join(sides[1]).reset_index().assign(k=k)


def plot_sharpening(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw a path per run through its probes, the last one large. Returns the Axes."""
    axes = style.one_axes(height=2.8, width=style.COLUMN_WIDTH) if axes is None else axes
    styles = style.run_styles(frame["run"])
    with style.context():
        for run, path in style.by_style(frame, styles):
            path, look = path.sort_values("step"), styles[run]
            axes.plot(path["pass_1"], path["pass_k"], color=look.colour, linestyle=look.dash, linewidth=0.9)
            points = {"marker": look.marker, "color": look.colour, "linestyle": "none"}
            last = path.iloc[-1]
            axes.plot(path["pass_1"], path["pass_k"], markersize=2, **points)
            axes.plot(last["pass_1"], last["pass_k"], markersize=6, **points)
        axes.set_xlabel("pass@1")
        axes.set_ylabel(f"pass@{int(frame['k'].iloc[0])}")
        style.legend_above(axes.figure, styles, columns=3)
    return axes


def caption_sharpening(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    k, n = int(frame["k"].iloc[0]), style.count_range(frame["n_questions"])
    return (
        f"pass@1 and pass@{k} of {n} questions at every probe, joined in order of step, the last one large; "
        f"{style.count_range(frame['n_attempts'])} attempts a question at least. To the right: the same questions "
        "answered more often; upwards: more questions answered at all. Intervals are in the table."
    )


def _data(loaded: LoadedRuns) -> pd.DataFrame:
    return sharpening(loaded.probes, k=min(64, least_attempts(loaded.probes)))


SHARPENING = Figure(
    "sharpening", "pass@1 against pass@k, from probe to probe", "What is within reach",
    data=_data, draw=plot_sharpening, caption=caption_sharpening,
)  # fmt: skip
