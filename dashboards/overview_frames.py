"""Make the frames of the Overview: of the catalogue, and of runs too large for rows the same functions on counts."""

from __future__ import annotations

from functools import partial

import pandas as pd

from relift.analysis.questions.balance import say_balance
from relift.analysis.questions.bands import assign_bands
from relift.analysis.questions.by_band import band_accuracy as accuracy_by_band
from relift.analysis.questions.by_band import caption_bands, plot_band_accuracy
from relift.analysis.questions.changes import caption_changes, plot_changes
from relift.analysis.questions.compare import difference_from_base
from relift.analysis.questions.reach import caption_reach, plot_reach
from relift.analysis.questions.reach import reach_counts as counted_reach
from relift.analysis.report.catalogue import difference_of
from relift.analysis.report.loaded import Loaded
from relift.analysis.runs.counts import read_counts
from relift.analysis.runs.methods import read_methods
from relift.analysis.runs.read import open_runs, read_demo_events, read_trajectories
from relift.analysis.training.alerts import checks_made, find_alerts, last_health
from relift.analysis.training.demos import buffer_health
from relift.analysis.training.dynamics import training_dynamics
from relift.dashboards.cubes import is_large, spaced_steps
from relift.dashboards.frames import Ready, Unavailable, compute, make
from relift.dashboards.kept import kept
from relift.dashboards.runs import Choice, questions

COSTS = {
    "rl_updates": "RL updates", "sft_updates": "SFT updates", "demonstrations": "demonstrations",
    "distinct_demonstrations": "distinct", "generated_tokens": "tokens generated",
    "trained_tokens": "tokens trained on", "wall_seconds": "seconds",
}  # fmt: skip


LARGE_STEPS = 9  # probes in accuracy by band of a large run
LARGE_RESAMPLES = 100


def change(choice: Choice) -> Ready | Unavailable:
    """Compare each run's last probe with the base, paired (of `difference_from_base`)."""
    data = partial(_large_change, choice) if is_large(choice) else difference_of
    return compute("change", choice, data, caption=caption_changes, draw=plot_changes)


@kept(16)
def methods_of(choice: Choice) -> pd.DataFrame:
    """Read method and seed of each run (of `read_methods`)."""
    return read_methods(*(run.folder for run in choice.runs))


def has_seeds(choice: Choice) -> bool:
    """Tell whether some method was trained with several seeds."""
    return bool(methods_of(choice)["method"].duplicated().any())


def balances(choice: Choice) -> dict[str, str]:
    """Say by run what it gained less what it lost (of `balance`); nothing where that cannot be told."""
    made = make("balance", choice)
    if isinstance(made, Unavailable):
        return {}
    return {str(row["run"]): say_balance(row) for row in made.frame.to_dict("records")}


def _large_change(choice: Choice, loaded: Loaded) -> pd.DataFrame:
    counts = read_counts(list(loaded.paths), steps=spaced_steps(choice, 2), draws=(0, 1))
    bands = assign_bands(counts, run=large_base(choice))
    return difference_from_base(counts, bands=bands, groups=split_of(choice))


def split_of(choice: Choice) -> pd.Series | None:
    """Give the split of each question_id; None where there is only one."""
    rows = questions(choice)
    splits = pd.Series(rows["split"].astype(object).to_numpy(), index=pd.Index(rows["question_id"].astype(object)))
    return splits if splits.nunique() > 1 else None


def large_base(choice: Choice) -> str:
    """Find the base of bands without reading a trajectory: the one chosen, one called base, the first probed."""
    able = [run for run in choice.runs if 0 in run.probe_steps] or list(choice.runs)
    named = [run for run in able if run.name == "base" or run.state == "base only"]
    return choice.base or (named or able)[0].run_id


def band_accuracy(choice: Choice) -> Ready | Unavailable:
    """Make accuracy by band; of large runs at LARGE_STEPS of the probes."""
    if not is_large(choice):
        return make("band_accuracy", choice)
    return compute(
        "band_accuracy", choice, partial(_large_accuracy, choice), caption=_large_caption, draw=plot_band_accuracy
    )


def _large_accuracy(choice: Choice, loaded: Loaded) -> pd.DataFrame:
    counts = read_counts(list(loaded.paths), steps=spaced_steps(choice, LARGE_STEPS), draws=(0, 1))
    bands = assign_bands(counts, run=large_base(choice))
    return accuracy_by_band(counts, bands, resamples=LARGE_RESAMPLES)


def _large_caption(frame: pd.DataFrame) -> str:
    return f"{frame['step'].nunique()} of the probes, evenly spaced: the run is large. {caption_bands(frame)}"


def reach_counts(choice: Choice) -> Ready | Unavailable:
    """Count the questions within and beyond reach."""
    if not is_large(choice):
        return make("reach", choice)
    return compute("reach", choice, partial(_large_reach, choice), caption=caption_reach, draw=plot_reach)


def _large_reach(choice: Choice, loaded: Loaded) -> pd.DataFrame:
    counts = read_counts(list(loaded.paths), steps=spaced_steps(choice, 2))
    return counted_reach(counts, base=large_base(choice))


def reach_accuracy(choice: Choice) -> Ready | Unavailable:
    """Make accuracy by reach; of large runs it is made where it is asked for, on Dynamics."""
    if is_large(choice):
        return Unavailable("reach_accuracy", "the run is large; the Dynamics page makes it")
    return make("reach_accuracy", choice)


def alerts(loaded: Loaded) -> pd.DataFrame:
    """List each run's checks that there is something to go by for, with what they found: `sentence`, null for nothing.

    One row per run and kind, of `checks_made` and `find_alerts`.
    """
    dynamics, buffer = pd.DataFrame(columns=["run_id", "run", "step"]), None
    if len(loaded.updates) or len(loaded.rollouts):  # a recorded run has rollouts alone
        dynamics = training_dynamics(loaded.updates, loaded.rollouts)
    events = read_demo_events(list(loaded.paths))
    if len(events):
        buffer = buffer_health(events)
    health = _last_health(loaded)
    found = find_alerts(dynamics, health=health, buffer=buffer)
    made = checks_made(dynamics, health=health, buffer=buffer)
    return made.merge(found, on=["run_id", "run", "kind"], how="outer")


def _last_health(loaded: Loaded) -> pd.DataFrame | None:
    """Count the health of each run's last probe alone: the others need not be read."""
    columns = ["n_attempts", "n_undecided", "n_truncated"]
    parts = []
    for reader in open_runs(list(loaded.paths)):
        steps = reader.steps("trajectories", origin="probe")
        if steps:
            parts.append(last_health(read_trajectories([reader.folder], steps=steps[-1:], columns=columns)))
    return pd.concat(parts, ignore_index=True) if parts else None


def costs(loaded: Loaded) -> pd.DataFrame:
    """Read what each run had used at its last checkpoint, a row per run, under the names of COSTS."""
    last = loaded.checkpoints.sort_values("step").groupby("run_id", observed=True, sort=False).tail(1)
    frame = last[["run_id", "run", *COSTS]].astype({"run_id": object, "run": object}).rename(columns=COSTS)
    return frame.assign(seconds=frame["seconds"].round())
