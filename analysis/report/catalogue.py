"""The figures and tables that `relift analyze` makes, each one line: how its frame is made, drawn and captioned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from relift.analysis.questions import by_band, maps, reached, sampling, solved, stability
from relift.analysis.questions.capability import fit_prior, reach, top_up
from relift.analysis.questions.classes import count_classes
from relift.analysis.questions.compare import compare_runs, paired_difference
from relift.analysis.questions.transitions import band_transitions, caption_transitions, label_noise, plot_transitions
from relift.analysis.report.loaded import Loaded
from relift.analysis.runs.counts import Cube
from relift.analysis.runs.live import read_cube
from relift.analysis.runs.read import map_attempts, read_attempts, read_demonstrations
from relift.analysis.scores import forest
from relift.analysis.training import attempts as of_attempts
from relift.analysis.training import demos, dynamics, event_study
from relift.errors import InputError

Data = Callable[[Loaded], pd.DataFrame]


@dataclass(frozen=True)
class Figure:
    """title; data: the frame; draw: the frame's Axes (one or an array); caption: the sentence below."""

    title: str
    data: Data
    draw: Callable[[pd.DataFrame], Any]
    caption: Callable[[pd.DataFrame], str]


def _band_accuracy(loaded: Loaded) -> pd.DataFrame:
    return by_band.band_accuracy(
        loaded.probes, loaded.bands, measure_draw=loaded.measure_draw, resamples=loaded.resamples, seed=loaded.seed
    )


def _band_lengths(loaded: Loaded) -> pd.DataFrame:
    frame = by_band.band_lengths(
        loaded.probes, loaded.bands, measure_draw=loaded.measure_draw, resamples=loaded.resamples, seed=loaded.seed
    )
    demonstrations = read_demonstrations(list(loaded.paths)).drop_duplicates("demo_id")
    band_of = loaded.bands.set_index("question_id")["band"]
    length = demonstrations.groupby(demonstrations["question_id"].astype(object).map(band_of))["n_tokens"].mean()
    return frame.assign(demonstration_tokens=frame["band"].map(length).astype(float))


def _draw_band_lengths(frame: pd.DataFrame) -> Any:
    known = frame.dropna(subset="demonstration_tokens").drop_duplicates("band")
    lengths = dict(zip(known["band"], known["demonstration_tokens"], strict=True))
    return by_band.plot_band_lengths(frame, demonstration_tokens=lengths)


def _transitions(loaded: Loaded) -> pd.DataFrame:
    base = loaded.probes[(loaded.probes["run_id"] == loaded.base_id) & (loaded.probes["step"] == 0)]
    drawn = (base["draw"] == 1).any()
    return band_transitions(
        loaded.probes, loaded.bands, null="draws" if drawn else "fitted", seed=loaded.seed,
        resamples=loaded.resamples if drawn else min(loaded.resamples, 200),  # each refits the prior
    )  # fmt: skip


def _dynamics(loaded: Loaded) -> pd.DataFrame:
    if loaded.updates.empty:
        raise InputError("no run has made an update: there are no training curves")
    frames = [loaded.rollouts]
    trained = loaded.updates["run_id"].astype(object).unique()
    for name in ("probes", "trajectories"):  # questions that all runs share, so that their levels can be compared
        try:
            probes: pd.DataFrame = getattr(loaded, name)
        except InputError:  # no question is shared; or no probe at all, but there are rollouts
            continue
        frames.append(probes[probes["run_id"].isin(trained)])
        break
    return dynamics.training_dynamics(loaded.updates, pd.concat(frames, ignore_index=True))


def _scores(loaded: Loaded) -> pd.DataFrame:
    return forest.scores_of_last_step(loaded.scores)


def _pass_at_k(loaded: Loaded) -> pd.DataFrame:
    least = _least_attempts(loaded.compared)
    ks = sorted({2**i for i in range(16) if 2**i <= least} | {least})
    frame = sampling.pass_at_k(loaded.compared, ks=ks)
    try:
        return sampling.with_crossings(frame, crossover(loaded))
    except InputError:  # one run at step 0 alone: nothing to cross
        return frame


def _least_attempts(probes: pd.DataFrame) -> int:
    decided = (probes["n_attempts"] - probes["n_undecided"]).astype("int64")
    keys = [probes["run_id"].astype(object), probes["step"], probes["question_id"].astype(object)]
    least = int(decided.groupby(keys).sum().min())
    if least < 1:
        raise InputError("a question has no decided attempt at an end of a run: pass@k is not known")
    return least


def crossover(loaded: Loaded) -> pd.DataFrame:
    """Where the base model's pass@k reaches each run's."""
    return sampling.crossover(
        loaded.compared, base=loaded.compared_base_id, resamples=loaded.resamples, seed=loaded.seed
    )


def _sampling_gap(loaded: Loaded) -> pd.DataFrame:
    base = loaded.compared[(loaded.compared["run_id"] == loaded.compared_base_id) & (loaded.compared["step"] == 0)]
    return sampling.sampling_gap(loaded.compared, base=loaded.compared_base_id, k=min(256, _least_attempts(base)))


def _solved_sets(loaded: Loaded) -> pd.DataFrame:
    return solved.solved_sets(loaded.compared, base=loaded.compared_base_id)


def _solved_by(loaded: Loaded) -> pd.DataFrame:
    return solved.solved_by(loaded.compared, base=loaded.compared_base_id)


def _demo_efficiency(loaded: Loaded) -> pd.DataFrame:
    scores = demos.probe_scores(loaded.probes, measure_draw=loaded.measure_draw)
    used = loaded.checkpoints
    known = set(used["run_id"].astype(object)) | set(scores.loc[scores["step"] == 0, "run_id"])
    trained = used.loc[used["demonstrations"] > 0, "run_id"]
    if trained.empty:
        raise InputError("no run was trained on demonstrations")
    return demos.demo_efficiency(scores[scores["run_id"].isin(known)], used)


def _question_heat(loaded: Loaded) -> pd.DataFrame:
    return maps.question_heat(loaded.probes, loaded.classified)


def _data_map(loaded: Loaded) -> pd.DataFrame:
    steps = loaded.probes.groupby("run_id", observed=True)["step"].nunique()
    if steps.max() < 2:
        raise InputError("no run has probes at two steps: nothing varies over time")
    run_id = str(steps.idxmax())  # the longest; one run, since it is a map of one model's questions
    cube = read_cube(loaded.path_of(run_id))
    shown = loaded.probes.loc[loaded.probes["run_id"] == run_id, "question_ix"].unique()
    kept_Q = np.isin(cube.question_ix_Q, shown)
    cube = Cube(cube.n_correct_QT[kept_Q], cube.n_decided_QT[kept_Q], cube.step_T, cube.question_ix_Q[kept_Q])
    bins = int(np.clip(np.sqrt(len(cube.question_ix_Q)) / 1.5, 10, 40))
    label = loaded.runs.loc[loaded.runs["run_id"] == run_id, "run"].iloc[0]
    return maps.data_map(cube, bins=bins).assign(run_id=run_id, run=label)


def _base_perplexity(loaded: Loaded) -> pd.DataFrame:
    return of_attempts.base_perplexity(_last_attempts(loaded, ["verdict", "n_tokens", "sum_logprob_base"]))


def _last_attempts(loaded: Loaded, columns: list[str]) -> pd.DataFrame:
    """Attempts of each run's last probe, one run at a time."""
    frames = []
    for run_id, step in loaded.trajectories.groupby("run_id", observed=True)["step"].max().items():
        origin = str(loaded.trajectories["origin"].iloc[0])
        frames.append(read_attempts([loaded.path_of(str(run_id))], origin=origin, steps=[int(step)], columns=columns))
    return pd.concat([f.astype({"run_id": object, "run": object, "question_id": object}) for f in frames])


def _drift(loaded: Loaded) -> pd.DataFrame:
    columns = ["n_tokens", "sum_logprob", "sum_logprob_base"]
    last = _last_attempts(loaded, columns)
    of_attempts.drift(last)  # MissingColumn before all files are read
    return map_attempts(list(loaded.paths), of_attempts.drift, origin="probe", columns=columns)


def _forgetting_drift(loaded: Loaded) -> pd.DataFrame:
    return of_attempts.forgetting_drift(stability.retention(loaded.probes), _drift(loaded))


def _buffered(loaded: Loaded) -> pd.DataFrame:
    """Events of the runs whose demonstrations waited in a buffer."""
    events = loaded.demo_events
    runs = events.loc[events["event"].astype(str) == "enqueue", "run_id"].astype(object).unique()
    if not len(runs):
        raise InputError("no demonstration waited in a buffer")
    return events[events["run_id"].isin(runs)]


def _around_training(loaded: Loaded) -> pd.DataFrame:
    """Controls from the same run's buffer; where none waited long enough, from a run that had no demonstrations."""
    events, rollouts = loaded.demo_events, loaded.rollouts
    enqueued = _buffered(loaded)["run_id"].astype(object).unique()
    without = [r for r in rollouts["run_id"].astype(object).unique() if r not in set(events["run_id"].astype(object))]
    frames = []
    for run_id in enqueued:
        horizon = max(6, int(rollouts.loc[rollouts["run_id"] == run_id, "step"].max() * 2 / 3))
        options: dict[str, Any] = {"horizon": horizon, "width": -(-horizon // 6), "run": run_id}
        options |= {"resamples": min(loaded.resamples, 200), "seed": loaded.seed}
        frame = event_study.around_training(rollouts, events, **options)
        if not frame["att"].notna().any() and without:
            frame = event_study.around_training(rollouts, events, controls=without[0], **options)
            label = loaded.runs.loc[loaded.runs["run_id"] == without[0], "run"].iloc[0]
            frame["controls"] = label
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _reach_accuracy(loaded: Loaded) -> pd.DataFrame:
    return reached.reach_accuracy(loaded.probes, base_reach(loaded), resamples=loaded.resamples, seed=loaded.seed)


def base_reach(loaded: Loaded) -> pd.DataFrame:
    """Class of the base model's reach of each question, of all its draws at step 0."""
    base = loaded.trajectories[(loaded.trajectories["run_id"] == loaded.base_id).to_numpy()]
    return reach(base, fit_prior(base))


def _group_signal(loaded: Loaded) -> pd.DataFrame:
    paths = loaded.with_origin("rollout")
    if not paths:
        raise InputError("no run has rollouts")
    return map_attempts(paths, of_attempts.group_signal, origin="rollout", columns=["verdict", "advantage"])


def _length_accuracy(loaded: Loaded) -> pd.DataFrame:
    rows = _last_attempts(loaded, ["verdict", "finish", "n_tokens"])
    return of_attempts.length_accuracy(rows, resamples=min(loaded.resamples, 200), seed=loaded.seed)


FIGURES: dict[str, Figure] = {
    "f01_band_accuracy": Figure(
        "Accuracy by what the base could do", _band_accuracy, by_band.plot_band_accuracy, by_band.caption_bands
    ),
    "f02_band_lengths": Figure(
        "Length of answers by what the base could do", _band_lengths, _draw_band_lengths, by_band.caption_bands
    ),
    "f03_transitions": Figure(
        "Moves between bands, and those of chance", _transitions, plot_transitions, caption_transitions
    ),
    "f04_dynamics": Figure(
        "Training curves", _dynamics, dynamics.plot_training_dynamics, dynamics.caption_training_dynamics
    ),
    "f05_scores": Figure("Benchmark scores", _scores, forest.plot_scores, forest.caption_scores),
    "f06_pass_at_k": Figure("pass@k", _pass_at_k, sampling.plot_pass_at_k, sampling.caption_pass_at_k),
    "f06_sampling_gap": Figure(
        "What sampling the base more often reaches", _sampling_gap, sampling.plot_sampling_gap,
        sampling.caption_sampling_gap,
    ),
    "f07_support": Figure(
        "Questions kept, gained, lost", _solved_sets, solved.plot_support, solved.caption_support
    ),
    "f07_solved_by": Figure(
        "Which models solve which questions", _solved_by, solved.plot_solved_by, solved.caption_solved_by
    ),
    "f08_turnover": Figure(
        "Questions acquired and lost between probes", lambda loaded: stability.turnover(loaded.probes),
        stability.plot_turnover, stability.caption_turnover,
    ),
    "f08_retention": Figure(
        "What was mastered and still is", lambda loaded: stability.retention(loaded.probes), stability.plot_retention,
        stability.caption_retention,
    ),
    "f09_demonstrations": Figure(
        "What demonstrations bought", _demo_efficiency, demos.plot_demo_efficiency, demos.caption_demo_efficiency
    ),
    "f10_questions": Figure("Every question", _question_heat, maps.plot_question_heat, maps.caption_question_heat),
    "f11_data_map": Figure("Map of the questions", _data_map, maps.plot_data_map, maps.caption_data_map),
    "f12_base_perplexity": Figure(
        "Perplexity under the base model", _base_perplexity, of_attempts.plot_base_perplexity,
        of_attempts.caption_base_perplexity,
    ),
    "f13_forgetting": Figure(
        "Forgetting against drift", _forgetting_drift, of_attempts.plot_forgetting_drift,
        of_attempts.caption_forgetting_drift,
    ),
    "f14_buffer": Figure(
        "The buffer of demonstrations", lambda loaded: demos.buffer_health(_buffered(loaded)),
        demos.plot_buffer_health, demos.caption_buffer_health,
    ),
    "f15_after_training": Figure(
        "After a demonstration was trained on", _around_training, event_study.plot_around_training,
        event_study.caption_around_training,
    ),
    "f16_cover": Figure(
        "How reliably how many questions are answered", lambda loaded: sampling.cover(loaded.compared),
        sampling.plot_cover, sampling.caption_cover,
    ),
    "f17_reach": Figure(
        "Within and beyond reach", lambda loaded: reached.reach_counts(_ends_of_all(loaded), base=loaded.base_id),
        reached.plot_reach, reached.caption_reach,
    ),
    "f17_reach_accuracy": Figure(
        "Accuracy by the base model's reach", _reach_accuracy, reached.plot_reach_accuracy,
        reached.caption_reach_accuracy,
    ),
    "f18_group_signal": Figure(
        "Groups that carry a signal", _group_signal, of_attempts.plot_group_signal, of_attempts.caption_group_signal
    ),
    "f19_length_accuracy": Figure(
        "Accuracy by length of the answer", _length_accuracy, of_attempts.plot_length_accuracy,
        of_attempts.caption_length_accuracy,
    ),
}  # fmt: skip


def _ends_of_all(loaded: Loaded) -> pd.DataFrame:
    """All draws, top-ups too, of the questions that figures are about."""
    kept = loaded.trajectories["question_id"].isin(loaded.probes["question_id"].unique())
    return loaded.trajectories[kept.to_numpy()]


def _compared(loaded: Loaded) -> pd.DataFrame:
    """Each run against the base, by band: paired differences."""
    band_of = loaded.bands.set_index("question_id")["band"]
    measured = loaded.ends[((loaded.ends["step"] > 0) | (loaded.ends["draw"] == loaded.measure_draw)).to_numpy()]
    parts = []
    runs = measured[measured["step"] > 0][["run_id", "run"]].astype(object).drop_duplicates()
    for run_id, run in runs.to_numpy():
        base = measured[((measured["run_id"] == loaded.base_id) & (measured["step"] == 0)).to_numpy()]
        end = measured[((measured["run_id"] == run_id) & (measured["step"] > 0)).to_numpy()]
        both = pd.concat([base.assign(run_id="base of bands"), end.assign(run_id=run_id)])
        pairs = compare_runs(both, a=run_id, b="base of bands")
        for by in (None, band_of):
            parts.append(paired_difference(pairs, by=by).assign(run_id=run_id, run=run))
    if not parts:
        raise InputError("no run has a probe at a step after 0")
    return pd.concat(parts, ignore_index=True)


def _grader_health(loaded: Loaded) -> pd.DataFrame:
    columns = ["verdict", "finish", "answer", "grader_agrees"]
    origin = str(loaded.trajectories["origin"].iloc[0])
    return map_attempts(loaded.with_origin(origin), of_attempts.grader_health, origin=origin, columns=columns)


def _cost(loaded: Loaded) -> pd.DataFrame:
    if loaded.checkpoints.empty:
        raise InputError("no run has a checkpoint: what it used was not recorded")
    last = loaded.checkpoints.groupby("run_id", observed=True)["step"].transform("max")
    return loaded.checkpoints[(loaded.checkpoints["step"] == last).to_numpy()]


# Tables without a figure of their own; the frame of each figure is saved beside it.
TABLES: dict[str, tuple[str, Data]] = {
    "runs": ("The runs", lambda loaded: loaded.runs),
    "bands": ("Band of every question", lambda loaded: loaded.bands),
    "label_noise": (
        "Questions that another draw would put into another band",
        lambda loaded: label_noise(loaded.probes, loaded.bands),
    ),
    "difference_from_base": ("Each run less the base, paired by question", _compared),
    "crossover": ("k from which the base model reaches a run", crossover),
    "support": ("Sets of solved questions and their ratios", lambda loaded: solved.support(_solved_sets(loaded))),
    "gained_and_lost": (
        "Which runs gained or lost which question",
        lambda loaded: solved.sets_by_run(_solved_sets(loaded)),
    ),
    "classes": (
        "Classes of trajectories: found, and expected without learning",
        lambda loaded: count_classes(loaded.probes, loaded.prior, seed=loaded.seed),
    ),
    "trajectories": ("Class of every trajectory", lambda loaded: loaded.classified),
    "prior": ("Beta priors of step 0", lambda loaded: loaded.prior),
    "reach": ("Reach of the base model, question by question", base_reach),
    "top_up": ("Questions that more attempts would decide", lambda loaded: top_up(base_reach(loaded))),
    "cost": ("What the runs had used at their last checkpoint", _cost),
    "grader_health": ("Undecided, cut off, without an answer", _grader_health),
}
