"""Measure the runs of a study with relift.analysis, cell by cell, and average them over seeds and bases.

A cell is one base with one seed. Its control, frozen, gives the base's accuracy (step 0, draw 1; draw 0 assigns the
bands) and what an unchanged model shows at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from relift import analysis
from relift.config.loading import read_recorded
from relift.data.questions import read_questions
from relift.demo.methods import status_of
from relift.store import RunReader
from relift.study.grid import cell_folder, used_by
from relift.study.spec import CONTROL, Study

LEVEL = 0.95
COSTS = (
    "updates",
    "demonstrations",
    "distinct_demonstrations",
    "generated_tokens",
    "trained_tokens",
    "flops",
    "seconds",
)


@dataclass(frozen=True)
class Measured:
    """Hold what was measured: `rows` by run and group, `pairs` by run and question, `costs` by run."""

    rows: pd.DataFrame
    pairs: pd.DataFrame
    costs: pd.DataFrame


def measure(study: Study, out: Path) -> Measured:
    """Measure every cell whose control is done, with the runs that are done in it.

    rows: of `difference_from_base` with base, seed, method: groups are all, the splits and the bands. pairs: method
    less the reference on each question. costs: what each run used.
    """
    rows, pairs, costs = [], [], []
    for base, seed in study.cells:
        folder = cell_folder(out, base, seed)
        done = [m for m in study.methods if status_of(folder / m) == "done"]
        if CONTROL not in done:
            continue
        own_rows, own_pairs = measure_cell(folder, done, reference=study.reference)
        rows.append(own_rows.assign(base=base, seed=seed))
        pairs.append(own_pairs.assign(base=base, seed=seed))
        costs += [{"base": base, "seed": seed, "method": m, **used_by(folder / m), **_tokens(folder / m)} for m in done]
    empty = pd.DataFrame(columns=["base", "seed", "method", "kind", "group"])
    return Measured(
        pd.concat(rows, ignore_index=True) if rows else empty,
        pd.concat(pairs, ignore_index=True) if pairs else empty,
        pd.DataFrame(costs, columns=["base", "seed", "method", *COSTS]),
    )


def measure_cell(folder: Path, methods: Sequence[str], *, reference: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure the runs of one cell: (rows, pairs) as `measure` gives them, without base and seed."""
    paths = [folder / method for method in methods]
    trajectories = analysis.read_trajectories(paths, origin="probe")
    control = analysis.read_runs(folder / CONTROL)["run_id"].iloc[0]
    method_of = {str(analysis.read_runs(p)["run_id"].iloc[0]): m for p, m in zip(paths, methods, strict=True)}
    ends = _ends(trajectories)
    inside = ~ends["question_id"].astype(object).isin(questions_of_the_ends(folder / CONTROL))
    probes = ends[inside.to_numpy()]
    bands = analysis.assign_bands(probes, run=control, draw=0)
    rows = analysis.difference_from_base(probes, bands=bands, control=control)
    others = ends[~inside.to_numpy()]
    if len(others):
        groups = analysis.read_questions(paths[:1]).set_index("question_id")["split"].astype(str)
        more = analysis.difference_from_base(_second_draw(others), base=control, groups=groups, control=control)
        rows = pd.concat([rows, more[more["kind"] == "group"]], ignore_index=True)
    rows["method"] = rows["run_id"].astype(object).map(method_of)
    return rows, _pairs(probes, method_of, bands, reference=reference)


def variances(study: Study, out: Path) -> pd.DataFrame:
    """Split the variance of each method's difference from its base by source (of `variance_split`), base by base.

    Over the questions that are probed throughout; step 0 is that of the first seed's control. Columns: base, then those
    of `variance_split`.
    """
    frames = []
    for base in study.bases:
        runs = [
            (folder / method, method, seed)
            for seed in study.seeds
            for folder in [cell_folder(out, base, seed)]
            for method in study.methods
            if status_of(folder / CONTROL) == status_of(folder / method) == "done"
        ]
        if not runs:
            continue
        ids = [str(RunReader(folder).run_id) for folder, _, _ in runs]
        methods = pd.DataFrame(
            {"run_id": ids, "method": [m for _, m, _ in runs], "seed": [seed for _, _, seed in runs]}
        )
        ends = _ends(analysis.read_trajectories([folder for folder, _, _ in runs], origin="probe"))
        outside = ends["question_id"].astype(object).isin(questions_of_the_ends(runs[0][0].parent / CONTROL))
        first = methods.loc[methods["method"] == CONTROL, "run_id"].iloc[0]
        split = analysis.variance_split(ends[~outside.to_numpy()], methods, base=first)
        frames.append(split.assign(base=base))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def questions_of_the_ends(folder: Path) -> set[str]:
    """Read the question_ids that a run was asked at its two ends alone: they are in no band."""
    reader = RunReader(folder)
    config = read_recorded(reader.config_toml, where=str(folder))
    if config.probe.ends_only is None:
        return set()
    read = read_questions(
        config.probe.ends_only, columns=config.data.columns, answer_kind=lambda golds: "exact", repeats="equal"
    )
    return {q.question_id for q in read.questions}


def _ends(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Select step 0 and each run's last step."""
    last = trajectories.groupby("run_id", observed=True)["step"].transform("max")
    return trajectories[((trajectories["step"] == 0) | (trajectories["step"] == last)).to_numpy()]


def _second_draw(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Leave out draw 0 of step 0, so that every group is measured on as many attempts of the base."""
    return trajectories[((trajectories["step"] > 0) | (trajectories["draw"] == 1)).to_numpy()]


def _pairs(probes: pd.DataFrame, method_of: dict[str, str], bands: pd.DataFrame, *, reference: str) -> pd.DataFrame:
    """Pair each run with the reference, question by question; no row where the reference is not done."""
    own = {method: run_id for run_id, method in method_of.items()}
    if reference not in own:
        return pd.DataFrame(columns=["method", "question_id", "rate_a", "rate_b", "difference", "band"])
    band_of = bands.set_index(bands["question_id"].astype(object))["band"]
    frames = []
    for run_id, method in method_of.items():
        if method != reference:
            pairs = analysis.compare_runs(probes, a=run_id, b=own[reference])
            pairs = pairs[["question_id", "rate_a", "rate_b", "difference"]].assign(method=method)
            frames.append(pairs.assign(band=pairs["question_id"].map(band_of)))
    return pd.concat(frames, ignore_index=True)


def _tokens(folder: Path) -> dict[str, int]:
    last = analysis.read_checkpoints(folder).sort_values("step").iloc[-1]
    return {name: int(last[name]) for name in ("trained_tokens", "distinct_demonstrations")}


def average(values: pd.DataFrame, *, by: Sequence[str]) -> pd.DataFrame:
    """Average `value` over cells: one row per group of `by`, with what seeds and bases make of it.

    mean of the bases' means over seeds. low, high, p_value (95 %, Student's t): between seeds within these bases, with
    the spread pooled over bases; null where no base has two seeds. base_low, base_high: over bases, from three on.
    n_bases, n_seeds (least of a base), n_cells, sd_seed, sd_base, values (each cell, as text).
    """
    rows = []
    for key, own in values.dropna(subset=["value"]).groupby(list(by), sort=False):
        keys = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        rows.append({**keys, **_average(own)})
    return pd.DataFrame(rows)


def _average(own: pd.DataFrame) -> dict[str, Any]:
    of_base = own.groupby("base", sort=False)["value"]
    means, counts = of_base.mean().to_numpy(float), of_base.size().to_numpy(int)
    mean, n_bases = float(means.mean()), len(means)
    freedom = int((counts - 1).sum())
    result: dict[str, Any] = {
        "mean": mean, "low": np.nan, "high": np.nan, "p_value": np.nan, "n_bases": n_bases,
        "n_seeds": int(counts.min()), "n_cells": len(own), "sd_seed": np.nan,
        "sd_base": float(means.std(ddof=1)) if n_bases > 1 else np.nan, "base_low": np.nan, "base_high": np.nan,
        "values": ", ".join(f"{100 * v:+.1f}" for v in own["value"]),
    }  # fmt: skip
    if freedom:
        within = float(((own["value"] - of_base.transform("mean")) ** 2).sum()) / freedom
        error = float(np.sqrt(within * (1 / counts).sum())) / n_bases
        half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
        result |= {"low": mean - half, "high": mean + half, "sd_seed": float(np.sqrt(within))}
        result["p_value"] = float(2 * stdtr(freedom, -abs(mean) / error)) if error else np.nan
    if n_bases > 2:
        half = float(stdtrit(n_bases - 1, (1 + LEVEL) / 2)) * float(means.std(ddof=1)) / np.sqrt(n_bases)
        result |= {"base_low": mean - half, "base_high": mean + half}
    return result


def accuracies(measured: Measured) -> pd.DataFrame:
    """Average each method's accuracy at its end by group, and the base's own (method "base")."""
    rows = measured.rows
    base = rows[rows["method"] == CONTROL].assign(method="base", value=lambda f: f["base_accuracy"])
    both = pd.concat([base, rows.assign(value=rows["accuracy"])], ignore_index=True)
    return average(both[both["n_questions"] > 0], by=["method", "kind", "group"])


def against_reference(measured: Measured) -> pd.DataFrame:
    """Average each method's difference from the reference, paired by question, base and seed: all, and by band."""
    pairs = measured.pairs
    every = pairs.assign(group="all")
    grouped = pd.concat([every, pairs.assign(group=pairs["band"])], ignore_index=True).dropna(subset=["group"])
    cells = grouped.groupby(["method", "group", "base", "seed"], sort=False)["difference"].agg(["mean", "size"])
    cells = cells.reset_index().rename(columns={"mean": "value", "size": "n_questions"})
    return average(cells, by=["method", "group"])


def excess_over_control(measured: Measured) -> pd.DataFrame:
    """Average what each method shows beyond the frozen control of its cell, by group."""
    rows = measured.rows
    trained = rows[(rows["method"] != CONTROL) & (rows["n_questions"] > 0)]
    return average(trained.assign(value=trained["excess"].astype(float)), by=["method", "kind", "group"])


def by_question(measured: Measured) -> pd.DataFrame:
    """Count, for each method and question, the cells in which it is ahead of the reference, behind, level."""
    rows = measured.pairs.dropna(subset=["difference"])
    signs = rows.assign(ahead=rows["difference"] > 0, behind=rows["difference"] < 0)
    grouped = signs.groupby(["method", "question_id"], sort=False)
    counts = grouped.agg(cells=("difference", "size"), difference=("difference", "mean"), ahead=("ahead", "sum"),
                         behind=("behind", "sum"))  # fmt: skip
    return counts.reset_index()
