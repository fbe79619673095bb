"""How fast training went: tokens and seconds between checkpoints."""

from __future__ import annotations

import pandas as pd

from relift import stats
from relift.analysis.runs.panel import with_labels
from relift.errors import InputError

TOTALS = ("generated_tokens", "trained_tokens", "rl_updates", "sft_updates", "wall_seconds")


def throughput(checkpoints: pd.DataFrame) -> pd.DataFrame:
    """One row per run and checkpoint after its first: what came since the one before.

    Columns run_id, run, step, step_before, and of TOTALS the increase; generated_per_second, trained_per_second
    (tokens), seconds_per_step. Null where no time passed. InputError where no run has two checkpoints.
    """
    rows = with_labels(checkpoints).sort_values(["run_id", "step"], kind="stable")
    grouped = rows.groupby("run_id", sort=False)
    since = rows[["run_id", "run", "step"]].assign(step_before=grouped["step"].shift())
    for name in TOTALS:
        since[name] = rows[name].astype(float) - grouped[name].shift().astype(float)
    since = since.dropna(subset="step_before").reset_index(drop=True)
    if since.empty:
        raise InputError("no run has two checkpoints: nothing tells how fast it went")
    since["step_before"] = since["step_before"].astype("int64")
    seconds = since["wall_seconds"]
    since["generated_per_second"] = stats.rate(since["generated_tokens"], seconds)
    since["trained_per_second"] = stats.rate(since["trained_tokens"], seconds)
    since["seconds_per_step"] = stats.rate(seconds, since["step"] - since["step_before"])
    return since
