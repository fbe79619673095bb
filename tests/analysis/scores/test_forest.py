import pandas as pd
import pytest

from relift.analysis import plot_scores, scores_of_last_step
from relift.errors import InputError


def score(benchmark: str, value: float, **columns: object) -> dict[str, object]:
    row = {"run_id": "rl-1", "run": "rl", "step": 5, "benchmark": benchmark, "metric": "avg", "parameter": 8.0,
           "estimand": "questions like these", "value": value, "ci_low": value - 0.1, "ci_high": value + 0.1,
           "n_questions": 30, "n_attempts": 240}  # fmt: skip
    return row | columns


def test_the_last_step_and_the_largest_k_are_shown() -> None:
    frame = pd.DataFrame(
        [
            score("macro_all", 0.3),
            score("aime24", 0.1, step=0),
            score("aime24", 0.2, parameter=1.0),
            score("aime24", 0.3),
            score("aime24", 0.9, metric="pass"),
            score("aime24", 0.8, estimand="these questions"),
            score("amc", 0.6, run_id="sft-1", run="sft", step=0),
        ]
    )
    shown = scores_of_last_step(frame)
    assert shown[["run", "benchmark", "value"]].to_numpy().tolist() == [
        ["rl", "macro_all", 0.3], ["rl", "aime24", 0.3], ["sft", "amc", 0.6],
    ]  # fmt: skip
    axes = plot_scores(shown)
    # means of several benchmarks stand last
    assert [text.get_text() for text in axes.get_yticklabels()] == ["aime24 (30)", "amc (30)", "macro_all (30)"]
    with pytest.raises(InputError, match="no score with metric maj"):
        scores_of_last_step(frame, metric="maj")
