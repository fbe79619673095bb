"""Follow pass@k from probe to probe: small k says how often questions are answered, large k how many are at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift.analysis import style
from relift.analysis.questions.sampling import least_attempts, pass_at_k
from relift.analysis.runs.figure import Figure


def pass_at_k_over_steps(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Average pass@k at every probe for three k: 1, the largest that every question has attempts for, one between.

    One row per run, step and k, columns as `pass_at_k`. InputError as there.
    """
    top = least_attempts(trajectories)
    ks = sorted({1, int(2 ** round(np.log2(top) / 2)), top})
    return pass_at_k(trajectories, ks=ks)


def plot_pass_at_k_over_steps(frame: pd.DataFrame) -> Any:
    """Draw a panel per k, a line per run with its interval. Returns the Axes."""
    ks = sorted(frame["k"].unique())
    axes = style.panels(len(ks), height=2.0, share_y="all")
    styles = style.run_styles(frame["run"])
    with style.context():
        for one, k in zip(axes, ks, strict=True):
            style.draw_lines(one, frame[(frame["k"] == k).to_numpy()], styles, x="step", value="value")
            one.set_title(f"pass@{k}")
            one.set_ylim(0, 1.02)
            style.whole_steps(one)
        axes[0].set_ylabel("share of questions")
        style.legend_above(axes[0].figure, styles)
    return axes


def caption_pass_at_k_over_steps(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    return (
        f"Chance that at least one of k attempts is correct, over {style.count_range(frame['n_questions'])} questions "
        f"with {style.count_range(frame['n_attempts'])} attempts or more each. Shaded: 95 % intervals over questions. "
        "Where pass@1 rises and pass at large k falls, training sharpens what the base could do."
    )


PASS_OVER_STEPS = Figure(
    "pass_at_k_over_steps", "pass@k from probe to probe", "What is within reach",
    data=lambda loaded: pass_at_k_over_steps(loaded.probes), draw=plot_pass_at_k_over_steps,
    caption=caption_pass_at_k_over_steps,
)  # fmt: skip
