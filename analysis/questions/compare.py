"""Compare a run with the base or with another run, question by question, in means with one kind of interval.

Axes: Q questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift import stats
from relift.analysis.questions.bands import BANDS
from relift.analysis.runs.counts import Counts
from relift.analysis.runs.panel import (
    RATE_DRAWS,
    base_id_of,
    base_of_bands,
    check_measure_draw,
    one_origin,
    run_id_of,
    with_labels,
)
from relift.errors import InputError

ALL = "all"
LEVEL = 0.95
_COUNTS = ["n_attempts", "n_correct", "n_undecided"]


def compare_runs(trajectories: pd.DataFrame, *, a: str, b: str, step: int | None = None) -> pd.DataFrame:
    """Join two runs on the questions that both were probed on at `step` (None: each run's last): one row per question.

    `a` and `b` are run_ids or labels. Columns: question_id, n_correct_a, n_decided_a, rate_a, the same of b,
    difference (rate_a - rate_b, null if a side has no decided attempt), cell: "both", "only a", "only b",
    "neither" by solved at least once, null likewise. Draws 0 and 1 are pooled. InputError if nothing is shared, or
    both are the same run.
    """
    one_origin(trajectories)
    ids = [run_id_of(trajectories, run) for run in (a, b)]
    if ids[0] == ids[1]:
        raise InputError(f"{a} and {b} are the same run: a run differs from itself by nothing")
    sides = []
    for run_id, side in zip(ids, "ab", strict=True):
        known = trajectories.loc[((trajectories["run_id"] == run_id) & (trajectories["draw"] < RATE_DRAWS)), "step"]
        at = int(known.max()) if step is None and len(known) else step or 0
        sides.append(counts_at(trajectories, run_id, at, draws=tuple(range(RATE_DRAWS))).add_suffix(f"_{side}"))
    frame = sides[0].join(sides[1], how="inner").sort_index().rename_axis("question_id").reset_index()
    if frame.empty:
        raise InputError(f"{a} and {b} have no probed question in common")
    frame["difference"] = frame["rate_a"] - frame["rate_b"]
    solved_a, solved_b = frame["n_correct_a"] > 0, frame["n_correct_b"] > 0
    cell = np.select([solved_a & solved_b, solved_a, solved_b], ["both", "only a", "only b"], "neither").astype(object)
    frame["cell"] = pd.Series(cell, index=frame.index).where(frame["difference"].notna(), None)
    return frame


def counts_at(trajectories: pd.DataFrame | Counts, run_id: str, step: int, *, draws: tuple[int, ...]) -> pd.DataFrame:
    """Sum n_correct and n_decided of these draws by question_id, with their rate."""
    probes = trajectories.probes if isinstance(trajectories, Counts) else trajectories
    chosen = ((probes["run_id"] == run_id) & (probes["step"] == step) & probes["draw"].isin(draws)).to_numpy()
    rows = trajectories.rows(chosen) if isinstance(trajectories, Counts) else trajectories[chosen]
    counts = rows[_COUNTS].astype("int64").groupby(rows["question_id"].astype(object)).sum()
    counts["n_decided"] = counts.pop("n_attempts") - counts.pop("n_undecided")
    counts["rate"] = stats.rate(counts["n_correct"], counts["n_decided"])
    return counts


def mean_difference(difference_Q: stats.Floats) -> dict[str, float]:
    """Compute difference, low, high (95 %, Student's t over questions, cut at -1 and 1) and p_value of a mean.

    Null ends and p_value with fewer than two questions; null ends where all differences are equal. This is the one
    interval of a difference of accuracies: of few questions t reaches beyond what can be, hence the cut.
    """
    n = len(difference_Q)
    estimate = stats.paired_t(difference_Q) if n > 1 else None
    return {
        "difference": float(np.mean(difference_Q)) if n else np.nan,
        "low": float(np.clip(estimate.low, -1, 1)) if estimate else np.nan,
        "high": float(np.clip(estimate.high, -1, 1)) if estimate else np.nan,
        "p_value": estimate.p_value if estimate else np.nan,
    }


def paired_difference(compared: pd.DataFrame, *, by: pd.Series | None = None) -> pd.DataFrame:
    """Average the differences of `compare_runs` by group (`by`: group of each question_id, say its band; None: "all").

    Columns: group, n_questions, difference (mean of rate_a - rate_b), low, high (95 %, Student's t over
    questions, cut at -1 and 1), p_value; where every question has one attempt a side also mcnemar_p. Questions whose
    group is null are left out, bands stand in their order; groups of fewer than two questions have no interval.
    """
    rows = compared[compared["difference"].notna()]
    groups = pd.Series("all", index=rows.index) if by is None else rows["question_id"].map(by)
    found = []
    parts = list(rows.groupby(groups, sort=False))
    if {str(group) for group, _ in parts} <= set(BANDS):
        parts.sort(key=lambda part: BANDS.index(str(part[0])))
    for group, members in parts:
        single = bool((members[["n_decided_a", "n_decided_b"]] == 1).all(axis=None))
        only = [int((members["cell"] == f"only {side}").sum()) for side in "ab"]
        found.append(
            {
                "group": group,
                "n_questions": len(members),
                **mean_difference(members["difference"].to_numpy(float)),
                "mcnemar_p": float(stats.mcnemar_exact(*only)) if single else np.nan,
            }
        )
    return pd.DataFrame(found)


def difference_from_base(
    trajectories: pd.DataFrame | Counts,
    *,
    base: str | None = None,
    bands: pd.DataFrame | None = None,
    groups: pd.Series | None = None,
    step: int | None = None,
    measure_draw: int = 1,
    control: str | None = None,
) -> pd.DataFrame:
    """Measure each run's accuracy at `step` (None: its last) less the base's at step 0, paired: one row per group.

    The two ends alone decide: a question need not have been probed in between, nor in another run. Columns: run_id,
    run, step, kind, group, n_questions, n_left_out (questions of the base's step 0 that the run was not asked at its
    step, in no number here), base_accuracy, accuracy (means over the questions of c/n), difference, low, high, p_value
    (of `mean_difference`). kind "all" holds every question; "group" the values of `groups` (say the split of each
    question_id); "band" those of `bands` in the order of BANDS.
    The base is the run that assigned `bands`, else `base` (None: the only run, or the one called base); where bands are
    given `measure_draw` of its step 0, which must not have assigned them, else draws 0 and 1. Later steps pool draws 0
    and 1. `control` names a frozen run: then also control_difference, what it shows in the same group at its own last
    probe, and excess, excess_low, excess_high, the run less the control, paired. InputError where nothing can be told.
    """
    one_origin(trajectories)
    probes = trajectories.probes if isinstance(trajectories, Counts) else trajectories
    both = tuple(range(RATE_DRAWS))
    if bands is not None:
        check_measure_draw(bands, measure_draw, allow_same_draw=False)
    base_id = base_id_of(probes, base) if bands is None else base_of_bands(bands)[0]
    start = counts_at(trajectories, base_id, 0, draws=both if bands is None else (measure_draw,))
    if start.empty:
        draw = "" if bands is None else f"draw {measure_draw} at "
        raise InputError(f"the base run has no {draw}step 0: probe step 0 once more")
    members = list(_groups(start.index, bands, groups))
    rows: list[dict[str, Any]] = []
    ends = run_ends(probes, step=step)
    frozen_Q = None if control is None else _control_rates(trajectories, run_id_of(probes, control), ends, start.index)
    for run_id, run, at in ends:
        end = counts_at(trajectories, run_id, at, draws=both)
        pairs = start.add_suffix("_base").join(end, how="left")
        rate_Q, base_Q = pairs["rate"].to_numpy(float), pairs["rate_base"].to_numpy(float)
        paired_Q = ~np.isnan(rate_Q) & ~np.isnan(base_Q)
        for kind, group, inside_Q in members:
            of_Q, n = inside_Q & paired_Q, int((inside_Q & paired_Q).sum())
            rows.append(
                {
                    "run_id": run_id, "run": run, "step": at, "kind": kind, "group": group, "n_questions": n,
                    "n_left_out": int(inside_Q.sum()) - n,
                    "base_accuracy": float(base_Q[of_Q].mean()) if n else np.nan,
                    "accuracy": float(rate_Q[of_Q].mean()) if n else np.nan,
                    **mean_difference(rate_Q[of_Q] - base_Q[of_Q]),
                    **({} if frozen_Q is None else _beside_control(rate_Q, base_Q, frozen_Q, of_Q)),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _control_rates(
    trajectories: pd.DataFrame | Counts, control_id: str, ends: list[tuple[str, str, int]], question_ids: pd.Index
) -> stats.Floats:
    """Find the control's rates at its end, in the order of `question_ids`."""
    at = {run_id: step for run_id, _, step in ends}.get(control_id)
    if at is None:
        raise InputError("the control has no probe after step 0: it must be probed at the steps that the runs are")
    end = counts_at(trajectories, control_id, at, draws=tuple(range(RATE_DRAWS)))
    return end["rate"].reindex(question_ids).to_numpy(float)


def _beside_control(
    rate_Q: stats.Floats, base_Q: stats.Floats, frozen_Q: stats.Floats, of_Q: NDArray[np.bool_]
) -> dict[str, float]:
    """Measure the control's difference from the base and the run's excess over it, on questions that all three have."""
    both_Q = of_Q & ~np.isnan(frozen_Q)
    excess = mean_difference(rate_Q[both_Q] - frozen_Q[both_Q])
    moved = mean_difference(frozen_Q[both_Q] - base_Q[both_Q])
    return {
        "control_difference": moved["difference"], "excess": excess["difference"], "excess_low": excess["low"],
        "excess_high": excess["high"],
    }  # fmt: skip


def run_ends(probes: pd.DataFrame, *, step: int | None = None) -> list[tuple[str, str, int]]:
    """List (run_id, run, step) of every run with a probe after step 0: at `step`, or at its last one.

    Top-ups (draws from 2 on) are no probe of a rate. InputError if there is none.
    """
    named = with_labels(probes[(probes["draw"] < RATE_DRAWS).to_numpy()])
    later = named[named["step"] > 0] if step is None else named[(named["step"] == step) & (named["step"] > 0)]
    if later.empty:
        raise InputError(f"no run has a probe at {'a step after 0' if step is None else f'step {step}'}")
    last = later.groupby(["run_id", "run"], sort=False)["step"].max().reset_index()
    return [(str(run_id), str(run), int(at)) for run_id, run, at in last.itertuples(index=False)]


def _groups(
    question_ids: pd.Index, bands: pd.DataFrame | None, groups: pd.Series | None
) -> Iterator[tuple[str, str, Any]]:
    """Yield (kind, name, members [Q]) of each group."""
    yield ALL, ALL, np.ones(len(question_ids), bool)
    if groups is not None:
        of_Q = groups.reindex(question_ids)
        for name in sorted(of_Q.dropna().unique()):
            yield "group", str(name), (of_Q == name).to_numpy()
    if bands is not None:
        band_Q = bands.set_index(bands["question_id"].astype(object))["band"].reindex(question_ids)
        for name in BANDS:
            yield "band", name, (band_Q == name).to_numpy()


def say_change(rows: pd.DataFrame) -> str:
    """Say one run's rows of `difference_from_base`: overall with what is left out, by group, by band, in points."""
    rows = rows[rows["n_questions"] > 0]
    (every,) = rows[rows["kind"] == ALL].to_dict("records")
    said = [
        f"accuracy {every['base_accuracy']:.3f} to {every['accuracy']:.3f} at step {int(every['step'])}, "
        f"{_points(every)} points over {_questions(int(every['n_questions']))}"
        + (f", {int(every['n_left_out']):,} left out: not asked at this step" if every["n_left_out"] else "")
    ]
    for kind, title in (("group", "By split"), ("band", "By band of the base")):
        parts = [f"{r['group']} {_points(r)} ({int(r['n_questions']):,})" for r in _of_kind(rows, kind)]
        said += [f"{title}, with questions: {', '.join(parts)}"] * bool(parts)
    return "".join(f"{sentence}. " for sentence in said).rstrip()


def _of_kind(rows: pd.DataFrame, kind: str) -> list[dict[Any, Any]]:
    return rows[rows["kind"] == kind].to_dict("records")


def _questions(n: int) -> str:
    return f"{n:,} question{'s' if n != 1 else ''}"


def _points(row: dict[Any, Any]) -> str:
    point = f"{100 * row['difference']:+.1f}"
    if not np.isnan(row["low"]):
        point += f" [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"
    return point.replace("-", "\N{MINUS SIGN}")
