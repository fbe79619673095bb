"""Within reach, beyond reach, undetermined: by posterior, never by a score of zero alone.

A question scored 0 of 8 may have p = .3. It is called beyond reach only if p < epsilon is 95 % sure under a
beta prior fitted to all questions; with 8 or 16 attempts no question can be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis.runs.panel import RATE_DRAWS, one_origin, with_labels
from relift.errors import InputError

EPSILON_64 = 1 - 0.05 ** (1 / 64)  # .0457: from here on 64 attempts solve it with 95 % probability


def fit_prior(
    trajectories: pd.DataFrame, *, step: int = 0, draws: Sequence[int] = tuple(range(RATE_DRAWS))
) -> pd.DataFrame:
    """One row per run: Beta(a, b) over the questions' rates at `step`, by maximum likelihood.

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
    prior: pd.DataFrame,
    *,
    step: int = 0,
    epsilon: float = EPSILON_64,
    level: float = 0.95,
) -> pd.DataFrame:
    """One row per run and question: n_correct, n_decided of all draws at `step`, p_below, reach.

    p_below = P(p < epsilon | counts) under the run's prior (or the only one in `prior`). reach: "beyond" where
    p_below >= level, "within" where 1 - p_below >= level, else "undetermined", which includes questions
    without a decided attempt. All draws enter, top-ups too: stopping rules do not bias a posterior.
    """
    one_origin(trajectories)
    counts = _pooled(trajectories[trajectories["step"] == step])
    shapes = prior.set_index(prior["run_id"].astype(object))[["a", "b"]]
    if len(shapes) == 1:
        of_question = shapes.iloc[np.zeros(len(counts), dtype=int)]
    else:
        missing = sorted(set(counts["run_id"]) - set(shapes.index))
        if missing:
            raise InputError(f"no prior was fitted for run {', '.join(missing)}")
        of_question = shapes.loc[counts["run_id"]]
    p_below = stats.beta_below(
        counts["n_correct"],
        counts["n_decided"],
        a=of_question["a"].to_numpy(),
        b=of_question["b"].to_numpy(),
        epsilon=epsilon,
    )
    counts["p_below"] = p_below
    sure = np.select([p_below >= level, 1 - p_below >= level], ["beyond", "within"], "undetermined")
    counts["reach"] = np.where(counts["n_decided"] > 0, sure, "undetermined")
    counts["epsilon"] = epsilon
    return counts


def top_up(reached: pd.DataFrame, *, only_zero: bool = False) -> pd.DataFrame:
    """One row per run and question to sample again: the undetermined, or of these only those never solved.

    Columns run_id, run, question_id, n_correct, n_decided. Sample them as draw 2, so that rates leave them out.
    """
    again = reached["reach"] == "undetermined"
    if only_zero:
        again &= reached["n_correct"] == 0
    return reached.loc[again, ["run_id", "run", "question_id", "n_correct", "n_decided"]].reset_index(drop=True)


def _pooled(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Counts by run and question, summed over the draws that are there."""
    labelled = with_labels(trajectories)
    labelled["question_id"] = labelled["question_id"].astype(object)
    counts = ["n_attempts", "n_correct", "n_undecided"]
    summed = labelled.astype(dict.fromkeys(counts, "int64")).groupby(
        ["run_id", "run", "question_id"], sort=False, as_index=False
    )[counts]
    pooled = summed.sum()
    pooled["n_decided"] = pooled.pop("n_attempts") - pooled.pop("n_undecided")
    return pooled
