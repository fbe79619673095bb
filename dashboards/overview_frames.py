"""The frames of the Overview: those of the catalogue, and of runs too large for rows the same functions on counts."""

from __future__ import annotations

import pandas as pd

from relift.analysis.alerts import find_alerts, last_health
from relift.analysis.catalogue import FIGURES
from relift.analysis.headline import change_from_base
from relift.analysis.loaded import Loaded
from relift.dashboards.made import Made, Missing, compute, make
from relift.dashboards.runs import Choice
from relift.errors import InputError

COSTS = {
    "rl_updates": "RL updates", "sft_updates": "SFT updates", "demonstrations": "demonstrations",
    "distinct_demonstrations": "distinct", "generated_tokens": "tokens generated",
    "trained_tokens": "tokens trained on", "wall_seconds": "seconds",
}  # fmt: skip


def change(choice: Choice) -> Made | Missing:
    """Each run's last probe less the base, paired (of `change_from_base`)."""
    return compute("change", choice, _change)


def _change(loaded: Loaded) -> pd.DataFrame:
    return change_from_base(loaded.probes, loaded.bands, measure_draw=loaded.measure_draw)


def band_accuracy(choice: Choice) -> Made | Missing:
    """F1."""
    return make("f01_band_accuracy", choice)


def reach_counts(choice: Choice) -> Made | Missing:
    """F17, bars."""
    return make("f17_reach", choice)


def reach_accuracy(choice: Choice) -> Made | Missing:
    """F17, curves."""
    return make("f17_reach_accuracy", choice)


def alerts(loaded: Loaded) -> pd.DataFrame:
    """What asks for a look (of `find_alerts`), of what the runs have: each part alone can be missing."""
    parts: dict[str, pd.DataFrame | None] = {}
    for name in ("f04_dynamics", "f14_buffer"):
        try:
            parts[name] = FIGURES[name].data(loaded)
        except InputError:
            parts[name] = None
    try:
        health = last_health(loaded.trajectories)
    except InputError:
        health = None
    dynamics = parts["f04_dynamics"]
    empty = pd.DataFrame(columns=["run_id", "run", "step"])
    return find_alerts(empty if dynamics is None else dynamics, health=health, buffer=parts["f14_buffer"])


def costs(loaded: Loaded) -> pd.DataFrame:
    """One row per run: what it had used at its last checkpoint, under the names of COSTS."""
    last = loaded.checkpoints.sort_values("step").groupby("run_id", observed=True, sort=False).tail(1)
    frame = last[["run_id", "run", *COSTS]].astype({"run_id": object, "run": object}).rename(columns=COSTS)
    return frame.assign(seconds=frame["seconds"].round())
