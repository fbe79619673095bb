"""Follow one question over the steps of every run: its rate with an interval, and where it flipped. Axes: T steps."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from relift import stats
from relift.analysis import style

EVENTS = ("enqueue", "train", "evict")
_EVENT_MARKS = {"enqueue": ("o", "none"), "train": ("^", "full"), "evict": ("x", "full")}


def question_trajectory(counts: pd.DataFrame) -> pd.DataFrame:
    """Measure the rate of one question, low, high (95 %, Clopper and Pearson): one row per run and step.

    `counts` has run_id, run, step, n_correct, n_decided, one row for each draw; draws are summed. A step without a
    decided attempt has null in place of numbers. Few attempts at one question: the exact interval, never too narrow.
    """
    names = ("run_id", "run", "step", "n_correct", "n_decided")
    summed: dict[tuple[Any, ...], list[int]] = {}  # a few rows: done before a groupby has begun
    for *key, n_correct, n_decided in zip(*(counts[name].tolist() for name in names), strict=True):
        of = summed.setdefault(tuple(key), [0, 0])
        of[0] += n_correct
        of[1] += n_decided
    n_T2 = np.array(list(summed.values()), np.int64).reshape(-1, 2)
    low, high = stats.clopper_pearson(n_T2[:, 0], n_T2[:, 1])
    keys = {name: [key[i] for key in summed] for i, name in enumerate(names[:3])}
    columns = {"n_correct": n_T2[:, 0], "n_decided": n_T2[:, 1], "rate": stats.rate(n_T2[:, 0], n_T2[:, 1])}
    frame = pd.DataFrame({**keys, **columns, "low": low, "high": high})
    return frame.astype({"run_id": object, "run": object, "step": "int64"})


def flip_of(n_correct_T: ArrayLike, n_decided_T: ArrayLike) -> tuple[int, int] | None:
    """Find the two neighbouring measured probes between which the rate moved most, the first of equal moves.

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
    """Find the attempt to read first: the earliest with the commonest answer among those judged `prefer`.

    `attempts` has verdict and answer. Where none was judged so, among all; None of an empty frame.
    """
    rows = list(zip(attempts.index.tolist(), map(str, attempts["verdict"]), attempts["answer"].tolist(), strict=True))
    among = [row for row in rows if row[1] == prefer] or rows
    if not among:
        return None
    answers = [answer if isinstance(answer, str) else "" for *_, answer in among]
    commonest = Counter(answers).most_common(1)[0][0]  # the first to appear among equals
    return int(among[answers.index(commonest)][0])


def plot_question_trajectory(frame: pd.DataFrame, events: pd.DataFrame | None = None, *, axes: Any = None) -> Any:
    """Draw the rate of one question over steps, a line per run; marks below for what its demonstration did.

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
    """Say what a reader of the figure must know; `events`: whether any are drawn."""
    n = style.count_range(frame.loc[frame["n_decided"] > 0, "n_decided"])
    marks = " Below: circle, a demonstration was enqueued; triangle, it was trained on; cross, it was dropped."
    return (
        f"Share of attempts at this question that are correct, {n} attempts a point. Bars: 95 % intervals (Clopper "
        f"and Pearson).{marks if events else ''}"
    )
