"""Follow how many different answers a question gets, beside the entropy of tokens: narrowing shows in both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import matched_questions, with_labels
from relift.analysis.runs.read import read_attempts

MEASURES = {
    "distinct": "different answers", "answer_entropy": "entropy of answers, nats", "entropy": "entropy of tokens, nats",
}  # fmt: skip
MOST_ATTEMPTS = 2_000_000  # of all probes together: above, reading every answer would take longer than all else
_KEYS = ["run_id", "run", "step"]


def answer_entropy(attempts: pd.DataFrame) -> pd.DataFrame:
    """Compute the entropy of the final answers to each question: run_id, run, step, question_id, answer_entropy (nats).

    H = -sum of (n_a / n) ln (n_a / n) over the normalised final answers a of its n unassisted attempts of draw 0, those
    without any answer together one more: the discrete semantic entropy of Farquhar et al. (Nature 630, 2024, p. 625)
    where answers mean the same if they are the same. Of n attempts it is at most ln n, and on average too low, by about
    (m - 1) / 2n for m possible answers (Miller 1955): compare probes of as many attempts each, and no others.
    """
    rows = attempts[((attempts["draw"] == 0) & (attempts["assistance"].astype(str) == "none")).to_numpy()]
    keys = [*_KEYS, "question_id"]
    answered = rows[keys].astype({"run_id": object, "run": object, "question_id": object})
    answered["answer"] = rows["answer"].astype(object).where(rows["answer"].notna(), None)
    count = (
        answered.groupby([*keys, "answer"], sort=False, dropna=False, observed=True).size().rename("n").reset_index()
    )
    share = count["n"] / count.groupby(keys, sort=False)["n"].transform("sum")
    count["answer_entropy"] = -share * np.log(share)
    # a single answer gives -0
    return count.groupby(keys, sort=False)["answer_entropy"].sum().abs().reset_index()


def answer_diversity(trajectories: pd.DataFrame, entropies: pd.DataFrame | None = None) -> pd.DataFrame:
    """Average different final answers, their entropy and that of tokens at each probe: a row per run, step and measure.

    `entropies` of `answer_entropy`, without which that measure is left out. By draw 0 alone, since more attempts give
    more answers, over the questions of all runs and steps. Columns: run_id, run, step, measure (of MEASURES), value,
    low, high (95 %, Student's t over questions; null of one), n_questions, n_attempts (range as text). A measure that
    was not recorded has no row.
    """
    rows = with_labels(matched_questions(trajectories[(trajectories["draw"] == 0).to_numpy()]))
    columns = {"distinct": "n_distinct_answers", "entropy": "mean_entropy"}
    if entropies is not None:
        columns = {"distinct": columns["distinct"], "answer_entropy": "answer_entropy", "entropy": columns["entropy"]}
        rows = rows.astype({"run_id": object, "question_id": object}).merge(
            entropies.drop(columns="run"), on=["run_id", "step", "question_id"], how="left"
        )
    found = []
    for (run_id, run, step), own in rows.groupby(_KEYS, sort=False):
        for measure, column in columns.items():
            value_Q = own[column].to_numpy(float)
            value_Q = value_Q[~np.isnan(value_Q)]
            if not len(value_Q):
                continue
            estimate = stats.paired_t(value_Q) if len(value_Q) > 1 else None
            found.append(
                {
                    "run_id": run_id, "run": run, "step": step, "measure": measure, "value": float(value_Q.mean()),
                    "low": max(0.0, estimate.low) if estimate else np.nan,
                    "high": estimate.high if estimate else np.nan, "n_questions": len(value_Q),
                    "n_attempts": style.count_range(own["n_attempts"]),
                }
            )  # fmt: skip
    return pd.DataFrame(found)


def plot_answer_diversity(frame: pd.DataFrame) -> Any:
    """Draw a panel per measure, a line per run with its interval. Returns the Axes."""
    measures = [name for name in MEASURES if (frame["measure"] == name).any()]
    axes = style.panels(len(measures), height=2.1)
    styles = style.run_styles(frame["run"])
    with style.context():
        for one, name in zip(axes, measures, strict=True):
            style.draw_lines(one, frame[(frame["measure"] == name).to_numpy()], styles, x="step", value="value")
            one.set_ylabel(MEASURES[name])
            style.whole_steps(one)
        style.legend_above(axes[0].figure, styles)
    return axes


def caption_answer_diversity(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    both = (frame["measure"] == "answer_entropy").any()
    few = " The entropy of answers is too low on average, by more the fewer the attempts: compare equal numbers."
    return (
        f"Different final answers among {frame['n_attempts'].iloc[0]} attempts at a question"
        f"{', the entropy of these answers' if both else ''} and mean entropy of their "
        f"tokens, over {style.count_range(frame['n_questions'])} questions. Shaded: 95 % intervals over questions "
        f"(Student's t).{few if both else ''}"
    )


def _data(loaded: LoadedRuns) -> pd.DataFrame:
    """Read the answers run by run and probe by probe; of too many attempts their entropy is left out."""
    probes = loaded.probes
    if int(probes["n_attempts"].sum()) > MOST_ATTEMPTS:
        return answer_diversity(probes)
    questions, origin = set(probes["question_id"].unique()), str(probes["origin"].iloc[0])
    columns = ["answer", "assistance", "draw", "run"]
    parts = []
    for (run_id, step), _ in probes.astype({"run_id": object}).groupby(["run_id", "step"], sort=False):
        rows = read_attempts(loaded.path_of(str(run_id)), origin=origin, steps=[int(str(step))], columns=columns)
        if rows["answer"].notna().any():  # recorders and importers may know verdicts alone
            parts.append(answer_entropy(rows[rows["question_id"].isin(questions).to_numpy()]))
    return answer_diversity(probes, pd.concat(parts, ignore_index=True) if parts else None)


DIVERSITY = Figure(
    "answer_diversity", "Different answers, their entropy and that of tokens", "What is within reach",
    data=_data, draw=plot_answer_diversity, caption=caption_answer_diversity,
)  # fmt: skip
