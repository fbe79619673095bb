"""Sort questions into bands: those the base model solves always, sometimes, hardly ever, never.

Bands are numbered as in BANDS, -1 for none.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from relift.analysis.runs.counts import Counts
from relift.analysis.runs.panel import base_id_of, one_origin
from relift.errors import InputError

BANDS = ("Hardest", "Hard", "Medium", "Easy")


@dataclass(frozen=True)
class Cuts:
    """Say where bands meet, in shares of correct attempts, compared in integers: exact for any number of attempts.

    Hardest up to and including `hardest`, Medium from `medium`, Easy from `easy`. The defaults equal the bands
    of ReLIFT (arXiv 2506.07527, section 2) at 8 attempts (0, 1-2, 3-5, 6-8) and leave no gap at others.
    """

    hardest: Fraction = Fraction(0)
    medium: Fraction = Fraction(5, 16)
    easy: Fraction = Fraction(11, 16)

    def __post_init__(self) -> None:
        if not 0 <= self.hardest < self.medium < self.easy <= 1:
            raise InputError(f"cuts must rise from 0 to 1: got {self}")

    def __str__(self) -> str:
        return f"{self.hardest} {self.medium} {self.easy}"

    @staticmethod
    def parse(text: str) -> Cuts:
        """Read the cuts that `str` wrote, as a bands frame carries them."""
        return Cuts(*(Fraction(part) for part in text.split()))


PAPER = Cuts()


def band_codes(n_correct: ArrayLike, n_attempts: ArrayLike, *, cuts: Cuts = PAPER) -> NDArray[np.int64]:
    """Return the band of c correct of n attempts, as position in BANDS; -1 where n is 0."""
    c, n = np.broadcast_arrays(np.asarray(n_correct, np.int64), np.asarray(n_attempts, np.int64))
    above_hardest = c * cuts.hardest.denominator > n * cuts.hardest.numerator
    from_medium = c * cuts.medium.denominator >= n * cuts.medium.numerator
    from_easy = c * cuts.easy.denominator >= n * cuts.easy.numerator
    codes = above_hardest.astype(np.int64) + from_medium + from_easy
    return np.where(n > 0, codes, -1)


def sure_band_codes(
    n_correct: ArrayLike, n_attempts: ArrayLike, n_undecided: ArrayLike, *, cuts: Cuts = PAPER
) -> NDArray[np.int64]:
    """Return the band that holds whichever way the undecided attempts fall, -1 where they could change it."""
    c, u = np.asarray(n_correct, np.int64), np.asarray(n_undecided, np.int64)
    if_wrong = band_codes(c, n_attempts, cuts=cuts)
    if_right = band_codes(c + u, n_attempts, cuts=cuts)
    return np.where(if_wrong == if_right, if_wrong, -1)


def counts_of_bands(n_attempts: int, *, cuts: Cuts = PAPER) -> dict[str, str]:
    """List the counts that a band holds at n attempts: {"Hardest": "0", "Hard": "1–2", ...} at 8; "none" if empty."""
    codes = band_codes(np.arange(n_attempts + 1), n_attempts, cuts=cuts)
    ranges = {}
    for code, band in enumerate(BANDS):
        counts = np.flatnonzero(codes == code)
        first, last = (counts[0], counts[-1]) if len(counts) else (None, None)
        ranges[band] = "none" if first is None else str(first) if first == last else f"{first}–{last}"
    return ranges


def assign_bands(
    trajectories: pd.DataFrame | Counts, *, run: str | None = None, draw: int = 0, cuts: Cuts = PAPER
) -> pd.DataFrame:
    """Assign each question the base run was probed on at step 0 its band by `draw`, or null: one row per question.

    `run` is a run_id or label; None: the only run, or the one called base. Null: undecided attempts could change it.
    Columns: question_id, run_id, draw, n_attempts, n_correct, n_undecided, n_decided, band, cuts; the constant
    columns tell later steps what assigned the bands. InputError if there is no such draw at step 0.
    """
    one_origin(trajectories)
    probes = trajectories.probes if isinstance(trajectories, Counts) else trajectories
    run_id = base_id_of(probes, run)
    is_chosen = ((probes["run_id"] == run_id) & (probes["step"] == 0) & (probes["draw"] == draw)).to_numpy()
    chosen = trajectories.rows(is_chosen) if isinstance(trajectories, Counts) else trajectories[is_chosen]
    if chosen.empty:
        raise InputError(f"run {run or run_id} has no probe of draw {draw} at step 0: bands need one")
    if chosen["question_id"].duplicated().any():
        raise InputError(f"run {run or run_id} has a question twice in draw {draw} at step 0")
    counts = {name: chosen[name].to_numpy(np.int64) for name in ("n_attempts", "n_correct", "n_undecided")}
    codes = sure_band_codes(counts["n_correct"], counts["n_attempts"], counts["n_undecided"], cuts=cuts)
    return pd.DataFrame(
        {
            "question_id": chosen["question_id"].astype(object).to_numpy(),
            "run_id": run_id,
            "draw": draw,
            **counts,
            "n_decided": counts["n_attempts"] - counts["n_undecided"],
            "band": band_names(codes),
            "cuts": str(cuts),
        }
    )


def band_names(codes: NDArray[np.int64]) -> NDArray[np.object_]:
    """Return names of band codes, None for -1."""
    return np.array([*BANDS, None], dtype=object)[codes]


def codes_of(bands: pd.DataFrame) -> NDArray[np.int64]:
    """Return codes of the column `band` of a bands frame, -1 where it is null."""
    return pd.Categorical(bands["band"], categories=list(BANDS)).codes.astype(np.int64)
