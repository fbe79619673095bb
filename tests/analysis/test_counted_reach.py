"""`counted_reach` is `reach_counts` without rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from relift import stats
from relift.analysis import reach_counts, read_trajectories
from relift.analysis.questions.counted_reach import counted_reach
from relift.analysis.runs.counts import read_counts
from relift.errors import InputError
from tests.synthetic import write_run


def test_it_equals_the_rows_way(tmp_path: Path) -> None:
    write_run(tmp_path / "base", n_questions=150, n_steps=0, learn=0.0, seed=1, name="base")
    write_run(tmp_path / "rl", n_questions=150, n_steps=4, learn=0.7, seed=2, probe_every=4)
    folders = [tmp_path / "base", tmp_path / "rl"]
    rows = reach_counts(read_trajectories(folders), base="base-1")
    found = counted_reach(read_counts(folders), base_id="base-1")
    pd.testing.assert_frame_equal(found, rows, check_dtype=False)
    assert list(found["count"].groupby(found["run_id"], sort=False).sum()) == [150, 150]


def test_a_run_is_its_own_base(tmp_path: Path) -> None:
    write_run(tmp_path / "rl", n_questions=60, n_steps=4, learn=0.7, seed=2, probe_every=2)
    rows = reach_counts(read_trajectories([tmp_path / "rl"]), base="rl-2")
    found = counted_reach(read_counts([tmp_path / "rl"], steps=(0, 4)), base_id="rl-2")
    pd.testing.assert_frame_equal(found, rows, check_dtype=False)
    with pytest.raises(InputError, match="no probe at step 0"):
        counted_reach(read_counts([tmp_path / "rl"], steps=(4,)), base_id="rl-2")


def test_top_ups_are_in_posteriors_and_not_in_the_prior(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "base", n_questions=40, n_steps=0, learn=0.0, seed=1, name="base", base_draws=3)
    fitted: list[set[int]] = []
    fit = stats.beta_binomial_fit

    def noting(n_correct: stats.Ints, n_decided: stats.Ints) -> stats.BetaPrior:
        fitted.append(set(n_decided.tolist()))
        return fit(n_correct, n_decided)

    monkeypatch.setattr(stats, "beta_binomial_fit", noting)
    found = counted_reach(read_counts([tmp_path / "base"]), base_id="base-1")
    assert fitted == [{16}]  # draws 0 and 1, of 8 attempts each
    assert set(found["n_attempts"]) == {"24"}
