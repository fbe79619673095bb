"""Say what a model that does not change shows between bands: questions in another band, moves of a fitted model.

Axes: Q questions; matrices are (from, to), both in the order of BANDS; R resamples.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaln, gammaln

from relift import stats
from relift.analysis.questions.bands import BANDS, PAPER, Cuts, band_codes, codes_of, sure_band_codes
from relift.analysis.runs.panel import base_of_bands

N_BANDS = len(BANDS)


def one_hot(codes_Q: NDArray[np.int64]) -> stats.Floats:
    """Mark the band of each question: [Q, band], all 0 for -1."""
    return (codes_Q[:, None] == np.arange(N_BANDS)).astype(float)


def label_noise(trajectories: pd.DataFrame, bands: pd.DataFrame) -> pd.DataFrame:
    """Count the questions that would be in another band, had the base been asked again: one row per band, and "all".

    flipped: those that the base run's draw 1 at step 0 puts elsewhere, of n_questions with a sure band in both draws;
    share, low, high (95 %, Wilson over questions); expected_share: the same from the prior fitted to the draw that
    assigned the bands (of `stats.inflated_fit`). Without draw 1 the measured columns are null.
    """
    base_id, draw = base_of_bands(bands)
    cuts = Cuts.parse(bands["cuts"].iloc[0])
    is_second = (trajectories["run_id"] == base_id) & (trajectories["step"] == 0) & (trajectories["draw"] == 1)
    second = trajectories[is_second.to_numpy()] if draw != 1 else trajectories.iloc[:0]
    counts = second.set_index(second["question_id"].astype(object))[["n_correct", "n_attempts", "n_undecided"]]
    counts = counts.reindex(bands["question_id"])
    again_Q = sure_band_codes(*(counts[name].fillna(0).astype(np.int64) for name in counts.columns), cuts=cuts)
    again_Q = np.where(counts["n_attempts"].notna(), again_Q, -1)
    codes_Q = codes_of(bands)
    both_Q = (codes_Q >= 0) & (again_Q >= 0)
    prior = stats.inflated_fit(bands["n_correct"], bands["n_decided"])
    n = int(bands["n_attempts"].median())
    joint_IJ = joint_band_shares(prior, n, n, cuts=cuts)
    rows = []
    for code, band in [*enumerate(BANDS), (-1, "all")]:
        of_Q = both_Q & ((codes_Q == code) if code >= 0 else True)
        flipped, asked = int((codes_Q != again_Q)[of_Q].sum()), int(of_Q.sum())
        low, high = stats.wilson(flipped, asked)
        stays = float(stats.rate(joint_IJ[code, code], joint_IJ[code].sum()) if code >= 0 else np.trace(joint_IJ))
        share = float(stats.rate(flipped, asked))
        measured = flipped if len(second) else np.nan
        rows.append((band, n, asked, measured, share, float(low), float(high), 1 - stays))
    names = ["band", "n_attempts", "n_questions", "flipped", "share", "low", "high", "expected_share"]
    return pd.DataFrame(rows, columns=names)


def fitted_null(
    bands: pd.DataFrame,
    to_attempts_Q: stats.Floats,
    complete_Q: NDArray[np.bool_],
    cuts: Cuts,
    *,
    resamples: int,
    seed: int,
) -> stats.Floats:
    """Compute null shares (1 + R, from, to): of the fitted prior, then of the prior refitted in each resample."""
    correct_Q, decided_Q = bands["n_correct"].to_numpy(), bands["n_decided"].to_numpy()
    prior = stats.inflated_fit(correct_Q, decided_Q)
    sizes, n_questions = np.unique(
        np.stack([bands["n_attempts"].to_numpy(), to_attempts_Q.astype(np.int64)])[:, complete_Q],
        axis=1,
        return_counts=True,
    )

    def shares(fit: stats.InflatedPrior) -> stats.Floats:
        joint = sum(
            count * joint_band_shares(fit, int(n_from), int(n_to), cuts=cuts)
            for (n_from, n_to), count in zip(sizes.T, n_questions, strict=True)
        )
        return stats.rate(joint, np.sum(joint, axis=1, keepdims=True))

    null = [shares(prior)]
    for weight_RQ in stats.bootstrap_weights(len(bands), resamples, seed=seed):
        for weight_Q in weight_RQ:
            null.append(shares(stats.inflated_fit(correct_Q, decided_Q, weights=weight_Q, start=prior)))
    return np.stack(null)


def joint_band_shares(
    prior: stats.BetaPrior | stats.InflatedPrior, n_from: int, n_to: int, *, cuts: Cuts = PAPER
) -> stats.Floats:
    """Compute P(band i in n_from attempts and band j in n_to others) of an unchanged model with p ~ prior: (from, to).

    P(c, c') = C(n, c) C(n', c') B(a + c + c', b + n + n' - c - c') / B(a, b), summed over the bands' counts; questions
    that are never solved stay where counts of 0 lie.
    """
    c, d = np.arange(n_from + 1)[:, None], np.arange(n_to + 1)[None, :]
    log_joint = (
        _log_binomial(n_from, c)
        + _log_binomial(n_to, d)
        + betaln(prior.a + c + d, prior.b + n_from + n_to - c - d)
        - betaln(prior.a, prior.b)
    )
    in_from = one_hot(band_codes(c[:, 0], n_from, cuts=cuts))
    in_to = one_hot(band_codes(d[0], n_to, cuts=cuts))
    joint_IJ = in_from.T @ np.exp(log_joint) @ in_to
    if isinstance(prior, stats.InflatedPrior):
        joint_IJ = (1 - prior.zero) * joint_IJ
        joint_IJ[int(band_codes(0, n_from, cuts=cuts)), int(band_codes(0, n_to, cuts=cuts))] += prior.zero
    return np.asarray(joint_IJ)


def _log_binomial(n: int, k: NDArray[np.int64]) -> stats.Floats:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
