"""Audit what runs claim to have learnt against a frozen copy, and tabulate what such a copy would show.

After the failures that "Phantom Gains" lists (arXiv 2608.20290), in our words: each is a check with the number found
here, whether it passes, and what to do. A frozen copy is a control run, probed like the others and never trained, or,
without one, the base's second draw at step 0. Axes: Q questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis.questions.compare import run_ends
from relift.analysis.runs.panel import base_id_of, run_id_of, with_labels
from relift.errors import InputError

LEAST_ATTEMPTS, LEAST_SEEDS, CUT_OFF = 8, 3, 0.02
POWER = 2.8  # standard errors that 4 of 5 comparisons at 5 % find: 1.96 + .84


@dataclass(frozen=True)
class _Sides:
    """Hold counts of one run's last probe, of the frozen copy and of the base, draw 0, on the questions they share.

    change_Q: accuracy of draws 0 and 1 together less the base's, as `difference_from_base` has it.
    """

    run: str
    step: int
    base: pd.DataFrame
    end: pd.DataFrame
    frozen: pd.DataFrame
    change_Q: stats.Floats


def audit(
    trajectories: pd.DataFrame,
    *,
    base: str | None = None,
    control: str | None = None,
    methods: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Check each run's claim of having learnt, seven ways: one row per run and check.

    Columns: run_id, run, check, asks, number (found here, as text), passes (True, False, or null where it cannot be
    told), mend. `control` names the frozen run, whose own rows are left out; None takes the base's draw 1 at step 0 for
    it. `methods` of `read_methods` counts seeds. By draw 0 of the last probes. InputError without a later probe.
    """
    rows = []
    for run_id, sides in _all_sides(trajectories, base=base, control=control):
        copy = "the control" if control else "the base's second draw"
        n_seeds = 1 if methods is None else _seeds_of(methods, run_id)
        for check, asks, number, passes, mend in (
            _expansion(sides, copy),
            _few_attempts(sides),
            _second_hit(sides, copy),
            _power(sides),
            _seeds(sides, n_seeds),
            _cut_off(sides),
            _many_questions(sides),
        ):
            rows.append((run_id, sides.run, check, asks, number, passes, mend))
    frame = pd.DataFrame(rows, columns=["run_id", "run", "check", "asks", "number", "passes", "mend"])
    return frame.astype({"passes": object})


def frozen_copy(trajectories: pd.DataFrame, *, base: str | None = None, control: str | None = None) -> pd.DataFrame:
    """Tabulate what each run shows beside what a frozen copy shows: one row per run and claim.

    Columns: run_id, run, step, claim, count (of the run), frozen (of the copy), excess, low, high (95 %,
    stats.paired_counts), n_questions. The copy is `control` at its last probe, or the base's draw 1; of all else it is
    draw 0.
    """
    rows = []
    for run_id, sides in _all_sides(trajectories, base=base, control=control):
        base_Q, end_Q, frozen_Q = (_solved(counts) for counts in (sides.base, sides.end, sides.frozen))
        rate = {
            name: _rate(counts) for name, counts in (("base", sides.base), ("end", sides.end), ("frozen", sides.frozen))
        }
        n = len(base_Q)
        for claim, end, frozen in (
            ("newly solved", ~base_Q & end_Q, ~base_Q & frozen_Q),
            ("no longer solved", base_Q & ~end_Q, base_Q & ~frozen_Q),
            ("rate up by a quarter", rate["end"] >= rate["base"] + 0.25, rate["frozen"] >= rate["base"] + 0.25),
            ("rate down by a quarter", rate["end"] <= rate["base"] - 0.25, rate["frozen"] <= rate["base"] - 0.25),
        ):
            low, high = stats.paired_counts(end, frozen)
            excess = int(end.sum()) - int(frozen.sum())
            rows.append((run_id, sides.run, sides.step, claim, int(end.sum()), int(frozen.sum()), excess, low, high, n))
    names = ["run_id", "run", "step", "claim", "count", "frozen", "excess", "low", "high", "n_questions"]
    return pd.DataFrame(rows, columns=names)


def _all_sides(trajectories: pd.DataFrame, *, base: str | None, control: str | None) -> list[tuple[str, _Sides]]:
    base_id = base_id_of(trajectories, base)
    ends = run_ends(trajectories)
    control_id = None if control is None else run_id_of(trajectories, control)
    frozen_at = next((step for run_id, _, step in ends if run_id == control_id), None)
    if control_id is not None and frozen_at is None:
        raise InputError("the control has no probe after step 0: it must be probed at the steps that the runs are")
    start = _probe(trajectories, base_id, 0, 0)
    frozen = (
        _probe(trajectories, base_id, 0, 1)
        if frozen_at is None
        else _probe(trajectories, str(control_id), frozen_at, 0)
    )
    if frozen.empty:
        raise InputError("no frozen copy: name a control run, or probe step 0 of the base once more (relift probe)")
    found = []
    for run_id, run, step in ends:
        end = _probe(trajectories, run_id, step, 0)
        shared = start.index.intersection(end.index).intersection(frozen.index)
        if run_id != control_id and len(shared):
            before, after = (_rate(_both_draws(trajectories, *at).loc[shared]) for at in ((base_id, 0), (run_id, step)))
            sides = _Sides(run, step, start.loc[shared], end.loc[shared], frozen.loc[shared], after - before)
            found.append((run_id, sides))
    if not found:
        raise InputError("no run shares a question with the base and the frozen copy at its last probe")
    return found


def _probe(trajectories: pd.DataFrame, run_id: str, step: int, draw: int) -> pd.DataFrame:
    """Index n_correct, n_decided, n_attempts, n_truncated of one probe by question_id; undecided-only rows left out."""
    rows = with_labels(trajectories)
    rows = rows[(rows["run_id"] == run_id) & (rows["step"] == step) & (rows["draw"] == draw)]
    counts = rows[["n_correct", "n_attempts", "n_undecided", "n_truncated"]].astype("int64")
    counts = counts.set_index(pd.Index(rows["question_id"].astype(object), name="question_id"))
    counts["n_decided"] = counts["n_attempts"] - counts["n_undecided"]
    return counts[counts["n_decided"] > 0]


def _both_draws(trajectories: pd.DataFrame, run_id: str, step: int) -> pd.DataFrame:
    first, second = (_probe(trajectories, run_id, step, draw) for draw in (0, 1))
    return first.add(second, fill_value=0).loc[first.index]


def _solved(counts: pd.DataFrame) -> Any:
    return (counts["n_correct"] > 0).to_numpy()


def _rate(counts: pd.DataFrame) -> Any:
    return (counts["n_correct"] / counts["n_decided"]).to_numpy(float)


def _seeds_of(methods: pd.DataFrame, run_id: str) -> int:
    own = methods[methods["run_id"] == run_id]
    return int((methods["method"] == own["method"].iloc[0]).sum()) if len(own) else 1


Check = tuple[str, str, str, bool | None, str]


def _expansion(sides: _Sides, copy: str) -> Check:
    base_Q, end_Q, frozen_Q = (_solved(counts) for counts in (sides.base, sides.end, sides.frozen))
    low, high = stats.paired_counts(~base_Q & end_Q, ~base_Q & frozen_Q)
    found, chance = int((~base_Q & end_Q).sum()), int((~base_Q & frozen_Q).sum())
    return (
        "expansion", "Does it solve more of the unsolved questions than a frozen copy would?",
        f"{found} newly solved, {chance} by {copy}: excess [{low:.1f}, {high:.1f}]", bool(low > 0),
        "do not count newly solved questions; report the excess over the frozen copy",
    )  # fmt: skip


def _few_attempts(sides: _Sides) -> Check:
    least = int(min(sides.base["n_decided"].min(), sides.end["n_decided"].min()))
    return (
        "attempts", "Are there enough attempts at each question to tell a change from luck?",
        f"{least} at the question with fewest", least >= LEAST_ATTEMPTS,
        f"sample each question {LEAST_ATTEMPTS} times or more; one greedy answer learns and forgets by itself",
    )  # fmt: skip


def _second_hit(sides: _Sides, copy: str) -> Check:
    unsolved_Q = ~_solved(sides.base)
    end_Q, frozen_Q = ((counts["n_correct"] >= 2).to_numpy() & unsolved_Q for counts in (sides.end, sides.frozen))
    low, high = stats.paired_counts(end_Q, frozen_Q)
    rate = float(frozen_Q.sum() / unsolved_Q.sum()) if unsolved_Q.any() else np.nan
    return (
        "two hits", "Is a rule of two correct answers any safer here?",
        f"{int(end_Q.sum())} pass it, {int(frozen_Q.sum())} by {copy} (its rate {100 * rate:.1f} %): "
        f"excess [{low:.1f}, {high:.1f}]",
        bool(low > 0) if unsolved_Q.any() else None,
        "a threshold has a null of its own: subtract the frozen copy's rate from the run's",
    )  # fmt: skip


def _power(sides: _Sides) -> Check:
    n = len(sides.change_Q)
    mean, error = float(sides.change_Q.mean()), float(sides.change_Q.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    new_Q = ~_solved(sides.base) & _solved(sides.end)
    frozen_Q = ~_solved(sides.base) & _solved(sides.frozen)
    of_moves = (
        POWER * float((new_Q.astype(float) - frozen_Q.astype(float)).std(ddof=1)) * np.sqrt(n) if n > 1 else np.nan
    )
    return (
        "power", "Could this probe see the change that is claimed?",
        f"{100 * mean:+.1f} points found, {100 * POWER * error:.1f} detectable; of newly solved questions "
        f"{of_moves:.0f} more than a frozen copy", bool(abs(mean) >= POWER * error),
        "ask more questions: moves between solved and unsolved need far more of them than accuracy",
    )  # fmt: skip


def _seeds(sides: _Sides, n_seeds: int) -> Check:
    return (
        "seeds", "Is the claim about a method, or about one checkpoint?", f"{n_seeds} training seed(s)",
        n_seeds >= LEAST_SEEDS, f"train {LEAST_SEEDS} seeds or more, or speak of this checkpoint alone",
    )  # fmt: skip


def _cut_off(sides: _Sides) -> Check:
    before, after = (
        float(counts["n_truncated"].sum() / counts["n_attempts"].sum()) for counts in (sides.base, sides.end)
    )
    mean = float(sides.change_Q.mean())
    moved = abs(after - before)
    return (
        "token limit", "Could the token limit rather than ability explain the change?",
        f"{100 * before:.1f} % cut off at step 0, {100 * after:.1f} % at step {sides.step}; "
        f"{100 * mean:+.1f} points of accuracy",
        bool(moved <= CUT_OFF or moved < abs(mean) / 2), "raise max_tokens until fewer are cut off, and probe again",
    )  # fmt: skip


def _many_questions(sides: _Sides) -> Check:
    counts = [side[name].to_numpy(float) for side in (sides.end, sides.base) for name in ("n_correct", "n_decided")]
    q_Q = stats.benjamini_hochberg(stats.fisher_exact(*counts))
    up_Q = _rate(sides.end) > _rate(sides.base)
    up, down = int(((q_Q <= 0.05) & up_Q).sum()), int(((q_Q <= 0.05) & ~up_Q).sum())
    return (
        "many questions", "Does any single question's change survive that so many were looked at?",
        f"{up} better and {down} worse at a false discovery rate of 5 %", up + down > 0,
        "name no single question as learnt or forgotten; speak of counts and their excess",
    )  # fmt: skip
