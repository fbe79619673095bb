"""Compare the settings of runs: what differs between their configurations, and what they share."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any

import pandas as pd

from relift.analysis.runs.read import Runs, open_runs
from relift.errors import ReliftError
from relift.run_record import as_json
from relift.store import RunReader

# of run.json, where no config.toml holds it: evaluations, and what was found out at the start
_RECORDED = ("model", "benchmarks", "decodings", "engine", "graders", "n_parameters")


def compare_settings(runs: Runs) -> pd.DataFrame:
    """Lay the settings of runs beside each other: one row per setting of any of them.

    Columns: setting ("rl.optimizer.lr"), differs, and one per run_id with its value as text, null where the run does
    not have the setting. Of config.toml, and of run.json what configurations do not hold ("recorded.…"). A folder whose
    config.toml cannot be read has the latter alone.
    """
    readers = open_runs(runs)
    columns = {reader.run_id: _settings(reader) for reader in readers}
    names = list(dict.fromkeys(name for settings in columns.values() for name in settings))
    rows = []
    for name in names:
        values = {run_id: settings.get(name) for run_id, settings in columns.items()}
        rows.append({"setting": name, "differs": len(set(values.values())) > 1, **values})
    return pd.DataFrame(rows, columns=["setting", "differs", *columns])


def _settings(reader: RunReader) -> dict[str, str]:
    try:
        settings = _flat(tomllib.loads(reader.config_toml))
    except (ReliftError, tomllib.TOMLDecodeError):  # an imported run has none, a damaged one is told of by the check
        settings = {}
    run = as_json(reader.run)
    recorded = {name: run[name] for name in _RECORDED if run.get(name)}
    return settings | _flat({"recorded": recorded})


def _flat(body: Mapping[str, Any], above: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in body.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = (
                value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
            )
    return found
