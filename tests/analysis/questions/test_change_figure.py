"""The figure of what training changed, on a frame of three rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from relift.analysis.questions.change_figure import caption_change, groups_of, plot_change

FRAME = pd.DataFrame(
    {
        "run_id": "a", "run": "a", "step": 9, "kind": ["all", "group", "band"], "group": ["all", "longer", "Easy"],
        "n_questions": [12, 2, 0], "n_left_out": [3, 0, 0], "base_accuracy": [0.5, 0.5, np.nan],
        "accuracy": [0.6, 0.25, np.nan], "difference": [0.1, -0.25, np.nan], "low": [-0.1, -1.0, np.nan],
        "high": [0.3, 1.0, np.nan],
    }
)  # fmt: skip


def test_a_panel_per_group_that_holds_questions_losses_included() -> None:
    assert groups_of(FRAME) == [("all", "all"), ("group", "longer")]
    panels = plot_change(FRAME)
    assert [axes.get_title() for axes in panels] == ["all questions (12)", "longer (2)"]
    low, high = panels[0].get_xlim()
    assert low <= -100 and high >= 100  # one scale, which holds the widest interval


def test_the_caption_says_what_is_left_out() -> None:
    assert "left out, because not asked at the last step: 3 of a" in caption_change(FRAME)
    assert "left out" not in caption_change(FRAME.assign(n_left_out=0))
