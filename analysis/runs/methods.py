"""Group runs by method and seed: runs of one recipe and configuration that differ in their seed alone."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from relift.analysis.runs.read import Runs, label_of, open_runs
from relift.schema import RunKind
from relift.store import RunReader


def read_methods(*runs: Runs) -> pd.DataFrame:
    """Read the method and the seed of each run: run_id, run, method, seed (null where a run has none).

    Runs are of one method if their recipe and configuration are the same apart from the seed and the probes. Where a
    seed occurs twice among these, their names tell methods apart (two lengths of one recipe, say), and runs of one
    seed and name stand alone. A method is called by the name that its runs share, else by its recipe, with a hash or a
    run_id where several are called so. Evaluations are each a method, bases that were only probed those of one name.
    """
    readers = open_runs(runs)
    rows = [(r.run_id, label_of(r), r.run.recipe or label_of(r), _key(r), r.run.seed) for r in readers]
    frame = pd.DataFrame(rows, columns=["run_id", "run", "recipe", "key", "seed"])
    frame["seed"] = frame["seed"].astype("Int64")
    for more in ("run", "run_id"):
        twice = frame.duplicated(["key", "seed"], keep=False).groupby(frame["key"]).transform("any")
        frame["key"] = frame["key"].where(~twice, frame["key"] + "\0" + frame[more].astype(str))
    name_of = {
        str(key): str(own["run"].iloc[0] if own["run"].nunique() == 1 else own["recipe"].iloc[0])
        for key, own in frame.groupby("key", sort=False)
    }
    names = list(name_of.values())
    method_of = {key: name if names.count(name) == 1 else f"{name} ({_hash(key)})" for key, name in name_of.items()}
    return frame.assign(method=frame["key"].map(method_of))[["run_id", "run", "method", "seed"]]


def _hash(key: str) -> str:
    """Shorten a key of `_key` to what tells it from the others: eight characters of its hash, and what follows."""
    first, *more = key.split("\0")
    return " ".join([first[-8:], *more[1:]])


def _key(reader: RunReader) -> str:
    """Identify the method: the record's, which leaves out the seed; of a run that is no training its run_id.

    A run that recorded no configuration, as imported ones, is of one method with those of its name alone.
    """
    if reader.run.kind is not RunKind.train:
        return reader.run_id
    if not reader.committed_step:
        return f"{reader.run.method}\0not trained\0{label_of(reader)}"
    configured = isinstance(reader.run.identity.get("config"), Mapping)
    return reader.run.method if configured else f"{reader.run.method}\0{label_of(reader)}"
