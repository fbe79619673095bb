"""Compare methods on the same questions over their training seeds, seed by seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from relift.analysis.questions.seeds import over_seeds
from relift.analysis.runs.methods import read_methods
from relift.analysis.scores.counts import Run, open_run
from relift.analysis.scores.paired import compare_scores

COLUMNS = ("a", "b", "benchmark", "n_seeds", "seeds", "n_questions", "difference", "low", "high", "values")


def compare_over_seeds(
    runs: Sequence[Run], *, steps: Sequence[int | None] | None = None, origin: str | None = None, force: bool = False
) -> pd.DataFrame:
    """Compare each method with that of the first run, seed by seed: one row per method and benchmark (or split).

    Columns: a, b (the first run's method), benchmark, n_seeds, seeds (as text), n_questions (least of the seeds),
    difference (mean over seeds of a - b, paired by question in each), low, high (95 %, Student's t over seeds),
    values (each seed's, in points, as text). Methods that share fewer than two seeds with b have no row. `steps`,
    `origin`, `force` and errors as `compare_with_baseline`.
    """
    readers = [open_run(run) for run in runs]
    distinct = {reader.run_id: reader for reader in readers}
    methods = read_methods(*(reader.folder for reader in distinct.values()))
    method_of = dict(zip(methods["run_id"].astype(str), methods["method"].astype(str), strict=True))
    at = dict(zip([reader.run_id for reader in readers], steps or [None] * len(readers), strict=True))
    first = method_of[readers[0].run_id]
    by_seed: dict[str, dict[int, str]] = {}
    seeded = methods.dropna(subset="seed")
    for run_id, seed in zip(seeded["run_id"].astype(str), seeded["seed"].astype(int), strict=True):
        by_seed.setdefault(method_of[run_id], {})[seed] = run_id
    rows: list[dict[str, Any]] = []
    for method, own in by_seed.items():
        shared = sorted(set(own) & set(by_seed.get(first, {})))
        if method == first or len(shared) < 2:
            continue
        found = []
        for seed in shared:
            a, b = own[seed], by_seed[first][seed]
            one = compare_scores(
                distinct[a].folder, distinct[b].folder, step_a=at[a], step_b=at[b], origin=origin, force=force
            )
            found.append(one.frame.assign(seed=seed))
        for benchmark, each in pd.concat(found).groupby("benchmark", sort=False):
            if len(each) < 2:
                continue
            mean = over_seeds(each["difference"].to_numpy(float))
            rows.append(
                {
                    "a": method, "b": first, "benchmark": benchmark, "n_seeds": len(each),
                    "seeds": ", ".join(map(str, each["seed"])), "n_questions": int(each["n_questions"].min()),
                    "difference": mean["mean"], "low": mean["low"], "high": mean["high"],
                    "values": ", ".join(f"{100 * value:+.1f}" for value in each["difference"]),
                }
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
