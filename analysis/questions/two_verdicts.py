"""Measure pass@k under a second verdict: an attempt counts where answer and reasoning are both judged right.

The second verdict comes from outside (a judge of the reasoning, as for CoT-pass@k, arXiv 2506.14245) or is whether a
second grader agrees. Axes: Q questions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.questions.sampling import powers
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import with_labels
from relift.analysis.runs.recorded import require_column
from relift.errors import InputError
from relift.schema import Verdict

KEYS = ["run_id", "step", "question_id", "draw", "attempt"]
SIDES = {"answer": "answer right", "both": "answer and second verdict right"}


def second_verdicts(attempts: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Add the column second (right, wrong or null) to attempts of `read_attempts`.

    `verdicts` has a row per attempt judged: KEYS, as many of them as tell attempts apart and both frames have, and
    `right`, a boolean. InputError where it has no such columns, or judges an attempt twice.
    """
    keys = [name for name in KEYS if name in verdicts and name in attempts]
    if "question_id" not in keys or "attempt" not in keys or "right" not in verdicts:
        raise InputError(f"second verdicts need question_id, attempt and right, and as far as known {', '.join(KEYS)}")
    if verdicts.duplicated(keys).any():
        raise InputError(f"second verdicts judge an attempt twice: {', '.join(keys)} must be unique")
    plain = attempts.astype({name: object for name in keys if isinstance(attempts[name].dtype, pd.CategoricalDtype)})
    second = verdicts[[*keys, "right"]].rename(columns={"right": "second"})
    return plain.drop(columns="second", errors="ignore").merge(second, on=keys, how="left")


def pass_at_k_of_two(attempts: pd.DataFrame) -> pd.DataFrame:
    """Average pass@k by the answer alone, and by both verdicts: one row per run, step, side and k.

    `attempts` with the column second (of `second_verdicts`). Only attempts that have both verdicts count, the same for
    both sides. Columns: side (of SIDES), value, low, high (95 %, logit-t over questions), n_questions, n_attempts
    (least of a question), share_second: of the right answers those that the second verdict upholds. InputError if no
    attempt has both.
    """
    rows = with_labels(attempts)
    verdict = rows["verdict"].astype(str)
    known = (rows["second"].notna() & (verdict != Verdict.undecided)).to_numpy()
    rows, verdict = rows[known], verdict[known]
    if rows.empty:
        raise InputError("no attempt has a second verdict")
    right = (verdict == Verdict.correct).to_numpy()
    counted = rows[["run_id", "run", "step"]].assign(
        question_id=rows["question_id"].astype(object), n=1, answer=right.astype(int),
        both=(right & rows["second"].astype(bool).to_numpy()).astype(int),
    )  # fmt: skip
    found = []
    for (run_id, run, step), own in counted.groupby(["run_id", "run", "step"], sort=False):
        sums = own.groupby("question_id")[["n", *SIDES]].sum()
        n_Q = sums["n"].to_numpy(float)
        upheld = float(stats.rate(sums["both"].sum(), sums["answer"].sum()))
        for side in SIDES:
            for k in powers(int(n_Q.min())):
                mean = stats.logit_t(stats.pass_at_k(sums[side].to_numpy(float), n_Q, k=k))
                found.append(
                    (run_id, run, step, side, k, mean.value, mean.low, mean.high, mean.n_questions,
                     int(n_Q.min()), upheld)
                )  # fmt: skip
    names = ["run_id", "run", "step", "side", "k", "value", "low", "high", "n_questions", "n_attempts"]
    return pd.DataFrame(found, columns=[*names, "share_second"])


def plot_pass_at_k_of_two(frame: pd.DataFrame) -> Any:
    """Draw pass@k over k, a line per run, whole by the answer alone and dashed by both verdicts. Returns the Axes."""
    axes = style.one_axes(height=2.4, width=style.COLUMN_WIDTH)
    styles = style.run_styles(frame["run"])
    with style.context():
        for side, dash in (("answer", "solid"), ("both", (0, (3, 2)))):
            for run, line in style.by_style(frame[(frame["side"] == side).to_numpy()], styles):
                look = styles[run]
                axes.plot(line["k"], line["value"], color=look.colour, marker=look.marker, linestyle=dash)
                axes.fill_between(line["k"], line["low"], line["high"], color=look.colour, alpha=0.1, linewidth=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks(np.unique(frame["k"]), [str(k) for k in np.unique(frame["k"])])
        axes.set_xlabel("k, attempts")
        axes.set_ylabel("share of questions")
        axes.set_ylim(0, 1.02)
        style.legend_above(axes.figure, styles, columns=3)
    return axes


def caption_pass_at_k_of_two(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    upheld = ", ".join(
        f"{row['run']} {100 * row['share_second']:.0f} %"
        for row in frame.drop_duplicates("run_id").to_dict("records")
        if row["share_second"] == row["share_second"]
    )
    return (
        "pass@k at each run's last probe: whole lines by the answer alone, dashed where the second verdict is right "
        f"too; only attempts that have both. Shaded: 95 % intervals over questions. Right answers upheld: {upheld}."
    )


def _data(loaded: LoadedRuns) -> pd.DataFrame:
    rows = loaded.last_attempts(["verdict", "grader_agrees"])
    require_column(rows, "grader_agrees", table="attempts")
    return pass_at_k_of_two(rows.assign(second=rows["grader_agrees"]))


TWO_VERDICTS = Figure(
    "pass_at_k_two_verdicts", "pass@k by one verdict and by two", "What is within reach",
    data=_data, draw=plot_pass_at_k_of_two, caption=caption_pass_at_k_of_two,
)  # fmt: skip
