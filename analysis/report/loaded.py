"""Read runs once for many figures: each table when first asked for, the same questions in every figure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from relift.analysis.questions.bands import assign_bands
from relift.analysis.questions.classes import classify_trajectories
from relift.analysis.runs.methods import read_methods
from relift.analysis.runs.panel import RATE_DRAWS, matched_questions, run_id_of, with_labels
from relift.analysis.runs.read import (
    label_of,
    open_runs,
    read_attempts,
    read_checkpoints,
    read_demo_events,
    read_demonstrations,
    read_questions,
    read_runs,
    read_scores,
    read_trajectories,
    read_updates,
)
from relift.analysis.style import run_styles
from relift.errors import InputError
from relift.schema import RunKind

START = "step 0"


@dataclass(frozen=True)
class Loaded:
    """Hold the runs, and how figures are to be made of them. Tables are read when first used and kept.

    `base` names the run whose step 0 assigns bands; None: see `base_id`. `splits` keeps questions of these splits.
    Each property raises InputError where the runs do not hold what it needs.
    """

    paths: tuple[Path, ...]
    base: str | None = None
    splits: tuple[str, ...] | None = None
    resamples: int = 1000
    seed: int = 0
    steps: tuple[int, ...] | None = None  # probes at these steps alone; None: all
    left_out: tuple[tuple[str, int], ...] = ()  # (run_id, step) of probes that are not looked at: damaged ones
    control: str | None = None  # name of the frozen run; None: see `control_id`

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Return one row per run (of `read_runs`)."""
        return read_runs(*self.paths)

    @cached_property
    def trajectories(self) -> pd.DataFrame:
        """Return all probes, all draws; of runs without any probe, what they were evaluated on."""
        for origin in ("probe", "benchmark"):
            frame = read_trajectories(
                list(self.paths), origin=origin, splits=self.splits, steps=self.steps, leave_out=self.left_out
            )
            if len(frame):
                return frame
        raise InputError("no run holds a probe: there are no trajectories (set probe.questions, or relift probe)")

    @cached_property
    def probes(self) -> pd.DataFrame:
        """Return draws 0 and 1 of the questions that were probed in every run and at every step."""
        return matched_questions(self.trajectories[(self.trajectories["draw"] < RATE_DRAWS).to_numpy()])

    @cached_property
    def base_id(self) -> str:
        """Choose the run that bands are assigned by: the one named; the only one; the one called base; the only one
        with step 0 alone; else the first that has a step 0."""
        if self.base is not None or len(self.paths) == 1:
            return run_id_of(self.trajectories, self.base)
        probed = with_labels(self.trajectories).groupby(["run_id", "run"], sort=False)["step"].agg(["min", "max"])
        probed = probed[probed["min"] == 0].reset_index()
        if probed.empty:
            raise InputError("no run was probed at step 0: there is no base model to compare with")
        for chosen in (probed[probed["run"] == "base"], probed[probed["max"] == 0]):
            if len(chosen) == 1:
                return str(chosen["run_id"].iloc[0])
        return str(probed["run_id"].iloc[0])

    @cached_property
    def control_id(self) -> str | None:
        """Find the frozen control, a run that was probed like the others and never trained: the one named, else the
        first whose recipe is frozen, or that is called so; None where there is none."""
        if self.control is not None:
            return run_id_of(self.trajectories, self.control)
        recipe = self.runs["recipe"] if "recipe" in self.runs else pd.Series("", index=self.runs.index)
        frozen = self.runs[(recipe == "frozen") | (self.runs["run"] == "frozen")]
        later = set(self.trajectories.loc[(self.trajectories["step"] > 0).to_numpy(), "run_id"].astype(object))
        ids = [str(run_id) for run_id in frozen["run_id"] if run_id in later]
        return ids[0] if ids else None

    @cached_property
    def worlds(self) -> tuple[Loaded, ...]:
        """Part the runs by the model that they started from, so that each is compared with its own base.

        One part where a base is named, or where all started from one model. Runs that recorded none are in the first.
        """
        readers = open_runs(list(self.paths))
        trained = [reader.run.kind is RunKind.train for reader in readers]
        model_of = [str(r.run.identity.get("model") or "") * of for r, of in zip(readers, trained, strict=True)]
        models = [model for model in dict.fromkeys(model_of) if model]
        if self.base is not None or len(models) < 2:
            return (self,)
        parts = []
        for model in models:
            inside = [m == model or (not m and model == models[0]) for m in model_of]
            named = {name for r, i in zip(readers, inside, strict=True) if i for name in (r.run_id, label_of(r))}
            paths = tuple(path for path, i in zip(self.paths, inside, strict=True) if i)
            parts.append(replace(self, paths=paths, control=self.control if self.control in named else None))
        return tuple(parts)

    @cached_property
    def methods(self) -> pd.DataFrame:
        """Return method and seed of each run (of `read_methods`)."""
        return read_methods(self.paths)

    @cached_property
    def bands(self) -> pd.DataFrame:
        """Return bands by draw 0 of the base (of `assign_bands`), of the questions in `probes`."""
        return assign_bands(self.probes, run=self.base_id)

    @cached_property
    def measure_draw(self) -> int:
        """Return 1, the draw that measures step 0; InputError where the base has only one draw there."""
        base = self.probes[(self.probes["run_id"] == self.base_id) & (self.probes["step"] == 0)]
        if not (base["draw"] == 1).any():
            raise InputError(
                "the base run has one draw at step 0, which assigns the bands and cannot measure them too: probe step "
                "0 once more"
            )
        return 1

    @cached_property
    def split_of(self) -> pd.Series:
        """Return the split of each question_id that was probed; a question in two splits has both names."""
        of = self.questions.astype({"question_id": object, "split": object})
        of = of[of["question_id"].isin(self.trajectories["question_id"].unique())]
        return of.groupby("question_id")["split"].agg(lambda names: " + ".join(sorted(set(names.dropna()))))

    @cached_property
    def compared_ends(self) -> pd.DataFrame:
        """Return draws 0 and 1 of the base's step 0 and of every run's last step, of all questions asked there."""
        rows = self.trajectories[(self.trajectories["draw"] < RATE_DRAWS).to_numpy()]
        last = rows.groupby("run_id", observed=True)["step"].transform("max")
        start = (rows["run_id"] == self.base_id) & (rows["step"] == 0)
        return rows[(start | (rows["step"] == last)).to_numpy()]

    @cached_property
    def classified(self) -> pd.DataFrame:
        """Class of every trajectory (of `classify_trajectories`)."""
        return classify_trajectories(self.probes, seed=self.seed)

    @cached_property
    def ends(self) -> pd.DataFrame:
        """Select step 0 and each run's last step of `probes`."""
        last = self.probes.groupby("run_id", observed=True)["step"].transform("max")
        return self.probes[((self.probes["step"] == 0) | (self.probes["step"] == last)).to_numpy()]

    @cached_property
    def compared(self) -> pd.DataFrame:
        """Return `ends`, with step 0 of a base run that was trained itself as a run of its own, called "step 0"."""
        ends = with_labels(self.ends)
        of_base = ends["run_id"] == self.base_id
        start = of_base & (ends["step"] == 0)
        if not (of_base & (ends["step"] > 0)).any():
            start[:] = False
        return ends.assign(
            run_id=ends["run_id"].where(~start, START), run=ends["run"].where(~start, START)
        ).sort_values("run_id", key=lambda ids: ids != START, kind="stable")

    @property
    def compared_base_id(self) -> str:
        """Return the run_id of the base in `compared`."""
        return START if (self.compared["run_id"] == START).any() else self.base_id

    @cached_property
    def rollouts(self) -> pd.DataFrame:
        """Return trajectories of the training rollouts."""
        return read_trajectories(list(self.paths), origin="rollout")

    @cached_property
    def updates(self) -> pd.DataFrame:
        """Return one row per optimizer step."""
        return read_updates(list(self.paths))

    @cached_property
    def checkpoints(self) -> pd.DataFrame:
        """Return one row per checkpoint."""
        return read_checkpoints(list(self.paths))

    @cached_property
    def demonstrations(self) -> pd.DataFrame:
        """Return one row per demonstration; InputError if there is none."""
        found = read_demonstrations(list(self.paths))
        if found.empty:
            raise InputError("no run has demonstrations")
        return found

    @cached_property
    def demo_events(self) -> pd.DataFrame:
        """Return one row per event of a demonstration; InputError if there is none."""
        events = read_demo_events(list(self.paths))
        if events.empty:
            raise InputError("no run has demonstrations")
        return events

    @cached_property
    def buffer_events(self) -> pd.DataFrame:
        """Return events of the runs whose demonstrations waited in a buffer; InputError if none did."""
        events = self.demo_events
        runs = events.loc[events["event"].astype(str) == "enqueue", "run_id"].astype(object).unique()
        if not len(runs):
            raise InputError("no demonstration waited in a buffer")
        return events[events["run_id"].isin(runs)]

    @cached_property
    def questions(self) -> pd.DataFrame:
        """Return one row per run and question."""
        return read_questions(list(self.paths))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Return one row per score."""
        return read_scores(list(self.paths))

    def last_attempts(self, columns: list[str]) -> pd.DataFrame:
        """Return attempts of each run's last probe, read one run at a time."""
        frames = []
        for run_id, step in self.trajectories.groupby("run_id", observed=True)["step"].max().items():
            origin = str(self.trajectories["origin"].iloc[0])
            path = self.path_of(str(run_id))
            frames.append(read_attempts([path], origin=origin, steps=[int(step)], columns=columns))
        return pd.concat([f.astype({"run_id": object, "run": object, "question_id": object}) for f in frames])

    def path_of(self, run_id: str) -> Path:
        """Return the folder of a run."""
        return Path(self.runs.loc[self.runs["run_id"] == run_id, "folder"].iloc[0])

    def with_origin(self, origin: str) -> list[Path]:
        """Return folders of runs that hold attempts of this origin."""
        frame = self.rollouts if origin == "rollout" else self.trajectories
        found = set(frame["run_id"].astype(object).unique())
        return [Path(folder) for run_id, folder in self.runs[["run_id", "folder"]].to_numpy() if run_id in found]


def load(
    runs: Sequence[Path | str],
    *,
    base: str | None = None,
    splits: Collection[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    control: str | None = None,
) -> Loaded:
    """Open runs for figures, in the order of legends. InputError if a folder holds no run, or two the same one."""
    kept = None if splits is None else tuple(splits)
    loaded = Loaded(tuple(Path(run) for run in runs), base, kept, resamples, seed, control=control)
    if loaded.runs.empty:
        raise InputError("no run was given")
    order = list(run_styles(loaded.runs["run"]))  # of legends: figures, tables and words then agree
    paths = sorted(loaded.runs[["run", "folder"]].to_numpy(), key=lambda row: order.index(str(row[0])))
    return replace(loaded, paths=tuple(Path(folder) for _, folder in paths))
