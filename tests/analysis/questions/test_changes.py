import numpy as np
import pandas as pd

from relift.analysis import caption_changes, plot_changes
from relift.analysis.questions.changes import groups_of

FRAME = pd.DataFrame(
    {
        "run_id": "a", "run": "a", "step": 9, "kind": ["all", "group", "band"], "group": ["all", "longer", "Easy"],
        "n_questions": [12, 2, 0], "n_left_out": [3, 0, 0], "base_accuracy": [0.5, 0.5, np.nan],
        "accuracy": [0.6, 0.25, np.nan], "difference": [0.1, -0.25, np.nan], "low": [-0.1, -1.0, np.nan],
        "high": [0.3, 1.0, np.nan],
    }
)  # fmt: skip


def test_a_row_per_group_that_holds_questions_losses_included() -> None:
    assert groups_of(FRAME) == [("all", "all"), ("group", "longer")]
    axes = plot_changes(FRAME)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all questions (12)", "longer (2)"]
    low, high = axes.get_xlim()
    assert low <= -100 and high >= 30  # one scale, which holds the widest interval


def test_the_caption_says_what_is_left_out() -> None:
    assert "Left out, not asked at the last probe: 3 of a." in caption_changes(FRAME)
    assert "No question of the base's step 0 is left out." in caption_changes(FRAME.assign(n_left_out=0))
