"""Measure how often the claims of the analysis hold in simulated worlds: `python -m tests.analysis.simulations`.

Four tables: "beyond" called wrongly, excess over a frozen control and over the second draw covering 0 (or the planted
truth), between-seed intervals covering the method's mean, and what was acquired beyond chance. Seeds
are the numbers in the code.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import (
    EPSILON_64,
    assign_bands,
    band_transitions,
    difference_from_base,
    frozen_copy,
    over_seeds,
    reach_codes,
)
from relift.analysis.questions.stability import chance_all_later
from tests.analysis.frames import trajectories

BEYOND = 2  # position in REACH


def rates(never: float, shape: tuple[float, float], n: int, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(n) < never, 0.0, rng.beta(*shape, n))


def beyond(n_questions: int) -> pd.DataFrame:
    """Count the questions with p >= epsilon that are called beyond, by world and number of attempts."""
    rows = []
    for never in (0.0, 0.15, 0.6):
        for name, shape in (("hard", (0.3, 2.0)), ("mixed", (0.45, 0.9)), ("at the limit", (50.0, 1000.0))):
            for attempts, more in ((16, 0), (64, 0), (16, 64), (16, 256)):
                rng = np.random.default_rng(11)
                rate_Q = rates(never, shape, n_questions, rng)
                c_Q, n_Q = rng.binomial(attempts, rate_Q), np.full(n_questions, attempts)
                again_Q = c_Q == 0 if more else np.zeros(n_questions, bool)
                c_Q, n_Q = c_Q + again_Q * rng.binomial(max(more, 1), rate_Q), n_Q + again_Q * more
                called_Q, reachable_Q = reach_codes(c_Q, n_Q) == BEYOND, rate_Q >= EPSILON_64
                wrong = called_Q[reachable_Q].mean() if reachable_Q.any() else np.nan
                among = reachable_Q[called_Q].mean() if called_Q.any() else np.nan
                rows.append((never, name, attempts, more, called_Q.mean(), wrong, among))
    names = ["never", "world", "attempts", "top-up", "called beyond", "reachable called beyond", "wrong among beyond"]
    return pd.DataFrame(rows, columns=names)


def turnovers(sets: int, n_questions: int) -> pd.DataFrame:
    """Count the intervals of acquired questions beyond chance that hold the truth, with attempts 8 and 8, 16 and 8.

    Worlds: rare solutions and common ones, nothing changed, or 3 % of the questions rose by half. Truth: 0, or the mean
    of as many questions as there are in 600 sets.
    """
    rows = []
    for attempts in (8, 16):
        for never, shape in ((0.0, (0.45, 0.9)), (0.6, (0.45, 0.9)), (0.8, (0.3, 6.0)), (0.0, (1.0, 200.0))):
            for share in (0.0, 0.03):
                rng = np.random.default_rng([attempts, int(100 * never), int(100 * share)])
                happened_SQ, chance_SQ = _acquired(never, shape, share, attempts, (sets, n_questions), rng)
                truth = 0.0
                if share:
                    many_SQ, null_SQ = _acquired(never, shape, share, attempts, (600, n_questions), rng)
                    truth = float(many_SQ.sum(1).mean() - null_SQ.sum(1).mean())
                ends = [stats.count_over_chance(int(h.sum()), p) for h, p in zip(happened_SQ, chance_SQ, strict=True)]
                held = float(np.mean([low <= truth <= high for low, high in ends]))
                rows.append((attempts, never, str(shape), share, chance_SQ.sum(1).mean(), held))
    return pd.DataFrame(rows, columns=["attempts before", "never", "rates", "rose", "expected by chance", "holds"])


def _acquired(
    never: float,
    shape: tuple[float, float],
    share: float,
    attempts: int,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    rate_SQ = np.where(rng.random(size) < never, 0.0, rng.beta(*shape, size))
    later_SQ = np.clip(rate_SQ + 0.5 * (rng.random(size) < share), 0, 1)
    before_SQ, after_SQ = rng.binomial(attempts, rate_SQ), rng.binomial(8, later_SQ)
    chance_SQ = chance_all_later(before_SQ + after_SQ, np.full(size, attempts), np.full(size, 8))
    return (before_SQ == 0) & (after_SQ > 0), chance_SQ


def excesses(sets: int, n_questions: int) -> pd.DataFrame:
    """Count the intervals that hold the truth: 0 where nothing changed, the planted rise or fall elsewhere."""
    rows = []
    for never in (0.0, 0.15, 0.6):
        for lift in (0.0, 0.1, -0.1):
            held: dict[str, list[bool]] = {}
            for seed in range(sets):
                rng = np.random.default_rng([seed, int(100 * never), int(100 * lift) % 1000])
                rate_Q = rates(never, (0.45, 0.9), n_questions, rng)
                later_Q = np.clip(rate_Q + lift * (rate_Q > 0), 0, 1)
                probes = (
                    ("base", 0, 0, rate_Q),
                    ("base", 0, 1, rate_Q),
                    ("frozen", 9, 0, rate_Q),
                    ("rl", 9, 0, later_Q),
                )
                frame = pd.concat(
                    [trajectories(rng.binomial(8, p), run=run, step=s, draw=d) for run, s, d, p in probes]
                )
                truth = float((later_Q - rate_Q).mean()) if lift == 0 else None
                bands = assign_bands(frame, run="base")
                change = difference_from_base(frame, bands=bands, control="frozen")
                rl = change[change["run"] == "rl"].set_index(["kind", "group"])
                every = rl.loc[("all", "all")]
                if truth is not None:
                    _note(held, "accuracy over the control", every["excess_low"], every["excess_high"], 0.0)
                    _note(held, "accuracy over the base", every["low"], every["high"], 0.0)
                    copies = frozen_copy(frame, base="base", control="frozen").set_index("claim").loc["newly solved"]
                    _note(held, "newly solved over the control", copies["low"], copies["high"], 0.0)
                    # resampled, so ten times slower: of every fourth set
                    for null, control in (("control", "frozen"), ("draws", None)) if seed % 4 == 0 else ():
                        moves = band_transitions(frame, bands, null=null, control=control, resamples=200, seed=seed)
                        one = moves[(moves["run"] == "rl") & (moves["band_from"] == "Hardest")]
                        left = one[one["band_to"] == "Hardest"].iloc[0]
                        _note(held, f"stay Hardest, null {null}", left["low"], left["high"], 0.0)
                else:
                    # the mean rise of a world of such questions, not of these: .1 up or down where p > 0, cut
                    population = float(np.mean(np.clip(_POPULATION[never] + lift * (_POPULATION[never] > 0), 0, 1)))
                    rise = population - float(_POPULATION[never].mean())
                    _note(held, "accuracy over the control", every["excess_low"], every["excess_high"], rise)
                    _note(held, "accuracy over the base", every["low"], every["high"], rise)
            rows += [(never, lift, what, np.mean(values), len(values)) for what, values in held.items()]
            print(pd.DataFrame(rows[-len(held) :]).to_string(header=False, index=False), flush=True)
    return pd.DataFrame(rows, columns=["never", "lift", "interval of", "holds", "sets"])


_POPULATION = {never: rates(never, (0.45, 0.9), 400_000, np.random.default_rng(5)) for never in (0.0, 0.15, 0.6)}


def _note(held: dict[str, list[bool]], what: str, low: float, high: float, truth: float) -> None:
    held.setdefault(what, []).append(bool(low <= truth <= high))


def seeds(sets: int) -> pd.DataFrame:
    """Count the between-seed intervals that hold the method's mean, of 2 to 8 seeds."""
    rows = []
    for n in range(2, 9):
        rng = np.random.default_rng(n)
        # a method's true gain .1 with sd .03 between seeds, each measured on 300 questions with 8 attempts
        gain_RS = 0.1 + rng.normal(0, 0.03, (sets, n))
        seen_RS = rng.binomial(300 * 8, np.clip(0.4 + gain_RS, 0, 1)) / (300 * 8) - 0.4
        ends = [over_seeds(seen_S) for seen_S in seen_RS]
        # another method with a gain of .07 and seeds of its own; paired by seed the truth is .03
        other_RS = rng.binomial(300 * 8, np.clip(0.47 + rng.normal(0, 0.03, (sets, n)), 0, 1)) / (300 * 8) - 0.4
        paired = [over_seeds(seen_S) for seen_S in seen_RS - other_RS]
        rows.append(
            (
                n,
                np.mean([end["low"] <= 0.1 <= end["high"] for end in ends]),
                np.mean([end["low"] <= 0.03 <= end["high"] for end in paired]),
                sets,
            )
        )
    return pd.DataFrame(rows, columns=["seeds", "holds", "holds of two methods", "sets"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--questions", type=int, default=300)
    given = parser.parse_args()
    print(beyond(100_000).round(4).to_string(), flush=True)
    print(seeds(20 * given.sets).round(4).to_string(), flush=True)
    print(turnovers(given.sets, given.questions).round(4).to_string(), flush=True)
    print(excesses(given.sets, given.questions).round(4).to_string())
