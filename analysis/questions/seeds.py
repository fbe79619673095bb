"""Compare methods over training seeds: means with between-seed intervals, and how much each source varies.

An interval over questions says how sure two checkpoints differ. Another seed of the same method gives another
checkpoint, so what is said of a method rests on its seeds alone. Axes: S seeds, Q questions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from relift import stats
from relift.analysis.questions.compare import compare_runs
from relift.analysis.runs.panel import base_id_of
from relift.errors import InputError

LEVEL = 0.95


def over_seeds(value_S: stats.Floats) -> dict[str, float]:
    """Compute mean, low, high (95 %, Student's t over seeds) and sd of one number per seed.

    Null ends of one seed, and of seeds that are all equal: what does not vary says nothing of how far others would.
    """
    values = np.asarray(value_S, float)
    n = len(values)
    mean, sd = float(values.mean()), float(values.std(ddof=1)) if n > 1 else np.nan
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * sd / np.sqrt(n) if sd > 1e-12 else np.nan
    return {"mean": mean, "low": mean - half, "high": mean + half, "sd_seed": sd}


def methods_from_base(differences: pd.DataFrame, methods: pd.DataFrame) -> pd.DataFrame:
    """Average each method's difference from the base over its seeds: one row per method, kind and group.

    `differences` of `difference_from_base`, `methods` of `read_methods`. Columns: method, kind, group, n_seeds, seeds
    (as text), step (of the seeds, as text), n_questions (least of the seeds), mean, low, high (95 %, Student's t over
    seeds, cut at -1 and 1; null of one seed), sd_seed, least, most, values (the single seeds, in points, as text).
    """
    rows = differences.merge(methods[["run_id", "method", "seed"]], on="run_id", how="left")
    rows["method"] = rows["method"].fillna(rows["run"])
    found = []
    for (method, kind, group), own in rows.groupby(["method", "kind", "group"], sort=False):
        own = own[own["n_questions"] > 0].sort_values("seed")
        if own.empty:
            continue
        value_S = own["difference"].to_numpy(float)
        mean = over_seeds(value_S)
        found.append(
            {
                "method": method, "kind": kind, "group": group, "n_seeds": len(own),
                "seeds": _joined("?" if pd.isna(s) else s for s in own["seed"]),
                "step": _joined(sorted(set(own["step"]))),
                "n_questions": int(own["n_questions"].min()), **mean,
                "low": float(np.clip(mean["low"], -1, 1)), "high": float(np.clip(mean["high"], -1, 1)),
                "least": float(value_S.min()), "most": float(value_S.max()),
                "values": _joined(f"{100 * value:+.1f}" for value in value_S),
            }
        )  # fmt: skip
    if not found:
        raise InputError("no run has a difference from the base: nothing can be averaged over seeds")
    return pd.DataFrame(found)


def _joined(parts: Any) -> str:
    return ", ".join(str(part) for part in parts)


def compare_methods(from_base: pd.DataFrame, *, a: str, b: str, group: str = "all") -> dict[str, Any]:
    """Compare two methods of `methods_from_base` by their seeds: difference of means, low, high, p_value (Welch's t).

    With one seed on a side the ends and p_value are null: two checkpoints were compared, not two methods. InputError
    if a method or the group is unknown.
    """
    sides = []
    for name in (a, b):
        row = from_base[(from_base["method"] == name) & (from_base["group"] == group)]
        if row.empty:
            known = ", ".join(from_base["method"].unique())
            raise InputError(f"no method {name!r} with group {group!r}; there are {known}")
        sides.append(row.iloc[0])
    difference = float(sides[0]["mean"] - sides[1]["mean"])
    n = [int(side["n_seeds"]) for side in sides]
    result: dict[str, Any] = {"a": a, "b": b, "n_seeds_a": n[0], "n_seeds_b": n[1], "difference": difference}
    if min(n) < 2:
        return {**result, "low": np.nan, "high": np.nan, "p_value": np.nan}
    part = [float(side["sd_seed"]) ** 2 / count for side, count in zip(sides, n, strict=True)]
    error = float(np.sqrt(sum(part)))
    if error == 0:
        return {**result, "low": np.nan, "high": np.nan, "p_value": np.nan}
    freedom = sum(part) ** 2 / sum(p**2 / (count - 1) for p, count in zip(part, n, strict=True))
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    p_value = float(2 * stdtr(freedom, -abs(difference) / error))
    return {**result, "low": difference - half, "high": difference + half, "p_value": p_value}


def variance_split(trajectories: pd.DataFrame, methods: pd.DataFrame, *, base: str | None = None) -> pd.DataFrame:
    """Split the variance of each method's difference from the base by source: one row per method.

    Standard deviations, in accuracy, of the mean difference of one run: sd_question (other questions like these),
    sd_draw (other attempts of the run at these questions), sd_seed (another training seed; the spread between seeds
    less what draws make of it, at least 0, null of one seed). Over the questions that the base's step 0 and the last
    probes of all its seeds share. n_seeds, n_questions.
    """
    base_id = base_id_of(trajectories, base)
    start = trajectories[((trajectories["run_id"] == base_id) & (trajectories["step"] == 0)).to_numpy()]
    later = trajectories[(trajectories["step"] > 0).to_numpy()]
    rows = []
    for method, own in methods.groupby("method", sort=False):
        ids = [run_id for run_id in own["run_id"] if (later["run_id"] == run_id).any()]
        if not ids:
            continue
        pairs = [
            compare_runs(
                pd.concat([start.assign(run_id="the base"), later[(later["run_id"] == run_id).to_numpy()]]),
                a=run_id, b="the base",
            ).set_index("question_id")
            for run_id in ids
        ]  # fmt: skip
        shared = set.intersection(*(set(p.index[p["difference"].notna()]) for p in pairs))
        if len(shared) < 2:
            continue
        pairs = [p.loc[sorted(shared)] for p in pairs]
        difference_SQ = np.stack([p["difference"].to_numpy(float) for p in pairs])
        rate_SQ = np.stack([p["rate_a"].to_numpy(float) for p in pairs])
        n_SQ = np.stack([p["n_decided_a"].to_numpy(float) for p in pairs])
        n_questions = difference_SQ.shape[1]
        noise_SQ = np.where(n_SQ > 1, rate_SQ * (1 - rate_SQ) / np.maximum(n_SQ - 1, 1), 0.25)
        draw = float(noise_SQ.sum(axis=1).mean()) / n_questions**2
        question = float(difference_SQ.mean(axis=0).var(ddof=1)) / n_questions
        between = float(difference_SQ.mean(axis=1).var(ddof=1)) if len(ids) > 1 else np.nan
        seed = max(0.0, between - draw) if len(ids) > 1 else np.nan
        rows.append((method, len(ids), n_questions, np.sqrt(question), np.sqrt(draw), np.sqrt(seed)))
    if not rows:
        raise InputError("no run shares two questions with the base at its last probe: nothing varies")
    return pd.DataFrame(rows, columns=["method", "n_seeds", "n_questions", "sd_question", "sd_draw", "sd_seed"])
