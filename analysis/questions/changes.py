"""Draw each run's difference from the base by split and band, gains and losses side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift.analysis import style


def groups_of(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """List (kind, group) of a frame of `difference_from_base` in its order, those without a question left out."""
    held = frame[frame["n_questions"] > 0]
    return [(str(kind), str(group)) for kind, group in held[["kind", "group"]].drop_duplicates().to_numpy()]


def plot_changes(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw a row per group of `difference_from_base`, a point with its interval per run; returns the Axes."""
    shown = frame[frame["n_questions"] > 0]
    groups = groups_of(frame)
    styles = style.run_styles(shown["run"])
    parts = style.by_style(shown, styles)
    if axes is None:
        axes = style.one_axes(height=0.7 + len(groups) * (0.12 + 0.11 * len(parts)))
    count = shown.groupby(["kind", "group"])["n_questions"].max()
    with style.context():
        axes.axvline(0, color="black", linewidth=0.6)
        for i, (run, own) in enumerate(parts):
            look = styles[run]
            at = np.array([groups.index(key) for key in zip(own["kind"], own["group"], strict=True)])
            height = at + (i - (len(parts) - 1) / 2) * 0.8 / len(parts)
            known = own["low"].notna().to_numpy()
            low, high = (100 * own[name].to_numpy(float)[known] for name in ("low", "high"))
            axes.hlines(height[known], low, high, color=look.colour, linewidth=0.9)
            axes.plot(100 * own["difference"], height, marker=look.marker, color=look.colour, linestyle="none")
        for before, (one, other) in enumerate(zip(groups, groups[1:], strict=False)):
            apart = one[0] != other[0]
            axes.axhline(before + 0.5, color="black" if apart else style.GREY, linewidth=0.7 if apart else 0.5)
        labels = [f"{'all questions' if kind == 'all' else group} ({count[kind, group]})" for kind, group in groups]
        axes.set_yticks(range(len(groups)), labels, parse_math=False)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("accuracy, points above or below the base")
        style.legend_above(axes.figure, styles)
    return axes


def caption_changes(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know, and what is left out."""
    kinds = set(frame.loc[frame["n_questions"] > 0, "kind"])
    rows = "all questions" + ", each split" * ("group" in kinds) + ", each band of the base" * ("band" in kinds)
    every = frame[frame["kind"] == "all"]
    none = "No question of the base's step 0 is left out."
    left = " and ".join(f"{n} of {run}" for run, n in zip(every["run"], every["n_left_out"], strict=True) if n)
    return (
        f"Accuracy at each run's last probe less the base at step 0, paired by question: {rows} (questions in "
        "brackets). Bars: 95 % intervals over questions (Student's t), of one training run each. "
        + (f"Left out, not asked at the last probe: {left}." if left else none)
    )
