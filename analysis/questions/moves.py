"""The questions behind one cell of the transition matrices."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift.analysis.questions.bands import BANDS, Cuts, codes_of, sure_band_codes
from relift.analysis.questions.transitions import NULL_DRAW
from relift.analysis.runs.panel import base_of_bands
from relift.errors import InputError


def moved_questions(
    trajectories: pd.DataFrame, bands: pd.DataFrame, *, run: str, step: int, band_from: str, band_to: str
) -> pd.DataFrame:
    """One row per question counted in a cell of `band_transitions`, as many as its `count`, most correct first.

    `run` is a run_id. Columns: question_id, n_correct_base, n_decided_base (the draw that assigned the bands),
    n_correct, n_decided (draw 0 at `step`). InputError if there is no such band, or no such probe.
    """
    for band in (band_from, band_to):
        if band not in BANDS:
            raise InputError(f"no band {band!r}; there are {', '.join(BANDS)}")
    cuts, (base_id, _) = Cuts.parse(bands["cuts"].iloc[0]), base_of_bands(bands)
    rows = bands[["question_id", "n_correct", "n_decided"]].add_suffix("_base").rename(
        columns={"question_id_base": "question_id"}
    )  # fmt: skip
    began = codes_of(bands) == BANDS.index(band_from)
    now = _probe(trajectories, bands, run=run, step=step, draw=0)
    if now is None:
        raise InputError(f"run {run} has no probe at step {step}")
    ended = _codes(now, cuts) == BANDS.index(band_to)
    null = _probe(trajectories, bands, run=base_id, step=0, draw=NULL_DRAW)
    measured = np.ones(len(bands), bool) if null is None else _codes(null, cuts) >= 0
    rows["n_correct"], rows["n_decided"] = now["n_correct"], now["n_attempts"] - now["n_undecided"]
    return rows[began & ended & measured].sort_values("n_correct", ascending=False, kind="stable", ignore_index=True)


def _probe(
    trajectories: pd.DataFrame, bands: pd.DataFrame, *, run: str, step: int, draw: int
) -> dict[str, NDArray[np.int64]] | None:
    """Counts of one probe in the order of `bands`, 0 where a question was not asked; None if there is none."""
    chosen = trajectories[
        (
            (trajectories["run_id"] == run) & (trajectories["step"] == step) & (trajectories["draw"] == draw)
        ).to_numpy()
    ]  # fmt: skip
    if chosen.empty:
        return None
    place = pd.Index(chosen["question_id"].astype(object)).get_indexer(pd.Index(bands["question_id"].astype(object)))
    names = ("n_attempts", "n_correct", "n_undecided")
    return {name: np.where(place >= 0, chosen[name].to_numpy(np.int64)[place], 0) for name in names}


def _codes(counts: dict[str, NDArray[np.int64]], cuts: Cuts) -> NDArray[np.int64]:
    return sure_band_codes(counts["n_correct"], counts["n_attempts"], counts["n_undecided"], cuts=cuts)
