"""Call each question within reach, beyond reach or undetermined, count them, and follow them over training.

A question scored 0 of 8 may have p = .3. The counts of the question alone decide, never a prior: a prior fitted to the
other questions would let them decide, so that one question has two labels in two frames, and a question that was solved
could be called unreachable. Axes: Q questions, C columns (run at step), G classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc

from relift import stats
from relift.analysis import style
from relift.analysis.runs.counts import Counts
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import RATE_DRAWS, lay_out_counts, matched_questions, one_origin, run_id_of, with_labels
from relift.errors import InputError

EPSILON_64 = 1 - 0.05 ** (1 / 64)  # .0457: from here on 64 attempts solve it with 95 % probability
REACH = ("within", "undetermined", "beyond")
COLOURS = {"within": "#0072B2", "undetermined": style.GREY, "beyond": "#E69F00"}
_COUNTS = ["n_attempts", "n_correct", "n_undecided"]
_COLUMNS = ["run_id", "run", "step", "reach", "count", "share", "low", "high", "n_questions", "n_attempts", "epsilon"]


def reach_codes(
    n_correct: ArrayLike, n_decided: ArrayLike, *, epsilon: float = EPSILON_64, level: float = 0.95
) -> NDArray[np.int64]:
    """Return the class of c correct of n decided attempts, as position in REACH.

    beyond        never solved, and so many attempts that a question with p >= epsilon is solved at least once with
                  probability `level`: (1 - epsilon)^n <= 1 - level, which needs 64 at the default epsilon
    within        a question with p <= epsilon would be solved so often with probability 1 - level at most:
                  P(X >= c | n, epsilon) <= 1 - level
    undetermined  else
    So of the questions with p >= epsilon at most a share 1 - level is called beyond, whatever other questions there
    are. A stopping rule that asks a question again only while it is unsolved leaves that as it is.
    """
    c, n = np.broadcast_arrays(np.asarray(n_correct, np.float64), np.asarray(n_decided, np.float64))
    slack = (1 - level) * (1 + 1e-9)  # epsilon_64 gives exactly .05 at 64 attempts, up to rounding
    at_least_c = betainc(np.maximum(c, 1), n - np.maximum(c, 1) + 1 + (n < 1), epsilon)  # P(X >= c), c > 0
    beyond = (c == 0) & (n > 0) & ((1 - epsilon) ** n <= slack)
    within = (c > 0) & (at_least_c <= slack)
    return np.select([within, beyond], [REACH.index("within"), REACH.index("beyond")], REACH.index("undetermined"))


def fit_prior(
    trajectories: pd.DataFrame, *, step: int = 0, draws: Sequence[int] = tuple(range(RATE_DRAWS))
) -> pd.DataFrame:
    """Fit Beta(a, b) over the questions' rates at `step`, by maximum likelihood: one row per run.

    Columns: run_id, run, step, a, b, log_likelihood (nats), n_questions. Top-ups (draws from 2 on) must stay
    out: their questions were chosen by outcome. InputError if no run was probed at `step`.
    """
    one_origin(trajectories)
    chosen = trajectories[(trajectories["step"] == step) & trajectories["draw"].isin(list(draws))]
    if chosen.empty:
        raise InputError(f"no run has a probe at step {step} in draws {', '.join(map(str, draws))}")
    rows = []
    for (run_id, run), counts in _pooled(chosen).groupby(["run_id", "run"], sort=False):
        fit = stats.beta_binomial_fit(counts["n_correct"], counts["n_decided"])
        n_questions = int((counts["n_decided"] > 0).sum())
        rows.append((run_id, run, step, fit.a, fit.b, fit.log_likelihood, n_questions))
    return pd.DataFrame(rows, columns=["run_id", "run", "step", "a", "b", "log_likelihood", "n_questions"])


def reach(
    trajectories: pd.DataFrame,
    prior: pd.DataFrame | None = None,
    *,
    step: int = 0,
    epsilon: float = EPSILON_64,
    level: float = 0.95,
) -> pd.DataFrame:
    """Class every question of `step`: one row per run and question with n_correct, n_decided of all draws, and reach.

    reach is of `reach_codes`; questions without a decided attempt are undetermined. All draws enter, top-ups too.
    `prior` (of `fit_prior`) adds p_below, P(p < epsilon | counts) under the run's prior or the only one given: good
    for an order of the undetermined, and no part of reach.
    """
    one_origin(trajectories)
    counts = _pooled(trajectories[trajectories["step"] == step])
    if prior is not None:
        counts["p_below"] = _p_below(counts, prior, epsilon=epsilon)
    codes_Q = reach_codes(counts["n_correct"], counts["n_decided"], epsilon=epsilon, level=level)
    counts["reach"] = np.array(REACH, dtype=object)[codes_Q]
    counts["epsilon"] = epsilon
    return counts


def _p_below(counts: pd.DataFrame, prior: pd.DataFrame, *, epsilon: float) -> stats.Floats:
    shapes = prior.set_index(prior["run_id"].astype(object))[["a", "b"]]
    if len(shapes) == 1:
        of_question = shapes.iloc[np.zeros(len(counts), dtype=int)]
    else:
        missing = sorted(set(counts["run_id"]) - set(shapes.index))
        if missing:
            raise InputError(f"no prior was fitted for run {', '.join(missing)}")
        of_question = shapes.loc[counts["run_id"]]
    a, b = (of_question[name].to_numpy() for name in ("a", "b"))
    return stats.beta_below(counts["n_correct"], counts["n_decided"], a=a, b=b, epsilon=epsilon)


def top_up(reached: pd.DataFrame, *, only_zero: bool = False) -> pd.DataFrame:
    """Choose the questions to sample again: the undetermined, or of these only those never solved.

    Columns run_id, run, question_id, n_correct, n_decided. Sample them as draw 2, so that rates leave them out.
    """
    again = reached["reach"] == "undetermined"
    if only_zero:
        again &= reached["n_correct"] == 0
    return reached.loc[again, ["run_id", "run", "question_id", "n_correct", "n_decided"]].reset_index(drop=True)


def _pooled(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Sum the counts by run and question over the draws that are there."""
    labelled = with_labels(trajectories)
    labelled["question_id"] = labelled["question_id"].astype(object)
    summed = labelled.astype(dict.fromkeys(_COUNTS, "int64")).groupby(
        ["run_id", "run", "question_id"], sort=False, as_index=False
    )[_COUNTS]
    pooled = summed.sum()
    pooled["n_decided"] = pooled.pop("n_attempts") - pooled.pop("n_undecided")
    return pooled


def reach_counts(
    trajectories: pd.DataFrame | Counts,
    *,
    base: str,
    epsilon: float = EPSILON_64,
    level: float = 0.95,
    control: str | None = None,
) -> pd.DataFrame:
    """Count the questions in each class of REACH: one row per run and class.

    The base at step 0 and every run at its last step, by all draws, top-ups too. Columns: run_id, run, step, reach,
    count, share, low, high (95 %, Wilson over questions), n_questions, n_attempts (range as text), epsilon. Over the
    questions that were asked at all of these ends. `control` names a frozen run: then also control_count, how many it
    has in the class at its last step. InputError if the base has no step 0.
    """
    ends, correct_QE, decided_QE = _at_the_ends(trajectories, base)
    rows = []
    for at, (run_id, run, step) in enumerate(ends.itertuples(index=False)):
        decided_Q, n = decided_QE[:, at], len(decided_QE)
        codes_Q = reach_codes(correct_QE[:, at], decided_Q, epsilon=epsilon, level=level)
        count_G = np.bincount(codes_Q, minlength=len(REACH))
        attempts = style.count_range(np.unique(decided_Q))
        for name, count in zip(REACH, count_G.tolist(), strict=True):
            low, high = stats.wilson(count, n)
            key = (run_id, run, int(step), name)
            rows.append((*key, count, count / n, float(low), float(high), n, attempts, epsilon))
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    if control is None:
        return frame
    own = frame[(frame["run_id"] == run_id_of(frame, control)) & (frame["step"] > 0)]
    return frame.assign(control_count=frame["reach"].map(own.set_index("reach")["count"]))


def _at_the_ends(
    trajectories: pd.DataFrame | Counts, base: str
) -> tuple[pd.DataFrame, NDArray[np.int64], NDArray[np.int64]]:
    """Find the ends (run_id, run, step), the base at step 0 first, and correct and decided attempts there: [Q, E]."""
    one_origin(trajectories)
    probes = trajectories.probes if isinstance(trajectories, Counts) else with_labels(trajectories)
    base_id = run_id_of(probes, base)
    last = probes.groupby(["run_id", "run"], sort=False)["step"].max().reset_index()
    if not ((probes["run_id"] == base_id) & (probes["step"] == 0)).any():
        raise InputError(f"run {base} has no probe at step 0")
    start = last[last["run_id"] == base_id].assign(step=0)
    ends = pd.concat([start, last[(last["run_id"] != base_id) | (last["step"] > 0)]], ignore_index=True)
    place = pd.MultiIndex.from_frame(ends[["run_id", "step"]])
    end_N = place.get_indexer(pd.MultiIndex.from_frame(probes[["run_id", "step"]].astype({"run_id": object})))
    if isinstance(trajectories, Counts):
        counts = trajectories.count_QP
        sum_QE = {name: _sum_columns(counts[name], end_N, len(ends)) for name in counts}
        rated = np.where((probes["draw"] < RATE_DRAWS).to_numpy(), end_N, -1)
        asked_QE = _sum_columns(counts["n_attempts"], rated, len(ends)) > 0
    else:
        question_N, questions = pd.factorize(trajectories["question_id"].astype(object))
        rated_N = (end_N >= 0) & (probes["draw"] < RATE_DRAWS).to_numpy()
        sum_QE = {
            name: _sum_rows(question_N, end_N, trajectories[name].to_numpy(np.int64), end_N >= 0, questions, ends)
            for name in _COUNTS
        }
        asked_QE = _sum_rows(question_N, end_N, np.ones(len(end_N), np.int64), rated_N, questions, ends) > 0
    asked_Q = asked_QE.all(axis=1)
    if not asked_Q.any():
        raise InputError("no question was probed at the ends of all runs: select runs or splits")
    sum_QE = {name: count_QE[asked_Q] for name, count_QE in sum_QE.items()}
    return ends, sum_QE["n_correct"], sum_QE["n_attempts"] - sum_QE["n_undecided"]


def _sum_columns(count_QP: NDArray[np.int16], end_P: NDArray[np.intp], n_ends: int) -> NDArray[np.int64]:
    """Sum the probes of each end: [Q, E]."""
    sum_QE = np.zeros((len(count_QP), n_ends), np.int64)
    for probe in np.flatnonzero(end_P >= 0):
        sum_QE[:, end_P[probe]] += count_QP[:, probe]
    return sum_QE


def _sum_rows(
    question_N: NDArray[np.intp], end_N: NDArray[np.intp], value_N: NDArray[np.int64], kept_N: NDArray[np.bool_],
    questions: Any, ends: pd.DataFrame,
) -> NDArray[np.int64]:  # fmt: skip
    """Sum rows of a trajectories frame by question and end: [Q, E]."""
    sum_QE = np.zeros((len(questions), len(ends)), np.int64)
    np.add.at(sum_QE, (question_N[kept_N], end_N[kept_N]), value_N[kept_N])
    return sum_QE


def reach_accuracy(
    trajectories: pd.DataFrame, reached: pd.DataFrame, *, resamples: int = 200, seed: int = 0
) -> pd.DataFrame:
    """Follow the questions of each class of the base model: one row per run, class of reach and step after 0.

    `reached` of `reach`, of the base run alone. Step 0 is left out: all of its attempts took part in the classing.
    Columns: accuracy, low, high (95 %, bootstrap by question, null where that has no width), n_questions. Over the
    questions that all runs and steps share. InputError if `reached` has several runs, or nothing is measured later.
    """
    if reached["run_id"].nunique() != 1:
        raise InputError("reach_accuracy: classes of several runs: choose those of the base run")
    later = trajectories[(trajectories["step"] > 0).to_numpy()]
    if later.empty:
        raise InputError("no run has a probe at a step after 0")
    panel = lay_out_counts(matched_questions(later))
    class_of = reached.set_index(reached["question_id"].astype(object))["reach"]
    code_Q = pd.Categorical(class_of.reindex(panel.question_ids), categories=list(REACH)).codes.astype(np.int64)
    decided_QC = panel.sum_QC["n_decided"]
    rate_QC = np.nan_to_num(stats.rate(panel.sum_QC["n_correct"], decided_QC))
    measured_QC = (decided_QC > 0).astype(np.float64)
    estimates = stats.bootstrap_ratios(
        rate_QC, measured_QC, code_Q, n_groups=len(REACH), resamples=resamples, seed=seed
    )
    low_GC, high_GC = stats.percentile_interval(estimates)
    parts = []
    for i, name in enumerate(REACH):
        n_C = measured_QC[code_Q == i].sum(axis=0)
        wide_C = high_GC[i] - low_GC[i] > 1e-12
        parts.append(
            panel.columns.assign(
                reach=name,
                accuracy=stats.rate(rate_QC[code_Q == i].sum(axis=0), n_C),
                low=np.where(wide_C, low_GC[i], np.nan),
                high=np.where(wide_C, high_GC[i], np.nan),
                n_questions=n_C.astype(np.int64),
                resamples=resamples,
                seed=seed,
            )
        )
    order = {run_id: i for i, run_id in enumerate(dict.fromkeys(panel.columns["run_id"]))}
    frame = pd.concat(parts, ignore_index=True)
    return frame.iloc[np.argsort(frame["run_id"].map(order), kind="stable")].reset_index(drop=True)


def plot_reach(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw questions within reach, undetermined, beyond as a stacked bar per run; returns the Axes."""
    styles = style.run_styles(frame["run"])
    parts = [(run, at) for run, rows in style.by_style(frame, styles) for _, at in rows.groupby("step")]
    if axes is None:
        axes = style.one_axes(height=0.75 + 0.24 * len(parts))
    with style.context():
        for row, (_, one) in enumerate(parts):
            left = 0
            for name in REACH:
                count = int(one.loc[one["reach"] == name, "count"].sum())
                axes.barh(row, count, left=left, color=COLOURS[name], height=0.7, label=name if row == 0 else None)
                if count > 0.04 * one["n_questions"].iloc[0]:
                    colour = style.text_colour(COLOURS[name])
                    axes.text(left + count / 2, row, str(count), ha="center", va="center", fontsize=6.5, color=colour)
                left += count
        axes.set_yticks(range(len(parts)), [f"{styles[run].label}, step {o['step'].iloc[0]}" for run, o in parts])
        axes.set_ylim(len(parts) - 0.5, -0.5)
        axes.set_xlim(0, frame["n_questions"].max())
        axes.set_xlabel("questions")
        axes.figure.legend(loc="outside upper center", ncols=3)
    return axes


def caption_reach(frame: pd.DataFrame) -> str:
    """Say what a reader of the bars must know."""
    ends = frame.drop_duplicates(["run_id", "step"])[["run", "step", "n_attempts"]]
    common = str(ends["n_attempts"].astype(str).mode().iloc[0])
    apart = ends[(ends["n_attempts"].astype(str) != common).to_numpy()]
    attempts = ", ".join([common, *(f"{n} of {run} at step {step}" for run, step, n in apart.to_numpy())])
    epsilon = float(frame["epsilon"].iloc[0])
    never = not frame.loc[frame["reach"] == "beyond", "count"].any()
    few = " None is called beyond: that takes 64 attempts without a correct one at this limit." if never else ""
    return (
        f"{int(frame['n_questions'].iloc[0])} questions, each by its own attempts alone. Within reach: too many "
        f"correct for a rate of {epsilon:.3f} or less. Beyond: never solved, in so many attempts that a question with "
        f"that rate is solved with 95 % probability. Attempts a question: {attempts}.{few}"
    )


def plot_reach_accuracy(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw accuracy over steps of the questions in each class of the base's reach. Returns the Axes."""
    used = [name for name in REACH if frame.loc[frame["reach"] == name, "n_questions"].any()]
    if axes is None:
        axes = style.new_axes(1, len(used), height=2.1, sharex=True, sharey=True)[0]
    axes = np.asarray(axes, dtype=object).ravel()
    styles = style.run_styles(frame["run"])
    with style.context():
        for one, name in zip(axes, used, strict=True):
            in_class = frame[frame["reach"] == name]
            for run, line in style.by_style(in_class, styles):
                style.line_with_interval(one, line["step"], line, "accuracy", styles[run])
            one.set_title(f"{name}\n{style.count_range(in_class['n_questions'])} questions")
            one.set_ylim(-0.02, 1.02)
            style.whole_steps(one)
            one.set_xlim(left=0)
        axes[0].set_ylabel("accuracy")
        style.legend_above(axes[0].figure, styles)
    return axes


def caption_reach_accuracy(frame: pd.DataFrame) -> str:
    """Say what a reader of the curves must know."""
    return (
        "Accuracy after training of the questions that were within, beyond or undetermined for the base model. Step 0 "
        "is not shown: its attempts chose the classes. Shaded: 95 % intervals, bootstrap by question, "
        f"{frame['resamples'].iloc[0]} resamples."
    )


def base_reach(loaded: LoadedRuns) -> pd.DataFrame:
    """Class the base model's reach of each question, of all its draws at step 0 (of `reach`)."""
    return reach(loaded.trajectories[(loaded.trajectories["run_id"] == loaded.base_id).to_numpy()])


def _counts_data(loaded: LoadedRuns) -> pd.DataFrame:
    """Count by all draws, top-ups too, over the questions that figures are about."""
    kept = loaded.trajectories["question_id"].isin(loaded.probes["question_id"].unique())
    return reach_counts(loaded.trajectories[kept.to_numpy()], base=loaded.base_id, control=loaded.control_id)


def _accuracy_data(loaded: LoadedRuns) -> pd.DataFrame:
    return reach_accuracy(loaded.probes, base_reach(loaded), resamples=loaded.resamples, seed=loaded.seed)


COUNTS = Figure(
    "reach", "Within and beyond reach", "What is within reach",
    data=_counts_data, draw=plot_reach, caption=caption_reach,
)  # fmt: skip
ACCURACY = Figure(
    "reach_accuracy", "Accuracy by the base model's reach", "What is within reach",
    data=_accuracy_data, draw=plot_reach_accuracy, caption=caption_reach_accuracy,
)  # fmt: skip
