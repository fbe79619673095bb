"""Draw each run's difference from the base, a panel per group of questions, losses beside gains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift.analysis import style


def groups_of(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """List (kind, group) of a frame of `difference_from_base` in its order, those without a question left out."""
    held = frame[frame["n_questions"] > 0]
    return [(str(kind), str(group)) for kind, group in held[["kind", "group"]].drop_duplicates().to_numpy()]


def plot_change(frame: pd.DataFrame) -> Any:
    """Draw a panel per group: a row per run, its difference in points with its interval, a line at none.

    `frame` of `difference_from_base`. Returns the Axes, one per group.
    """
    groups = groups_of(frame)
    styles = style.run_styles(frame["run"])
    panels = style.panels(len(groups), height=0.55 + 0.16 * len(styles), per_row=3)
    ends = 100 * frame[["low", "high", "difference"]].to_numpy(float)
    limits = (min(0.0, float(np.nanmin(ends))) - 2, max(0.0, float(np.nanmax(ends))) + 2)
    with style.context():
        for axes, (kind, group) in zip(panels, groups, strict=True):
            rows = frame[((frame["kind"] == kind) & (frame["group"] == group)).to_numpy()].set_index("run")
            for place, (run, look) in enumerate(styles.items()):
                if run not in rows.index or not rows.at[run, "n_questions"]:
                    continue
                row = 100 * rows.loc[run, ["difference", "low", "high"]].astype(float)
                axes.hlines(place, row["low"], row["high"], color=look.colour)
                axes.plot(row["difference"], place, color=look.colour, marker=look.marker)
            axes.axvline(0, color="black", linewidth=0.5)
            axes.set_yticks(range(len(styles)), [look.label for look in styles.values()])
            axes.invert_yaxis()
            axes.set_xlim(*limits)
            name = "all questions" if kind == "all" else group
            axes.set_title(f"{name} ({int(rows['n_questions'].max())})", parse_math=False)
            axes.set_xlabel("points")
    return panels


def caption_change(frame: pd.DataFrame) -> str:
    """Say what the panels show, and what is left out."""
    every = frame[frame["kind"] == "all"]
    left_out = {str(run): int(n) for run, n in zip(every["run"], every["n_left_out"], strict=True) if n}
    said = ", ".join(f"{n:,} of {run}" for run, n in left_out.items())
    said = f"; left out, because not asked at the last step: {said}" if said else ""
    return (
        "Accuracy at each run's last step less the base's at step 0, in points, paired by question; 95 % intervals "
        "over questions (Student's t, cut at what is possible). One training run each: the spread between seeds is "
        f"not in it. In brackets the number of questions{said}."
    )
