"""Cells of two runs: who reached, who lost, and what chance gives; by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from relift.analysis.questions.cells import count_cells, pair_cells, plot_cells
from relift.errors import InputError


def rows(run: str, step: int, counts: dict[str, tuple[int, int]], *, draw: int = 0) -> pd.DataFrame:
    """Trajectory rows: correct and decided attempts by question."""
    return pd.DataFrame(
        {
            "run_id": run, "run": run, "origin": "probe", "draw": draw, "step": step, "question_id": list(counts),
            "n_correct": [c for c, _ in counts.values()], "n_attempts": [n for _, n in counts.values()],
            "n_undecided": 0,
        }
    )  # fmt: skip


def world() -> pd.DataFrame:
    start = {"kept": (1, 2), "lost_a": (2, 2), "new_b": (0, 2), "never": (0, 2)}
    a = {"kept": (2, 2), "lost_a": (0, 2), "new_b": (0, 2), "never": (0, 2)}
    b = {"kept": (1, 2), "lost_a": (2, 2), "new_b": (1, 2), "never": (0, 2)}
    return pd.concat([rows("base", 0, start), rows("a", 5, a), rows("b", 5, b)], ignore_index=True)


def cells_of(frame: pd.DataFrame) -> dict[str, str]:
    return dict(zip(frame["question_id"], frame["cell"], strict=True))


def test_each_question_is_in_the_cell_of_what_happened() -> None:
    assert cells_of(pair_cells(world(), a="a", b="b", base="base")) == {
        "kept": "kept by both", "lost_a": "lost only by a", "new_b": "reached only by b", "never": "reached by neither",
    }  # fmt: skip


def test_mostly_asks_for_more_than_half() -> None:
    # kept: base 1 of 2 and b 1 of 2 are not more than half, a 2 of 2 is: reached only by a
    cells = cells_of(pair_cells(world(), a="a", b="b", base="base", rule="mostly"))
    assert cells["kept"] == "reached only by a"
    assert cells["lost_a"] == "lost only by a"


def test_chance_deals_the_correct_attempts_among_both_runs() -> None:
    # lost_a: 2 correct among 2 + 2 attempts. All with a: C(2,2)/C(4,2) = 1/6; all with b the same; else both solve.
    # new_b: 1 correct: with a or with b, 1/2 each. kept: 3 correct: each side has at least one.
    pairs = pair_cells(world(), a="a", b="b", base="base").set_index("question_id")
    names = ["chance_both", "chance_only_a", "chance_only_b", "chance_neither"]
    np.testing.assert_allclose(pairs.loc["lost_a", names].astype(float), [4 / 6, 1 / 6, 1 / 6, 0])
    np.testing.assert_allclose(pairs.loc["new_b", names].astype(float), [0, 0.5, 0.5, 0])
    np.testing.assert_allclose(pairs.loc["kept", names].astype(float), [1, 0, 0, 0])
    counted = count_cells(pairs.reset_index()).set_index("cell")
    assert counted["count"].to_dict()["lost only by a"] == 1
    assert counted.loc["lost only by a", "expected"] == pytest.approx(1 / 6)
    assert counted.loc["kept by both", "expected"] == pytest.approx(1 + 4 / 6)
    assert counted["count"].sum() == counted["n_questions"].iloc[0] == 4


def test_later_draws_do_not_count() -> None:
    # a second draw of the base solves new_b: with twice the attempts "at least once" would be easier at the start
    more = pd.concat([world(), rows("base", 0, {"new_b": (2, 2)}, draw=1)], ignore_index=True)
    assert cells_of(pair_cells(more, a="a", b="b", base="base"))["new_b"] == "reached only by b"


def test_nothing_decided_has_no_cell() -> None:
    frame = world()
    frame.loc[(frame["run_id"] == "a") & (frame["question_id"] == "never"), "n_undecided"] = 2
    pairs = pair_cells(frame, a="a", b="b", base="base")
    assert cells_of(pairs)["never"] is None
    assert count_cells(pairs)["n_questions"].iloc[0] == 3


def test_runs_without_a_common_start_are_refused() -> None:
    frame = world()
    frame.loc[frame["run_id"] == "base", "question_id"] = ["w", "x", "y", "z"]
    with pytest.raises(InputError, match="no question at step 0"):
        pair_cells(frame, a="a", b="b", base="base")


def test_the_figure_shows_every_count() -> None:
    counts = count_cells(pair_cells(world(), a="a", b="b", base="base"))
    axes = plot_cells(counts, a="$x", b="sft")
    texts = [text.get_text() for text in axes.texts]
    assert texts.count("1") == 4
    assert [label.get_text() for label in axes.get_xticklabels()] == ["both", "only $x", "only sft", "neither"]
