"""Group runs by method and seed: runs of one recipe and configuration that differ in their seed alone."""

from __future__ import annotations

import pandas as pd

from relift.analysis.runs.read import Runs, label_of, open_runs
from relift.schema import RunKind
from relift.store import RunReader


def read_methods(*runs: Runs) -> pd.DataFrame:
    """Read the method and the seed of each run: run_id, run, method, seed (null where a run has none).

    Runs are of one method if their recipe and configuration are the same apart from the seed. It is called by the name
    that its runs share, else by its recipe, with a hash where several are called so. A run that was not trained (an
    evaluation, a probed base) is a method of its own.
    """
    readers = open_runs(runs)
    rows = [(r.run_id, label_of(r), r.run.recipe or label_of(r), _key(r)) for r in readers]
    frame = pd.DataFrame(rows, columns=["run_id", "run", "recipe", "key"])
    frame["seed"] = pd.Series([r.run.seed for r in readers], dtype="Int64")
    name_of = {
        str(key): str(own["run"].iloc[0] if own["run"].nunique() == 1 else own["recipe"].iloc[0])
        for key, own in frame.groupby("key", sort=False)
    }
    names = list(name_of.values())
    method_of = {key: name if names.count(name) == 1 else f"{name} ({key[-8:]})" for key, name in name_of.items()}
    return frame.assign(method=frame["key"].map(method_of))[["run_id", "run", "method", "seed"]]


def _key(reader: RunReader) -> str:
    """Identify the method: the record's, which leaves out the seed; of a run that was not trained its run_id."""
    trained = reader.run.kind is RunKind.train and (reader.committed_step or 0) > 0
    return reader.run.method if trained else reader.run_id
