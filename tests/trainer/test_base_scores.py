"""Probe answers and demonstrations are scored under the base model, in a real run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relift.grading import SCORERS
from relift.learner.learner import Learner
from relift.store import RunReader, check_run
from relift.trainer.base_scores import score_demonstrations
from relift.trainer.loop import train
from relift.trainer.setup import open_run
from tests.resume.harness import config_of, lay_inputs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = SCORERS["exact"]
    yield lay_inputs(tmp_path_factory.mktemp("inputs"))
    SCORERS["exact"] = before


def trained(inputs: Path, folder: Path, **changes: Any) -> RunReader:
    with open_run(config_of(inputs, steps=4, **changes), folder) as run:
        train(run)
    assert check_run(folder).problems == []
    return RunReader(folder)


def test_the_policy_moves_away_from_the_base(inputs: Path, tmp_path: Path) -> None:
    """At step 0 policy and base are one model, sampler against learner; after four steps they are not."""
    reader = trained(inputs, tmp_path / "run", data={"score_base": True}, probe={"every": 2})
    kl = reader.read("checkpoints").set_index("step")["kl_to_base"]
    assert abs(kl[0]) < 1e-6 and kl[4] > 1e-4
    probes = reader.read("attempts", origin="probe")
    gap = (probes["sum_logprob"] - probes["sum_logprob_base"]).groupby(probes["step"]).sum()
    tokens = probes.groupby("step")["n_tokens"].sum()
    np.testing.assert_allclose(kl.dropna(), (gap / tokens)[kl.dropna().index], rtol=1e-9, atol=1e-12)
    assert reader.read("attempts", origin="rollout")["sum_logprob_base"].isna().all()
    demos = reader.read("demonstrations")
    with open_run(config_of(inputs, steps=0), tmp_path / "other") as run:
        assert isinstance(run.learner, Learner)
        expected = pd.Series(score_demonstrations(run.learner, run.demos))
    np.testing.assert_allclose(demos.set_index("demo_id")["sum_logprob_base"].sort_index(), expected.sort_index())


def test_scoring_changes_nothing_that_is_trained(inputs: Path, tmp_path: Path) -> None:
    with_scores = trained(inputs, tmp_path / "on")
    without = trained(inputs, tmp_path / "off", probe={"score_base": False})
    columns = ["step", "question_ix", "attempt", "verdict", "n_tokens", "sum_logprob", "advantage"]
    pd.testing.assert_frame_equal(
        with_scores.read("attempts", columns=columns), without.read("attempts", columns=columns), check_exact=True
    )
    assert without.read("checkpoints")["kl_to_base"].isna().all()
