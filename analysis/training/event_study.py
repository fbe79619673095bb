"""Follow a question after its demonstration was trained on, beside questions like it that were not.

A demonstration is trained on after its question was all wrong, which is partly bad luck: the next measurement rises by
itself. So a rise counts only against questions that were all wrong as long ago and were not trained on.
Axes: N observations (a question measured at a step), R resamples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift import stats
from relift.analysis import style
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import RATE_DRAWS, one_origin, run_id_of, with_labels
from relift.errors import InputError
from relift.schema import DemoEvent

WAITING = "waiting in the buffer"


def around_training(
    trajectories: pd.DataFrame,
    demo_events: pd.DataFrame,
    *,
    horizon: int,
    width: int = 8,
    run: str | None = None,
    controls: str | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare questions trained on with controls: one row per `width` steps after the first training, up to `horizon`.

    trained: mean rate of the questions trained on; control: that of their controls; att: mean difference, low and
    high its 95 % interval (bootstrap by question). A control was all wrong in the same `width` steps, was not trained
    on until measured, and is measured in the same `width` steps. `controls` None: questions of the same run that had
    been enqueued and still waited (they leave when they are trained on); else a run, whose questions with an all-wrong
    group would have been enqueued had it had a buffer. `run` names the run of `demo_events` to study, None the only
    one. `trajectories` are of one origin; a probe is measured after its step's update, rollouts before it.
    n_trained, n_controls count questions; n_unmatched are trained on but have no control, and are in no mean. A row
    without controls has null means. InputError if nothing was trained on, or nothing measured afterwards.
    """
    events, origin = with_labels(demo_events), one_origin(trajectories)
    run_id = run_id_of(events, run)
    seen = _observations(trajectories, run_id)
    entered, trained = _first_events(events[events["run_id"] == run_id])
    if trained.empty:
        raise InputError("no demonstration was trained on: there is nothing to follow")
    seen = seen.assign(entered=seen["question_id"].map(entered), trained=seen["question_id"].map(trained))
    after = seen["step"] - seen["trained"]
    measured_after = after >= (1 if origin == "rollout" else 0)
    treated = seen.assign(after=after)[measured_after & (after < horizon)]
    if treated.empty:
        raise InputError(
            f"no question was measured within {horizon} steps after it was trained on: probe the training questions, "
            'read origin="rollout", or look further'
        )
    if controls is None:
        waiting = seen[seen["entered"].notna() & (seen["step"] > seen["entered"]) & ~measured_after]
    else:
        waiting = _would_wait(trajectories, run_id_of(trajectories, controls))
    frame = _by_horizon(treated, waiting, width=width, horizon=horizon, resamples=resamples, seed=seed)
    label = str(events.loc[events["run_id"] == run_id, "run"].iloc[0])
    keys = {"run_id": run_id, "run": label, "controls": controls or WAITING, "origin": origin}
    return frame.assign(**keys, width=width, resamples=resamples, seed=seed)


def _observations(trajectories: pd.DataFrame, run_id: str) -> pd.DataFrame:
    """List question_id, step, rate of one run, draws 0 and 1 pooled."""
    rows = trajectories[((trajectories["run_id"] == run_id) & (trajectories["draw"] < RATE_DRAWS)).to_numpy()]
    names = ["n_attempts", "n_correct", "n_undecided"]
    keys = [rows["question_id"].astype(object), rows["step"].astype("int64")]
    counts = rows[names].astype("int64").groupby(keys).sum().reset_index()
    counts["n_decided"] = counts.pop("n_attempts") - counts.pop("n_undecided")
    counts["rate"] = stats.rate(counts["n_correct"], counts["n_decided"])
    return counts[counts["n_decided"] > 0]


def _first_events(events: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Find the step of each question's first entry into the buffer, and of its first training, by question_id."""
    events = events.reset_index(drop=True)
    kind, question = events["event"].astype(str), events["question_id"].astype(object)
    refused = events["reason"].notna() if "reason" in events else np.zeros(len(events), bool)
    entered = events[kind == DemoEvent.enqueue].groupby(question)["step"].min()
    return entered, events[(kind == DemoEvent.train) & ~refused].groupby(question)["step"].min()


def _would_wait(trajectories: pd.DataFrame, run_id: str) -> pd.DataFrame:
    """List observations of a run's questions after their first all-wrong group."""
    seen = _observations(trajectories, run_id)
    entered = seen[seen["n_correct"] == 0].groupby("question_id")["step"].min()
    seen = seen.assign(entered=seen["question_id"].map(entered))
    return seen[seen["step"] > seen["entered"]]


def _by_horizon(
    treated: pd.DataFrame, waiting: pd.DataFrame, *, width: int, horizon: int, resamples: int, seed: int
) -> pd.DataFrame:
    # trained on without ever having been enqueued (plain fine-tuning): no control can have waited as long
    both = pd.concat([treated.assign(is_treated=True), waiting.assign(is_treated=False, after=-1.0)])
    both = both[both["entered"].notna()]
    cell_N = pd.factorize(pd.MultiIndex.from_arrays([both["entered"] // width, both["step"] // width]))[0]
    question_N, questions = pd.factorize(both["question_id"])
    treated_N = both["is_treated"].to_numpy(bool)
    bin_N = np.where(treated_N, both["after"] // width, -1).astype(np.int64)
    n_bins = -(-horizon // width)
    means = _Means(both["rate"].to_numpy(float), cell_N, treated_N, bin_N, n_bins)
    trained_H, control_H = means.of(np.ones(len(both)))
    resampled = [
        np.subtract(*means.of(weight_Q[question_N].astype(float)))
        for weight_RQ in stats.bootstrap_weights(len(questions), resamples, seed=seed)
        for weight_Q in weight_RQ
    ]
    low_H, high_H = stats.percentile_interval(np.stack(resampled) if resampled else np.zeros((0, n_bins)))
    rows = []
    for h in range(n_bins):
        in_bin_N = treated_N & (bin_N == h)
        matched_N = in_bin_N & means.has_control_N
        control_N = ~treated_N & np.isin(cell_N, cell_N[matched_N])
        n_of = [len(np.unique(question_N[of_N])) for of_N in (matched_N, control_N, in_bin_N & ~means.has_control_N)]
        n_lost = treated["question_id"][treated["entered"].isna() & (treated["after"] // width == h)].nunique()
        level = (trained_H[h], control_H[h], trained_H[h] - control_H[h])
        ends = (low_H[h], high_H[h]) if high_H[h] - low_H[h] > 1e-12 else (np.nan, np.nan)
        rows.append((h * width, min(horizon, (h + 1) * width), *level, *ends, *n_of[:2], n_of[2] + n_lost))
    names = ["from", "to", "trained", "control", "att", "low", "high", "n_trained", "n_controls", "n_unmatched"]
    return pd.DataFrame(rows, columns=names)


class _Means:
    """Average by horizon, with weights, treated observations and the controls of their cells."""

    def __init__(
        self,
        rate_N: stats.Floats,
        cell_N: NDArray[np.intp],
        treated_N: NDArray[np.bool_],
        bin_N: NDArray[np.int64],
        n_bins: int,
    ):
        self._rate_N, self._cell_N, self._treated_N, self._bin_N, self._n_bins = (
            rate_N,
            cell_N,
            treated_N,
            bin_N,
            n_bins,
        )
        self._n_cells = int(cell_N.max(initial=-1)) + 1
        self.has_control_N = np.bincount(cell_N[~treated_N], minlength=self._n_cells)[cell_N] > 0

    def of(self, weight_N: stats.Floats) -> tuple[stats.Floats, stats.Floats]:
        """Return (trained, control) by horizon, nan where a horizon has no treated observation with a control."""
        waits_N = ~self._treated_N
        control_C = stats.rate(
            np.bincount(self._cell_N[waits_N], (weight_N * self._rate_N)[waits_N], minlength=self._n_cells),
            np.bincount(self._cell_N[waits_N], weight_N[waits_N], minlength=self._n_cells),
        )
        # a resample may hold none of a cell's controls: its treated observations are then left out of it
        used_N = self._treated_N & ~np.isnan(control_C[self._cell_N])
        bins_N, w_N = self._bin_N[used_N], weight_N[used_N]
        total_H = np.bincount(bins_N, w_N, minlength=self._n_bins)
        trained_H = np.bincount(bins_N, w_N * self._rate_N[used_N], minlength=self._n_bins)
        control_H = np.bincount(bins_N, w_N * control_C[self._cell_N[used_N]], minlength=self._n_bins)
        return stats.rate(trained_H, total_H), stats.rate(control_H, total_H)


def plot_around_training(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw, left, rate of questions trained on and of their controls; right, the difference. Returns the two Axes."""
    if axes is None:
        axes = style.new_axes(1, 2, height=2.1)[0]
    axes = np.asarray(axes, dtype=object).ravel()
    styles = style.run_styles(frame["run"])
    with style.context():
        axes[1].axhline(0, color="black", linewidth=0.5)
        for run, one in style.by_style(frame, styles):
            look, middle = styles[run], (one["from"] + one["to"]) / 2
            axes[0].plot(middle, one["trained"], **look.line(), label="trained on" if len(styles) == 1 else look.label)
            axes[0].plot(
                middle, one["control"], color=look.colour, linestyle=(0, (1, 1.5)), marker=".", label="controls"
            )
            error = np.stack([one["att"] - one["low"], one["high"] - one["att"]])
            axes[1].errorbar(
                middle, one["att"], yerr=np.nan_to_num(error), color=look.colour, marker=look.marker, capsize=2,
                linestyle="none", linewidth=0.9,
            )  # fmt: skip
        axes[0].set_ylabel("accuracy")
        axes[0].set_ylim(0, None)
        axes[0].legend(loc="upper left")
        axes[1].set_ylabel("difference")
        for side in axes:
            side.set_xlim(0, frame["to"].max())
            side.set_xlabel("steps after training on it")
        if not frame["att"].notna().any():
            axes[1].text(0.5, 0.5, "no controls", ha="center", va="center", transform=axes[1].transAxes)
    return axes


def caption_around_training(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    others = [str(name) for name in frame["controls"].unique() if name != WAITING]
    same = ["questions of the same run that waited in the buffer as long"] * (WAITING in set(frame["controls"]))
    who = "; ".join([*same, *(f"questions of run {name} that were all wrong in the same steps" for name in others)])
    runs = ", ".join(frame["run"].unique())
    unmatched = int(frame["n_unmatched"].sum())
    return (
        f"Accuracy of questions after their demonstration was first trained on ({runs}, "
        f"{style.count_range(frame['n_trained'])} questions a point), and of controls: {who}, measured in the same "
        f"{frame['width'].iloc[0]} steps ({frame['origin'].iloc[0]}s). Difference with 95 % interval, bootstrap by "
        f"question, {frame['resamples'].iloc[0]} resamples. Without a control, in no mean: {unmatched}."
    )


def _data(loaded: LoadedRuns) -> pd.DataFrame:
    """Take controls from the same run's buffer; where few waited long enough, from a run without demonstrations."""
    events, rollouts = loaded.demo_events, loaded.rollouts
    enqueued = loaded.buffer_events["run_id"].astype(object).unique()
    without = [r for r in rollouts["run_id"].astype(object).unique() if r not in set(events["run_id"].astype(object))]
    frames = []
    for run_id in enqueued:
        horizon = max(6, int(rollouts.loc[rollouts["run_id"] == run_id, "step"].max() * 2 / 3))
        options: dict[str, Any] = {"horizon": horizon, "width": -(-horizon // 6), "run": run_id}
        options |= {"resamples": min(loaded.resamples, 200), "seed": loaded.seed}
        frame = around_training(rollouts, events, **options)
        if frame["att"].notna().mean() < 0.5 and (other := _control_of(loaded, run_id, without)) is not None:
            beside = around_training(rollouts, events, controls=other, **options)
            if beside["att"].notna().sum() > frame["att"].notna().sum():
                frame = beside
                frame["controls"] = loaded.runs.loc[loaded.runs["run_id"] == other, "run"].iloc[0]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _control_of(loaded: LoadedRuns, run_id: str, without: list[str]) -> str | None:
    """Choose whose all-wrong questions are the controls: a run that learnt before a frozen one, then one of the same
    seed, then the one with most of them."""
    seeds = loaded.methods.set_index("run_id")["seed"]
    rollouts = loaded.rollouts
    wrong = rollouts[(rollouts["n_correct"] == 0).to_numpy()].astype({"run_id": object})["run_id"].value_counts()
    recipes: dict[str, str] = dict(loaded.runs[["run_id", "recipe"]].to_numpy()) if "recipe" in loaded.runs else {}

    def rank(other: str) -> tuple[bool, bool, int]:
        own, theirs = seeds.get(run_id), seeds.get(other)
        same = not pd.isna(own) and not pd.isna(theirs) and own == theirs
        return recipes.get(other) == "frozen", not same, -int(wrong.get(other, 0))

    return min(without, key=rank, default=None)


AFTER_TRAINING = Figure(
    "after_training", "After a demonstration was trained on", "Training",
    data=_data, draw=plot_around_training, caption=caption_around_training,
)  # fmt: skip
