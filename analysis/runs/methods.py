"""Group runs by method and seed: runs of one recipe and configuration that differ in their seed alone."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pandas as pd

from relift.analysis.runs.read import Runs, label_of, open_runs
from relift.store import RunReader

# What may differ between two seeds of one method: the seed, and how the run was watched, which changes nothing in it.
_FREE = ("seed", "probe.")


def read_methods(*runs: Runs) -> pd.DataFrame:
    """Read the method and the seed of each run: run_id, run, method, seed (null where a run has none).

    Runs are of one method if their recipe, model, data and configuration are the same apart from the seed and from the
    probes. It is called by the name that its runs share, else by its recipe, with a few digits where several are called
    so. A run that was not trained (an evaluation, a probed base) is a method of its own.
    """
    readers = open_runs(runs)
    rows = [(r.run_id, label_of(r), str(r.run_json.get("recipe") or label_of(r)), _key(r)) for r in readers]
    frame = pd.DataFrame(rows, columns=["run_id", "run", "recipe", "key"])
    frame["seed"] = pd.array([_seed(r.run_json) for r in readers], dtype="Int64")
    frame["key"] = frame["key"].fillna(frame["run_id"])
    name_of = {
        key: str(own["run"].iloc[0] if own["run"].nunique() == 1 else own["recipe"].iloc[0])
        for key, own in frame.groupby("key", sort=False)
    }
    names = list(name_of.values())
    method_of = {key: name if names.count(name) == 1 else f"{name} ({str(key)[:6]})" for key, name in name_of.items()}
    return frame.assign(method=frame["key"].map(method_of))[["run_id", "run", "method", "seed"]]


def _key(reader: RunReader) -> str | None:
    """Hash all that makes the method; None of a run that was not trained."""
    identity = reader.run_json.get("identity")
    trained = reader.committed_step and reader.run_json.get("recipe")
    if not trained or not isinstance(identity, dict) or not isinstance(identity.get("config"), dict):
        return None
    config = {name: value for name, value in identity["config"].items() if not name.startswith(_FREE)}
    kept = {name: value for name, value in identity.items() if name not in ("config", "probe", "seed")}
    text = json.dumps([config, kept], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _seed(run_json: dict[str, Any]) -> int | None:
    seed = run_json.get("seed")
    return seed if isinstance(seed, int) else None
