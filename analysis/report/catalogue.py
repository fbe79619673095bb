"""List the figures and tables that `relift analyze` makes: one line each. How to add one: docs/add-a-figure.md."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from relift.analysis.questions import (
    base_unsolved,
    by_band,
    by_seed,
    data_map,
    diversity,
    gain_by_base,
    heat,
    histogram,
    over_steps,
    power,
    reach,
    repair,
    sampling,
    sharpening,
    solved,
    stability,
    transitions,
    two_verdicts,
)
from relift.analysis.questions.audit import audit, frozen_copy
from relift.analysis.questions.balance import balance
from relift.analysis.questions.changes import caption_changes, plot_changes
from relift.analysis.questions.classes import count_classes
from relift.analysis.questions.compare import difference_from_base
from relift.analysis.questions.seeds import methods_from_base, variance_split
from relift.analysis.questions.unchanged import label_noise
from relift.analysis.runs.figure import Figure, LoadedRuns, Table
from relift.analysis.runs.read import map_attempts
from relift.analysis.scores import forest
from relift.analysis.training import alerts, attempts, compute, demos, dynamics, event_study, learnt
from relift.errors import InputError


def _drift(loaded: LoadedRuns) -> pd.DataFrame:
    columns = ["n_tokens", "sum_logprob", "sum_logprob_base"]
    attempts.drift(loaded.last_attempts(columns))  # MissingColumn before all files are read
    return map_attempts(list(loaded.paths), attempts.drift, origin="probe", columns=columns)


def _forgetting(loaded: LoadedRuns) -> pd.DataFrame:
    return attempts.forgetting_drift(stability.retention(loaded.probes), _drift(loaded))


FORGETTING = Figure(  # of two wings: of the questions kept, and of training
    "forgetting", "Forgetting against drift", "What changed",
    data=_forgetting, draw=attempts.plot_forgetting_drift, caption=attempts.caption_forgetting_drift,
)  # fmt: skip

CHANGES = Figure(
    "changes", "What each run changed, gains and losses", "What changed",
    data=lambda loaded: difference_of(loaded), draw=plot_changes, caption=caption_changes,
)  # fmt: skip

POWER = Figure(
    "smallest_change", "The smallest change that this probe can see", "What changed",
    data=lambda loaded: power.smallest_change(difference_of(loaded)),
    draw=power.plot_smallest_change, caption=power.caption_smallest_change,
)  # fmt: skip

SEEDS = Figure(
    "seeds", "What each method changed, over its training seeds", "What changed",
    data=lambda loaded: by_seed.seed_differences(difference_of(loaded), loaded.methods),
    draw=by_seed.plot_seeds, caption=by_seed.caption_seeds,
)  # fmt: skip

BANDS_BY_SEED = Figure(
    "band_accuracy_by_seed", "Accuracy by what the base could do, over training seeds", "What changed",
    data=lambda loaded: _bands_by_seed(loaded),
    draw=by_seed.plot_bands_by_seed, caption=by_seed.caption_bands_by_seed,
)  # fmt: skip

# In the order of the report, within a section.
_FIGURES = (
    CHANGES,
    SEEDS,
    POWER,
    by_band.ACCURACY,
    BANDS_BY_SEED,
    gain_by_base.GAIN,
    histogram.HISTOGRAM,
    transitions.TRANSITIONS,
    heat.QUESTIONS,
    stability.TURNOVER,
    stability.RETENTION,
    repair.REPAIR,
    data_map.DATA_MAP,
    attempts.BASE_PERPLEXITY,
    FORGETTING,
    sampling.PASS_AT_K,
    over_steps.PASS_OVER_STEPS,
    two_verdicts.TWO_VERDICTS,
    sharpening.SHARPENING,
    sampling.SAMPLING_GAP,
    base_unsolved.BASE_UNSOLVED,
    solved.SUPPORT,
    solved.SOLVED_BY,
    sampling.COVER,
    reach.COUNTS,
    reach.ACCURACY,
    diversity.DIVERSITY,
    forest.SCORES,
    dynamics.DYNAMICS,
    demos.EFFICIENCY,
    learnt.LEARNT,
    compute.COST,
    demos.BUFFER,
    event_study.AFTER_TRAINING,
    attempts.GROUP_SIGNAL,
    by_band.LENGTHS,
    attempts.LENGTH_ACCURACY,
)


def in_worlds(loaded: LoadedRuns, data: Callable[[LoadedRuns], pd.DataFrame]) -> pd.DataFrame:
    """Make a frame for each set of runs that started from one model, each with its own base, and join them.

    Sets that do not allow it are left out; the first one's InputError where none does.
    """
    frames, refused = [], []
    for world in loaded.worlds:
        try:
            frames.append(data(world))
        except InputError as error:
            refused.append(error)
    if not frames:
        raise refused[0]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _bands_by_seed(loaded: LoadedRuns) -> pd.DataFrame:
    methods = loaded.methods
    if len(methods) == methods["method"].nunique():
        raise InputError(by_seed.ONE_SEED)
    return by_seed.bands_by_seed(in_worlds(loaded, _bands_of_runs), methods)


def _bands_of_runs(loaded: LoadedRuns) -> pd.DataFrame:
    """Measure accuracy by band of each run; its interval over questions is not used, hence few resamples."""
    return by_band.band_accuracy(loaded.probes, loaded.bands, measure_draw=loaded.measure_draw, resamples=20)


def difference_of(loaded: LoadedRuns) -> pd.DataFrame:
    """Measure each run less its base by the two ends: all questions, by split, by band where bands can be measured."""
    return in_worlds(loaded, _difference_of)


def _difference_of(loaded: LoadedRuns) -> pd.DataFrame:
    splits = loaded.split_of
    several = splits if splits.nunique() > 1 else None
    try:
        bands, draw = loaded.bands, loaded.measure_draw
    except InputError:  # one draw at step 0, or no question in every probe: there are no bands to measure
        return difference_from_base(
            loaded.compared_ends, base=loaded.base_id, groups=several, control=loaded.control_id
        )
    return difference_from_base(
        loaded.compared_ends, bands=bands, groups=several, measure_draw=draw, control=loaded.control_id
    )


def _variance(loaded: LoadedRuns) -> pd.DataFrame:
    if len(loaded.worlds) > 1:
        raise InputError("the runs start from several models: no question repeats over seeds of one start")
    return variance_split(loaded.compared_ends, loaded.methods, base=loaded.base_id)


def _audit(loaded: LoadedRuns, methods: pd.DataFrame) -> pd.DataFrame:
    return audit(loaded.compared_ends, base=loaded.base_id, control=loaded.control_id, methods=methods)


def _frozen_copy(loaded: LoadedRuns) -> pd.DataFrame:
    return frozen_copy(loaded.compared_ends, base=loaded.base_id, control=loaded.control_id)


def _grader_health(loaded: LoadedRuns) -> pd.DataFrame:
    columns = ["verdict", "finish", "answer", "grader_agrees"]
    origin = str(loaded.trajectories["origin"].iloc[0])
    return map_attempts(loaded.with_origin(origin), attempts.grader_health, origin=origin, columns=columns)


def _cost(loaded: LoadedRuns) -> pd.DataFrame:
    if loaded.checkpoints.empty:
        raise InputError("no run has a checkpoint: what it used was not recorded")
    last = loaded.checkpoints.groupby("run_id", observed=True)["step"].transform("max")
    return loaded.checkpoints[(loaded.checkpoints["step"] == last).to_numpy()]


def alerts_of(loaded: LoadedRuns) -> pd.DataFrame:
    """Find what asks for a look (of `find_alerts`), in what the runs have: each part alone can be missing."""
    curves, buffer = pd.DataFrame(columns=["run_id", "run", "step"]), None
    if len(loaded.updates) or len(loaded.rollouts):  # a recorded run has rollouts alone
        curves = dynamics.training_dynamics(loaded.updates, loaded.rollouts)
    try:
        buffer = demos.buffer_health(loaded.demo_events)
    except InputError:  # no demonstrations: no buffer can be dry
        pass
    return alerts.find_alerts(curves, health=alerts.last_health(loaded.trajectories), buffer=buffer)


# Without a figure of their own; the frame of each figure is saved beside it.
_TABLES = (
    Table("runs", "The runs", lambda loaded: loaded.runs),
    Table("alerts", "What asks for a look", alerts_of),
    Table("bands", "Band of every question", lambda loaded: loaded.bands),
    Table(
        "label_noise", "Questions that another draw would put into another band",
        lambda loaded: label_noise(loaded.probes, loaded.bands),
    ),
    Table("difference_from_base", "Each run less the base, paired by question", difference_of),
    Table(
        "methods", "Each method less the base, over its seeds",
        lambda loaded: methods_from_base(difference_of(loaded), loaded.methods),
    ),
    Table(
        "variance", "How much questions, draws and seeds vary",
        _variance,
    ),
    Table(
        "frozen_copy", "What a frozen copy would show",
        lambda loaded: in_worlds(loaded, _frozen_copy),
    ),
    Table(
        "audit", "Seven checks of what is claimed",
        lambda loaded: in_worlds(loaded, lambda world: _audit(world, loaded.methods)),
    ),
    Table(
        "balance", "Gained less lost, in questions and in attempts",
        lambda loaded: in_worlds(loaded, lambda world: balance(world.compared_ends, base=world.base_id)),
    ),
    Table(
        "discovery", "What rollouts solved that plain GRPO's did not, at equal samples", base_unsolved.discovery_of
    ),
    Table("crossover", "k from which the base model reaches a run", sampling.crossover_of),
    Table(
        "support_ratios", "Sets of solved questions and their ratios",
        lambda loaded: solved.support(solved.solved_sets_of(loaded)),
    ),
    Table(
        "gained_and_lost", "Which runs gained or lost which question",
        lambda loaded: solved.sets_by_run(solved.solved_sets_of(loaded)),
    ),
    Table(
        "classes", "Classes of trajectories: found, and expected without learning",
        lambda loaded: count_classes(loaded.probes, seed=loaded.seed),
    ),
    Table("trajectories", "Class of every trajectory", lambda loaded: loaded.classified),
    Table("prior", "Beta priors of step 0", lambda loaded: reach.fit_prior(loaded.probes)),
    Table("reach_of_questions", "Reach of the base model, question by question", reach.base_reach),
    Table(
        "top_up", "Questions that more attempts would decide", lambda loaded: reach.top_up(reach.base_reach(loaded))
    ),
    Table("cost", "What the runs had used at their last checkpoint", _cost),
    Table("grader_health", "Undecided, cut off, without an answer", _grader_health),
)  # fmt: skip

FIGURES = {figure.name: figure for figure in _FIGURES}
TABLES = {table.name: table for table in _TABLES}
