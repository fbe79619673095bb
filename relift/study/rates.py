"""Choose learning rates from a sweep on development questions, by a rule stated beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from relift import analysis
from relift.demo.methods import status_of
from relift.study.grid import swept_runs
from relift.study.spec import CONTROL, Study

RULE = (
    "the factor on a method's learning rates with the highest mean accuracy on the development questions at the last "
    "step, over the sweep's bases and seeds; of equal ones the smallest; a factor with a run that failed is out"
)


def sweep_table(study: Study, out: Path) -> pd.DataFrame:
    """Measure the runs of the sweep that are done: one row per run; columns method, factor, base, seed, accuracy."""
    rows = []
    for run in swept_runs(study, out):
        if status_of(run.folder) == "done":
            probes = analysis.read_trajectories(run.folder, origin="probe")
            last = probes[(probes["step"] == probes["step"].max()).to_numpy()]
            correct, decided = last["n_correct"].sum(), (last["n_attempts"] - last["n_undecided"]).sum()
            rows.append((run.method, run.factor, run.base, run.seed, float(correct / decided)))
    return pd.DataFrame(rows, columns=["method", "factor", "base", "seed", "accuracy"])


def choose(swept: pd.DataFrame, method: str, *, n_runs: int) -> float | None:
    """Choose the factor of a method by RULE; None where no factor has all its `n_runs`."""
    own = swept[swept["method"] == method].groupby("factor")["accuracy"].agg(["mean", "size"])
    whole = own[own["size"] == n_runs]["mean"].sort_index()
    return None if whole.empty else float(whole.index[int(whole.to_numpy().argmax())])


def chosen_factors(study: Study, swept: pd.DataFrame) -> dict[str, float | None]:
    """Choose for every method that is swept."""
    if study.sweep is None:
        return {}
    n_runs = len(study.sweep.seeds) * (len(study.sweep.bases) or 1)
    return {method: choose(swept, method, n_runs=n_runs) for method in study.swept}


def factors_of(study: Study, method: str, chosen: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the factor of each part's learning rate of a method; none without a sweep, and of the control."""
    if study.sweep is None or method == CONTROL:
        return {}
    return {part: chosen[of] for part, of in study.methods[method].rates(method).items() if of != CONTROL}
