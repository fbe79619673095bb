"""One question over the steps of every run: its rate with an interval, and where it flipped. Axes: T steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from relift import stats
from relift.analysis import style

EVENTS = ("enqueue", "train", "evict")
_EVENT_MARKS = {"enqueue": ("o", "none"), "train": ("^", "full"), "evict": ("x", "full")}


def question_trajectory(counts: pd.DataFrame) -> pd.DataFrame:
    """One row per run and step of one question: rate, low, high (95 %, Clopper and Pearson).

    `counts` has run_id, run, step, n_correct, n_decided, one row for each draw; draws are summed. A step without a
    decided attempt has null in place of numbers. Few attempts at one question: the exact interval, never too narrow.
    """
    keys = ["run_id", "run", "step"]
    summed = counts.groupby(keys, sort=False, as_index=False)[["n_correct", "n_decided"]].sum()
    low, high = stats.clopper_pearson(summed["n_correct"], summed["n_decided"])
    summed["rate"] = stats.rate(summed["n_correct"], summed["n_decided"])
    return summed.assign(low=low, high=high)


def flip_of(n_correct_T: ArrayLike, n_decided_T: ArrayLike) -> tuple[int, int] | None:
    """Positions of the two neighbouring measured probes between which the rate moved most, the first of equal moves.

    None where fewer than two probes were measured. Where nothing moved: the first and the last.
    """
    rate_T = stats.rate(n_correct_T, n_decided_T)
    measured = np.flatnonzero(~np.isnan(rate_T))
    if len(measured) < 2:
        return None
    moved = np.abs(np.diff(rate_T[measured]))
    if not moved.any():
        return int(measured[0]), int(measured[-1])
    at = int(moved.argmax())
    return int(measured[at]), int(measured[at + 1])


def typical_attempt(attempts: pd.DataFrame, *, prefer: str) -> int | None:
    """Row label of the attempt to read first: the earliest with the commonest answer among those judged `prefer`.

    `attempts` has verdict and answer. Where none was judged so, among all; None of an empty frame.
    """
    among = attempts[(attempts["verdict"].astype(str) == prefer).to_numpy()]
    among = among if len(among) else attempts
    if among.empty:
        return None
    answers = among["answer"].astype(object).where(among["answer"].notna(), "")
    commonest = answers.value_counts(sort=True).index[0]
    return int(among.index[(answers == commonest).to_numpy()][0])


def plot_question_trajectory(frame: pd.DataFrame, events: pd.DataFrame | None = None, *, axes: Any = None) -> Any:
    """Rate of one question over steps, a line per run with its interval; marks below for what its demonstration did.

    `events` has run, step, event. Returns the Axes.
    """
    styles = style.run_styles(frame["run"])
    axes = style.one_axes(height=2.4) if axes is None else axes
    with style.context():
        for run, line in style.by_style(frame, styles):
            look, known = styles[run], line[line["rate"].notna()]
            axes.plot(known["step"], known["rate"], label=look.label, **look.line())
            error = np.abs(known[["low", "high"]].to_numpy(float).T - known["rate"].to_numpy(float))
            axes.errorbar(known["step"], known["rate"], yerr=error, fmt="none", ecolor=look.colour, elinewidth=0.7)
            if events is None:
                continue
            for event, (marker, fill) in _EVENT_MARKS.items():
                steps = events.loc[(events["run"] == run) & (events["event"] == event), "step"]
                axes.plot(
                    steps, np.full(len(steps), -0.07), marker=marker, fillstyle=fill, color=look.colour,
                    linestyle="none", clip_on=False,
                )  # fmt: skip
        axes.set_ylim(-0.1, 1.03)
        axes.set_xlabel("training step")
        axes.set_ylabel("share of attempts correct")
        style.legend_above(axes.figure, styles)
    return axes


def caption_question_trajectory(frame: pd.DataFrame, *, events: bool = True) -> str:
    """What the figure must say below it; `events`: whether any are drawn."""
    n = style.count_range(frame.loc[frame["n_decided"] > 0, "n_decided"])
    marks = " Below: circle, a demonstration was enqueued; triangle, it was trained on; cross, it was dropped."
    return (
        f"Share of attempts at this question that are correct, {n} attempts a point. Bars: 95 % intervals (Clopper "
        f"and Pearson).{marks if events else ''}"
    )
