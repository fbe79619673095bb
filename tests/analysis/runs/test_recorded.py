from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from relift.analysis import MissingColumn, recorded_columns, table_sizes
from relift.analysis.runs.recorded import require_column
from tests.synthetic import write_run


def test_what_was_recorded_is_counted(tmp_path: Path) -> None:
    run = tmp_path / "rl"
    write_run(run, n_questions=80, n_steps=8, learn=0.8, seed=3, probe_every=4, demos_per_step=4)
    found = recorded_columns(run).set_index(["table", "column"])
    # the newest files: 80 x 8 answers of the last probe, 32 x 8 rollouts
    assert found.loc[("attempts", "mean_entropy"), "n_recorded"] == 640 + 256
    assert found.loc[("attempts", "sum_logprob_base"), "n_recorded"] == 0
    assert "probe.score_base" in found.loc[("attempts", "sum_logprob_base"), "how"]
    sizes = table_sizes(run).set_index("table")
    assert sizes.loc["updates", "files"] == 8 and (sizes["bytes"] > 0).all() and "scores" not in sizes.index


def test_what_is_missing_is_said_with_what_records_it() -> None:
    rows = pd.DataFrame({"sum_logprob": [None, None]})
    with pytest.raises(MissingColumn, match="attempts.sum_logprob was not recorded: the torch engine records it"):
        require_column(rows, "sum_logprob", table="attempts")
    with pytest.raises(MissingColumn, match="training with probe.score_base"):
        require_column(rows, "sum_logprob_base", table="attempts")
    require_column(rows.head(0), "sum_logprob", table="attempts")  # nothing was asked: nothing is missing
