"""Class each question as gained, lost, stuck, always, flicker or steady, and say how many chance would give.

A model that never learns yields some of each class. So a list is headed "k found, m expected without learning", with
m from dealing every question's attempts anew among its probes. Axes: Q questions, P probes, S probe sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

from relift import stats
from relift.analysis.questions.bands import BANDS, band_codes
from relift.analysis.runs.panel import RATE_DRAWS, matched_questions, one_origin, with_labels
from relift.errors import InputError

CLASSES = ("gained", "lost", "stuck", "always", "flicker", "steady")
JEFFREYS = (0.5, 0.5)  # a, b: a prior that no other question in the frame has a say in
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(64)
_DEALS = 400  # dealings of the attempts that the flicker threshold rests on
_MANY_PROBES = 30  # from here on half as many: the statistic is a sum of many terms


@dataclass(frozen=True)
class _Run:
    """Hold one run's probes in order: draws of step 0, then later steps, by question."""

    run_id: str
    run: str
    question_ids: NDArray[np.object_]
    correct_QP: NDArray[np.int64]
    decided_QP: NDArray[np.int64]
    step_P: NDArray[np.int64]

    @property
    def base_P(self) -> NDArray[np.bool_]:
        return self.step_P == 0

    @property
    def end_P(self) -> NDArray[np.bool_]:
        return self.step_P == self.step_P.max()


def classify_trajectories(
    trajectories: pd.DataFrame, prior: pd.DataFrame | None = None, *, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Class every question of every run (of CLASSES), with what the class rests on: one row per run and question.

    The base pools draws 0 and 1 of step 0, the end is the last probe. p_gain is P(p_end > p_base), the two with
    independent posteriors under Jeffreys' prior Beta(1/2, 1/2), so that no class depends on the other questions in the
    frame; `prior` (of `fit_prior`) takes its place if given. `definitions` has the words. In this order:
    gained p_gain >= level; lost p_gain <= 1 - level; stuck no attempt ever correct; always all attempts pooled count
    Easy; flicker: the counts vary more between probes than 95 % of dealings of the same attempts among them (statistic
    sum (c - n p)^2 / (n p (1 - p)), p pooled); else steady. first_solve: step of the first probe with a correct
    attempt, null if none; n_forgotten: times solved at a probe and not at the next; n_probes. Over the questions that
    all runs and steps share; runs without a later probe are left out, and if none is left it is an InputError.
    """
    frames = []
    for run in _read_runs(trajectories):
        chances = _Chances(_shape(run, prior))
        code_Q, p_gain_Q = _classes(run, run.correct_QP, chances, level, _Thresholds(seed))
        solved_QP = run.correct_QP > 0
        measured_QP = run.decided_QP > 0
        forgot_QP = solved_QP[:, :-1] & ~solved_QP[:, 1:] & measured_QP[:, 1:]
        first_Q = run.step_P[solved_QP.argmax(axis=1)].astype(float)
        frames.append(
            pd.DataFrame(
                {
                    "run_id": run.run_id,
                    "run": run.run,
                    "question_id": run.question_ids,
                    "class": np.array(CLASSES, dtype=object)[code_Q],
                    "p_gain": p_gain_Q,
                    "n_correct_base": run.correct_QP[:, run.base_P].sum(axis=1),
                    "n_decided_base": run.decided_QP[:, run.base_P].sum(axis=1),
                    "n_correct_end": run.correct_QP[:, run.end_P].sum(axis=1),
                    "n_decided_end": run.decided_QP[:, run.end_P].sum(axis=1),
                    "first_solve": np.where(solved_QP.any(axis=1), first_Q, np.nan),
                    "n_forgotten": forgot_QP.sum(axis=1),
                    "n_probes": measured_QP.sum(axis=1),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def count_classes(
    trajectories: pd.DataFrame,
    prior: pd.DataFrame | None = None,
    *,
    level: float = 0.95,
    deals: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Count the questions of each class, found and expected without learning: one row per run and class.

    Each dealing spreads a question's correct attempts at random over its probes, as a rate that never changes would,
    and classifies again. Exact for a frozen model; for questions that did change it errs to more, not fewer, since
    their pooled rate lies in the middle, where chance moves most. sd: standard deviation of the dealt count, to judge
    the difference by. Also share (found / n_questions) and n_questions.
    """
    rows = []
    for run in _read_runs(trajectories):
        chances, thresholds = _Chances(_shape(run, prior)), _Thresholds(seed)
        found_S = np.bincount(_classes(run, run.correct_QP, chances, level, thresholds)[0], minlength=len(CLASSES))
        rng = np.random.default_rng(seed)
        dealt = [_classes(run, _deal(run, rng), chances, level, thresholds)[0] for _ in range(deals)]
        dealt_RS = np.array([np.bincount(code_Q, minlength=len(CLASSES)) for code_Q in dealt], float)
        n = len(run.question_ids)
        for i, name in enumerate(CLASSES):
            expected = float(dealt_RS[:, i].mean()) if deals else np.nan
            sd = float(dealt_RS[:, i].std(ddof=1)) if deals > 1 else np.nan
            rows.append((run.run_id, run.run, name, int(found_S[i]), expected, sd, found_S[i] / n, n, deals, seed))
    names = ["run_id", "run", "class", "found", "expected", "sd", "share", "n_questions", "deals", "seed"]
    return pd.DataFrame(rows, columns=names)


def _read_runs(trajectories: pd.DataFrame) -> list[_Run]:
    one_origin(trajectories)
    rows = with_labels(matched_questions(trajectories[(trajectories["draw"] < RATE_DRAWS).to_numpy()]))
    runs = []
    for (run_id, run), one in rows.groupby(["run_id", "run"], sort=False):
        row_N, question_ids = pd.factorize(one["question_id"])
        # draws of step 0 are probes of their own; later draws of a step are one probe
        key_N = one["step"].to_numpy(np.int64) * RATE_DRAWS + np.where(one["step"] == 0, one["draw"], 0)
        keys = np.unique(key_N)
        probe_N = np.searchsorted(keys, key_N)
        shape = (len(question_ids), len(keys))
        cell_N = row_N * shape[1] + probe_N
        correct, attempts, undecided = (
            np.bincount(cell_N, weights=one[name].to_numpy(float), minlength=shape[0] * shape[1])
            for name in ("n_correct", "n_attempts", "n_undecided")
        )
        decided = (attempts - undecided).astype(np.int64).reshape(shape)
        step_P = keys // RATE_DRAWS
        if step_P.max(initial=0) > 0 and (step_P == 0).any():
            ids = np.asarray(question_ids, dtype=object)
            runs.append(_Run(str(run_id), str(run), ids, correct.astype(np.int64).reshape(shape), decided, step_P))
    if not runs:
        raise InputError("no run has both a probe at step 0 and a later one: no trajectory can be classed")
    return runs


def _shape(run: _Run, prior: pd.DataFrame | None) -> tuple[float, float]:
    if prior is None:
        return JEFFREYS
    own = prior[(prior["run_id"].astype(object) == run.run_id).to_numpy()]
    if own.empty and len(prior) != 1:
        raise InputError(f"no prior was fitted for run {run.run}")
    row = (own if len(own) else prior).iloc[0]
    return float(row["a"]), float(row["b"])


def _classes(
    run: _Run, correct_QP: NDArray[np.int64], chances: _Chances, level: float, thresholds: _Thresholds
) -> tuple[NDArray[np.int64], stats.Floats]:
    """Return the position in CLASSES, and p_gain: both [Q]."""
    total_Q, n_Q = correct_QP.sum(axis=1), run.decided_QP.sum(axis=1)
    base, end = (
        (correct_QP[:, of_P].sum(axis=1), run.decided_QP[:, of_P].sum(axis=1)) for of_P in (run.base_P, run.end_P)
    )
    p_gain_Q = chances.of(*base, *end)
    always_Q = band_codes(total_Q, n_Q) == BANDS.index("Easy")
    flicker_Q = dispersion(correct_QP, run.decided_QP) > thresholds.of(run.decided_QP, total_Q)
    conditions = [p_gain_Q >= level, p_gain_Q <= 1 - level, total_Q == 0, always_Q, flicker_Q]
    return np.select(conditions, range(len(conditions)), len(conditions)).astype(np.int64), p_gain_Q


def chance_of_gain(
    correct_Q: NDArray[np.int64],
    decided_Q: NDArray[np.int64],
    later_correct_Q: NDArray[np.int64],
    later_decided_Q: NDArray[np.int64],
    *,
    a: float,
    b: float,
) -> stats.Floats:
    """Compute P(later rate > earlier rate), both independent with posterior Beta(a + c, b + n - c): [Q].

    The mean of F_earlier over the later posterior's quantiles, by Gauss-Legendre quadrature with 64 nodes, averaged
    with the same of the exchanged roles, so that two posteriors at the same end of the scale give one half.
    """
    counts = (correct_Q, decided_Q, later_correct_Q, later_decided_Q)
    span = tuple(int(count_Q.max(initial=0)) + 1 for count_Q in counts)
    found, where = np.unique(np.ravel_multi_index(counts, span), return_inverse=True)  # many questions are alike
    c, n, d, m = (np.asarray(count, np.float64) for count in np.unravel_index(found, span))
    earlier, later = (a + c, b + n - c), (a + d, b + m - d)
    chance = (_chance_below(earlier, later) + 1 - _chance_below(later, earlier)) / 2
    return np.asarray(chance[where], float)


def _chance_below(one: tuple[stats.Floats, stats.Floats], other: tuple[stats.Floats, stats.Floats]) -> stats.Floats:
    """Compute P(one < other) of pairs of beta distributions (a, b)."""
    level_K, weight_K = (_NODES + 1) / 2, _NODE_WEIGHTS / 2
    rate = betaincinv(other[0][:, None], other[1][:, None], level_K)
    return np.asarray(betainc(one[0][:, None], one[1][:, None], rate) @ weight_K)


class _Chances:
    """Keep `chance_of_gain` by the counts: dealings of the same attempts meet the same counts again and again."""

    def __init__(self, shape: tuple[float, float]):
        self._a, self._b = shape
        self._known: dict[tuple[int, ...], float] = {}

    def of(self, *counts_Q: NDArray[np.int64]) -> stats.Floats:
        found, where = np.unique(np.column_stack(counts_Q), axis=0, return_inverse=True)
        keys = [tuple(key) for key in found.tolist()]
        new = [i for i, key in enumerate(keys) if key not in self._known]
        if new:
            c, n, d, m = found[new].T
            values = chance_of_gain(c, n, d, m, a=self._a, b=self._b)
            self._known |= dict(zip([keys[i] for i in new], values.tolist(), strict=True))
        return np.array([self._known[key] for key in keys], float)[where.ravel()]


def dispersion(correct_QP: NDArray[np.int64], decided_QP: NDArray[np.int64]) -> stats.Floats:
    """Sum (c - n p)^2 / (n p (1 - p)) over probes with decided attempts, p pooled; 0 where p is 0 or 1: [Q]."""
    p_Q1 = stats.rate(correct_QP.sum(axis=1), decided_QP.sum(axis=1))[:, None]
    spread_QP = decided_QP * p_Q1 * (1 - p_Q1)
    squared_QP = (correct_QP - decided_QP * p_Q1) ** 2
    return np.divide(squared_QP, spread_QP, out=np.zeros_like(squared_QP), where=spread_QP > 1e-12).sum(axis=1)


class _Thresholds:
    """Keep the .95 quantile of the dispersion when attempts are dealt at random: it depends on counts alone."""

    def __init__(self, seed: int):
        self._rng = np.random.default_rng(seed)
        self._known: dict[tuple[bytes, int], float] = {}

    def of(self, decided_QP: NDArray[np.int64], total_Q: NDArray[np.int64]) -> stats.Floats:
        if len(decided_QP) and (decided_QP == decided_QP[0]).all():  # nearly always; the general way takes long
            totals, where = np.unique(total_Q, return_inverse=True)
            return np.array([self._threshold(decided_QP[0], int(total)) for total in totals])[where]
        keys, where = np.unique(np.column_stack([decided_QP, total_Q]), axis=0, return_inverse=True)
        return np.array([self._threshold(key[:-1], int(key[-1])) for key in keys])[where.ravel()]

    def _threshold(self, decided_P: NDArray[np.int64], total: int) -> float:
        key = (decided_P.tobytes(), total)
        if key not in self._known:
            deals = _DEALS if len(decided_P) < _MANY_PROBES else _DEALS // 2
            dealt_RP = self._rng.multivariate_hypergeometric(decided_P, total, size=deals)
            spread_R = dispersion(dealt_RP, np.broadcast_to(decided_P, dealt_RP.shape))
            self._known[key] = float(np.quantile(spread_R, 0.95, method="higher")) + 1e-9
        return self._known[key]


def _deal(run: _Run, rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal each question's correct attempts at random over its probes: [Q, P], probe by probe."""
    left_Q, room_Q = run.correct_QP.sum(axis=1), run.decided_QP.sum(axis=1)
    dealt_QP = np.zeros_like(run.correct_QP)
    for probe, n_Q in enumerate(run.decided_QP.T):
        dealt_QP[:, probe] = rng.hypergeometric(left_Q, room_Q - left_Q, n_Q)
        left_Q, room_Q = left_Q - dealt_QP[:, probe], room_Q - n_Q
    return dealt_QP
