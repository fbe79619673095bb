"""Relate how likely the base found a demonstration to whether its question is answered after training on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import with_labels
from relift.analysis.runs.read import read_demonstrations
from relift.analysis.runs.recorded import require_column
from relift.errors import InputError

N_BINS = 8


def learnt_by_likelihood(demonstrations: pd.DataFrame, demo_events: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    """Count the questions answered after training on their demonstration, by the base's likelihood of it.

    One row per run and bin of nats per token (equal numbers of demonstrations). `later`: trajectories, of rollouts or
    probes; a question counts as learnt if it has a correct attempt after the first step that trained on its
    demonstration. Columns: run_id, run, bin, nats_low, nats_high, nats (mean), n_demonstrations (whose question was
    asked again), n_learnt, share, low, high (95 %, Wilson), n_left_out (not asked again). MissingColumn without
    sum_logprob_base; InputError if no question was asked again.
    """
    require_column(demonstrations, "sum_logprob_base", table="demonstrations")
    scored = with_labels(demonstrations).dropna(subset="sum_logprob_base")
    nats = (-scored["sum_logprob_base"] / scored["n_tokens"]).astype(float)
    scored = scored.assign(nats=nats)[["run_id", "run", "demo_id", "question_id", "nats"]]
    events = with_labels(demo_events)
    trained = events[(events["event"].astype(str) == "train").to_numpy()]
    first = trained.groupby(["run_id", "demo_id"], sort=False)["step"].min().rename("trained_at").reset_index()
    used = scored.merge(first, on=["run_id", "demo_id"], how="inner")
    asked = with_labels(later)[["run_id", "question_id", "step", "n_correct"]].astype({"question_id": object})
    joined = used.merge(asked, on=["run_id", "question_id"], how="left")
    after = joined[joined["step"] > joined["trained_at"]]
    learnt = (after.groupby(["run_id", "demo_id"], sort=False)["n_correct"].max() > 0).rename("learnt").reset_index()
    known = used.merge(learnt, on=["run_id", "demo_id"], how="inner")
    if known.empty:
        raise InputError("no question was asked again after its demonstration was trained on")
    rows = []
    for (run_id, run), own in known.groupby(["run_id", "run"], sort=False):
        edges = np.unique(np.quantile(own["nats"], np.linspace(0, 1, min(N_BINS, len(own)) + 1)[1:-1]))
        bins = np.searchsorted(edges, own["nats"].to_numpy(), side="right")
        left = int((used["run_id"] == run_id).sum()) - len(own)
        for number, b in enumerate(np.unique(bins)):
            inside = own[bins == b]
            n, n_learnt = len(inside), int(inside["learnt"].sum())
            low, high = stats.wilson(n_learnt, n)
            ends = (float(inside["nats"].min()), float(inside["nats"].max()), float(inside["nats"].mean()))
            rows.append((run_id, run, number, *ends, n, n_learnt, n_learnt / n, float(low), float(high), left))
    names = ["run_id", "run", "bin", "nats_low", "nats_high", "nats", "n_demonstrations", "n_learnt", "share", "low"]
    return pd.DataFrame(rows, columns=[*names, "high", "n_left_out"])


def plot_learnt_by_likelihood(frame: pd.DataFrame) -> Any:
    """Draw the share learnt over nats per token, a line per run with its interval. Returns the Axes."""
    axes = style.one_axes(height=2.3, width=style.COLUMN_WIDTH)
    styles = style.run_styles(frame["run"])
    with style.context():
        style.draw_lines(axes, frame, styles, x="nats", value="share")
        axes.set_xlabel("nats per token of the demonstration, base model")
        axes.set_ylabel("share answered afterwards")
        axes.set_ylim(0, 1.02)
        style.legend_above(axes.figure, styles, columns=3)
    return axes


def caption_learnt_by_likelihood(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    left = int(frame.drop_duplicates("run_id")["n_left_out"].sum())
    rest = f" Left out, not asked again: {left:,}." if left else ""
    return (
        "Demonstrations trained on, by the base model's negative log-probability per token, and the share whose "
        f"question has a correct attempt later ({style.count_range(frame['n_demonstrations'])} a point). Shaded: 95 % "
        f"intervals (Wilson). Hard questions have unlikely demonstrations: this is no effect of likelihood alone.{rest}"
    )


def _data(loaded: LoadedRuns) -> pd.DataFrame:
    demonstrations = read_demonstrations(list(loaded.paths))
    if demonstrations.empty:
        raise InputError("no run has demonstrations")
    later = loaded.rollouts if len(loaded.rollouts) else loaded.trajectories
    return learnt_by_likelihood(demonstrations, loaded.demo_events, later)


LEARNT = Figure(
    "learnt_by_likelihood", "Likely demonstrations, and what was learnt", "Training",
    data=_data, draw=plot_learnt_by_likelihood, caption=caption_learnt_by_likelihood,
)  # fmt: skip
