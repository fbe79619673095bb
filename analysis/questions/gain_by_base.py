"""Measure the gain against the base's ability: mean change by the number of attempts that the base got right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift.analysis import style
from relift.analysis.questions.compare import mean_difference, run_ends
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import RATE_DRAWS, base_id_of
from relift.errors import InputError


def gain_by_base(trajectories: pd.DataFrame, *, base: str | None = None) -> pd.DataFrame:
    """Average each run's change by the base's correct attempts in draw 0: one row per run and number correct.

    Draw 0 of the base's step 0 sorts the questions, draw 1 measures where they started, so that luck in the sorting is
    no change: a frozen model is at 0 everywhere. Columns: run_id, run, step, n_correct, n_attempts, base_rate (of draw
    1), difference, low, high (95 %, Student's t over questions), n_questions. Only questions with the commonest number
    of decided attempts in draw 0 enter; n_left_out counts the others. InputError if the base has no second draw.
    """
    base_id = base_id_of(trajectories, base)
    start, again = (_rates(trajectories, base_id, 0, (draw,)) for draw in (0, 1))
    if start.empty or again.empty:
        raise InputError("the base run needs two draws at step 0: one sorts the questions, the other measures them")
    n = int(start["n_decided"].mode().iloc[0])
    sorted_by = start[start["n_decided"] == n]["n_correct"]
    rows: list[dict[str, Any]] = []
    for run_id, run, step in run_ends(trajectories):
        end = _rates(trajectories, run_id, step, tuple(range(RATE_DRAWS)))
        joined = again.join(end.add_suffix("_end"), how="inner")
        joined = joined.assign(sorted_by=sorted_by).dropna(subset=["rate", "rate_end"])
        known = joined.dropna(subset="sorted_by")
        for _, own in known.groupby("sorted_by"):
            rows.append(
                {
                    "run_id": run_id, "run": run, "step": step, "n_correct": int(own["sorted_by"].iloc[0]),
                    "n_attempts": n,
                    "base_rate": float(own["rate"].mean()),
                    **mean_difference((own["rate_end"] - own["rate"]).to_numpy(float)),
                    "n_questions": len(own), "n_left_out": len(joined) - len(known),
                }
            )  # fmt: skip
    return pd.DataFrame(rows).drop(columns="p_value")


def _rates(trajectories: pd.DataFrame, run_id: str, step: int, draws: tuple[int, ...]) -> pd.DataFrame:
    """Index n_correct, n_decided, rate of these draws by question_id; rate null where nothing was decided."""
    rows = trajectories[
        ((trajectories["run_id"] == run_id) & (trajectories["step"] == step)).to_numpy()
        & trajectories["draw"].isin(draws).to_numpy()
    ]
    names = ["n_attempts", "n_correct", "n_undecided"]
    counts = rows[names].astype("int64").groupby(rows["question_id"].astype(object)).sum()
    counts["n_decided"] = counts.pop("n_attempts") - counts.pop("n_undecided")
    counts["rate"] = counts["n_correct"] / counts["n_decided"].where(counts["n_decided"] > 0)
    return counts


def plot_gain_by_base(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw the mean change over the base's correct attempts, a line per run with its interval. Returns the Axes."""
    axes = style.one_axes(height=2.5, width=style.COLUMN_WIDTH) if axes is None else axes
    styles = style.run_styles(frame["run"])
    with style.context():
        axes.axhline(0, color="black", linewidth=0.5)
        for run, line in style.by_style(frame, styles):
            known = line.assign(
                low=line["low"].fillna(line["difference"]), high=line["high"].fillna(line["difference"])
            )
            style.line_with_interval(axes, line["n_correct"], known, "difference", styles[run])
        n = int(frame["n_attempts"].iloc[0])
        ticks = np.unique(np.linspace(0, n, min(n, 8) + 1).round().astype(int))
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xlabel(f"correct of {n} attempts of the base")
        axes.set_ylabel("change in accuracy")
        style.legend_above(axes.figure, styles, columns=3)
    return axes


def caption_gain_by_base(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    left = int(frame["n_left_out"].max())
    rest = f" Left out for another number of attempts: {left}." if left else ""
    return (
        "Mean change of accuracy at each run's last probe, by the base's correct attempts in draw 0 of step 0, "
        f"measured from draw 1: a frozen model is at 0 everywhere. {style.count_range(frame['n_questions'])} "
        f"questions a point. Shaded: 95 % intervals (Student's t over questions).{rest}"
    )


def _data(loaded: LoadedRuns) -> pd.DataFrame:
    return gain_by_base(loaded.compared_ends, base=loaded.base_id)


GAIN = Figure(
    "gain_by_base", "Gain against what the base could do", "What changed",
    data=_data, draw=plot_gain_by_base, caption=caption_gain_by_base,
)  # fmt: skip
