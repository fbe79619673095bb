"""Tell beforehand what a study costs: a few measured steps of each method, times the steps that its budget allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from relift.demo.methods import status_of
from relift.store import RunReader
from relift.study.grid import LARGE, Planned, merged, planned_runs, resolve, swept_runs, values_of
from relift.study.spec import Study, Values

PHASE_STEPS = 2  # of fine-tuning in a pilot whose recipe begins with them
PILOT_STEPS = 4  # two that are measured, one that also probes, and one before them to warm up


@dataclass(frozen=True)
class Price:
    """Hold what one step of a method takes, what a probe and a start take. Seconds on this machine, as it was."""

    step_seconds: float
    phase_seconds: float  # of a step of fine-tuning alone, where the recipe begins with them
    probe_seconds: float
    start_seconds: float
    used: Mapping[str, float]  # by a step, by the names of budgets


def pilot_run(study: Study, out: Path, method: str) -> Planned:
    """Name the run that measures the steps of a method: the first base, the first seed."""
    return Planned(method, next(iter(study.bases)), study.seeds[0], out / "pilot" / method)


def pilot_config(study: Study, out: Path, run: Planned) -> Values:
    """Return the configuration of a pilot: few steps, a checkpoint after each, one probe after the last."""
    values = values_of(study, out, run)
    phase = resolve(values, out, run).sft.phase_steps
    steps = PILOT_STEPS + (PHASE_STEPS if phase else 0)
    own: Values = {"steps": steps, "checkpoint": {"every": 1}, "probe": {"every": LARGE, "base_run": "none"}}
    return merged(values, merged(own, {"sft": {"phase_steps": PHASE_STEPS}} if phase else {}))


def price_of(folder: Path, *, started: float, phase: bool) -> Price:
    """Read the price off a pilot. `started`: seconds that the whole process took."""
    rows = RunReader(folder).read("checkpoints").sort_values("step").set_index("step")
    wall = rows["wall_seconds"].astype(float)
    first = PHASE_STEPS if phase else 0
    last = int(rows.index.max())
    step = (wall[last - 1] - wall[first + 1]) / (last - first - 2)
    probe = max(0.0, wall[last] - wall[last - 1] - step)
    names = ["rl_updates", "sft_updates", "demonstrations", "generated_tokens", "trained_tokens"]
    counts = rows[names].astype(float)
    between = counts.to_numpy()[[list(rows.index).index(s) for s in (first + 1, last - 1)]]
    each = dict(zip(names, (between[1] - between[0]) / (last - first - 2), strict=True))
    operations = 2 * each["generated_tokens"] + 6 * each["trained_tokens"]
    used = {
        "updates": each["rl_updates"] + each["sft_updates"],
        "demonstrations": each["demonstrations"],
        "generated_tokens": each["generated_tokens"],
        "flops": operations * (RunReader(folder).run.n_parameters or 0),
        "seconds": float(step),
    }
    return Price(
        step, (wall[2] - wall[1]) if phase else 0.0, probe, max(0.0, started - float(wall[last]) - 2 * probe),
        used,
    )  # fmt: skip


def plan(study: Study, out: Path, prices: Mapping[str, Price]) -> pd.DataFrame:
    """Estimate every run: columns name, kind (sweep, run), method, base, seed, steps, seconds, done."""
    steps = {method: steps_of(study, out, method, prices) for method in study.methods}
    rows = []
    for kind, runs in (("sweep", swept_runs(study, out)), ("run", planned_runs(study, out))):
        for run in runs:
            config = resolve(values_of(study, out, run), out, run)
            n = config.steps if kind == "sweep" else steps[run.method]
            price = prices[run.method]
            phase = min(n, config.sft.phase_steps) if price.phase_seconds else 0
            probes = math.ceil(n / config.probe.every) + (0 if config.probe.base_run else 2)
            seconds = price.start_seconds + phase * price.phase_seconds + (n - phase) * price.step_seconds
            seconds += probes * price.probe_seconds
            done = status_of(run.folder) == "done"
            rows.append((run.name, kind, run.method, run.base, run.seed, n, seconds, done))
    return pd.DataFrame(rows, columns=["name", "kind", "method", "base", "seed", "steps", "seconds", "done"])


def steps_of(study: Study, out: Path, method: str, prices: Mapping[str, Price]) -> int:
    """Estimate the steps of a method under its budget, from what the pilots used by a step."""
    base, seed = study.cells[0]
    run = Planned(method, base, seed, out / "runs" / method)
    most = resolve(values_of(study, out, run), out, run).steps
    for name, of in study.methods[method].budget.items():
        limit = steps_of(study, out, of, prices) * prices[of].used[name] if isinstance(of, str) else of
        each = prices[method].used[name]
        most = min(most, math.ceil(limit / each) if each > 0 else most)
    return max(1, most)


def say_plan(planned: pd.DataFrame, study: Study, *, workers: int) -> list[str]:
    """Say how many runs there are, and the hours they take, by kind and method."""
    left = planned[~planned["done"].astype(bool)]
    hours = left["seconds"].sum() / 3600
    lines = [
        f"{len(planned)} runs: {len(study.methods)} methods x {len(study.bases)} bases x {len(study.seeds)} seeds, and "
        f"{int((planned['kind'] == 'sweep').sum())} of the sweep; {int(planned['done'].sum())} are done",
        f"about {hours:.2f} hours of one process, {hours / workers:.2f} with {workers} side by side",
        "measured now, on a few first steps of each method: answers that grow longer take longer",
    ]
    for (kind, method), rows in planned.groupby(["kind", "method"], sort=False):
        each = rows["seconds"].mean()
        lines.append(f"  {kind:5} {method:20} {len(rows):3} runs, {int(rows['steps'].max())} steps, {each:.0f} s each")
    return lines
