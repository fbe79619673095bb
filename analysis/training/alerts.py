"""Find what in a run asks for a look: growing length, a dry buffer, a grader in trouble, answers cut off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from relift.schema import WARN_UNDECIDED

Kind = Literal["spiral", "entropy", "dry buffer", "grader", "truncation", "skipped updates", "sampler"]
KINDS: tuple[Kind, ...] = ("spiral", "entropy", "dry buffer", "grader", "truncation", "skipped updates", "sampler")
ALERT_COLUMNS = ["run_id", "run", "kind", "sentence"]
TRUNCATED_SHARE = 0.10
# The rest are rules of thumb of ours: first against last third of the steps, and far enough apart to be no noise of
# a few dozen questions.
RISE, FALL, COLLAPSE = 1.25, 0.05, 0.3
LEAST_STEPS = 6
# Sampler and learner in half precision differ by .03 to .05 nats a token on average; twice that is no rounding.
LARGEST_GAP, LEAST_EFFECTIVE = 0.1, 0.8


def find_alerts(
    dynamics: pd.DataFrame, *, health: pd.DataFrame | None = None, buffer: pd.DataFrame | None = None
) -> pd.DataFrame:
    """List what asks for a look: run_id, run, kind, and a sentence with its numbers.

    `dynamics` of `training_dynamics`; `health`: a row per run with n_attempts, n_undecided, n_truncated of its last
    probe (of `last_health`); `buffer` of `buffer_health`.
    spiral           tokens of rollouts rose by a quarter and truncation rose, while reward fell by .05
    entropy          entropy fell below .3 of what it was
    dry buffer       no demonstration waits, and none was enqueued in the last third of the steps
    grader           undecided over 2 % of the attempts; truncation: cut off over 10 % of them
    skipped updates  an update was not made, because its loss or gradient was not finite
    sampler          in a step the sampler's log-probabilities were over .1 nats a token from the learner's, or by
                     importance weights the rollout tokens were worth less than .8 of their number
    First and last mean the first and last third of a run's steps, at least six.
    """
    rows: list[tuple[str, str, Kind, str]] = []
    for (run_id, run), one in dynamics.groupby(["run_id", "run"], sort=False):
        key = (str(run_id), str(run))
        rows += [(*key, kind, sentence) for kind, sentence in _of_training(one.sort_values("step"))]
    for (run_id, run), one in () if buffer is None else buffer.groupby(["run_id", "run"], sort=False):
        last = dynamics.loc[dynamics["run_id"] == run_id, "step"].max()
        rows += [(str(run_id), str(run), "dry buffer", s) for s in _of_buffer(one.sort_values("step"), last)]
    for found in [] if health is None else health.to_dict("records"):
        rows += [(found["run_id"], found["run"], kind, sentence) for kind, sentence in _of_grading(found)]
    return pd.DataFrame(rows, columns=ALERT_COLUMNS)


def checks_made(
    dynamics: pd.DataFrame, *, health: pd.DataFrame | None = None, buffer: pd.DataFrame | None = None
) -> pd.DataFrame:
    """List the checks that there is something to go by for, found or not: one row per run and kind, run_id, run, kind.

    The arguments are those of `find_alerts`. A recorded or imported run has no updates, so nothing tells whether one
    was skipped; that is no check passed.
    """
    rows: list[tuple[str, str, Kind]] = []
    for (run_id, run), one in dynamics.groupby(["run_id", "run"], sort=False):
        rolled = one[one["tokens"].notna()]
        updates = one[["n_rl", "n_sft", "n_mixed", "n_skipped"]].to_numpy().any()
        has: dict[Kind, bool] = {
            "spiral": len(rolled) >= LEAST_STEPS,
            "entropy": int(rolled["entropy"].notna().sum()) >= LEAST_STEPS,
            "skipped updates": bool(updates),
            "sampler": bool(one["sampler_gap"].notna().any()),
        }
        rows += [(str(run_id), str(run), kind) for kind, there in has.items() if there]
    for (run_id, run), one in () if buffer is None else buffer.groupby(["run_id", "run"], sort=False):
        if one["n_enqueued"].any():
            rows.append((str(run_id), str(run), "dry buffer"))
    for found in [] if health is None else health.to_dict("records"):
        rows += [(found["run_id"], found["run"], kind) for kind in ("grader", "truncation") if found["n_attempts"]]
    return pd.DataFrame(rows, columns=["run_id", "run", "kind"])


def _of_training(one: pd.DataFrame) -> list[tuple[Kind, str]]:
    found: list[tuple[Kind, str]] = []
    skipped = int(one["n_skipped"].sum())
    if skipped:
        found.append(("skipped updates", f"{skipped} updates were not made: loss or gradient was not finite."))
    found += _of_sampler(one)
    rolled = one[one["tokens"].notna()]
    if len(rolled) >= LEAST_STEPS:
        tokens, reward, truncated = (_thirds(rolled[c]) for c in ("tokens", "reward", "truncated_share"))
        if tokens[1] > RISE * tokens[0] and truncated[1] > truncated[0] and reward[1] < reward[0] - FALL:
            found.append(
                (
                    "spiral",
                    f"Answers grow from {tokens[0]:.0f} to {tokens[1]:.0f} tokens and truncation from "
                    f"{truncated[0]:.1%} to {truncated[1]:.1%}, while reward falls from {reward[0]:.2f} to "
                    f"{reward[1]:.2f}: length may be feeding on itself.",
                )
            )
    entropy = rolled["entropy"].dropna()
    if len(entropy) >= LEAST_STEPS:
        first, last = _thirds(entropy)
        if last < COLLAPSE * first:
            found.append(
                ("entropy", f"Entropy of rollouts fell from {first:.3g} to {last:.3g} nats: little is explored.")
            )
    return found


def _of_sampler(one: pd.DataFrame) -> list[tuple[Kind, str]]:
    gap, share = one["sampler_gap"], one["effective_share"]
    beyond = (gap > LARGEST_GAP) | (share < LEAST_EFFECTIVE)
    if not beyond.any():
        return []
    worst = gap.where(beyond).fillna(0).to_numpy().argmax()
    return [
        (
            "sampler",
            f"In {int(beyond.sum())} of {int(gap.notna().sum())} steps sampler and learner disagree, most in step "
            f"{int(one['step'].iloc[worst])}: {gap.iloc[worst]:.2g} nats a token, tokens worth {share.iloc[worst]:.0%} "
            "of their number. Look at the dtypes of rollouts and learner, and at rl.importance.",
        )
    ]


def _of_buffer(one: pd.DataFrame, last_step: float) -> list[str]:
    if one.empty or not one["n_enqueued"].any() or np.isnan(last_step):
        return []
    late = one[one["step"] > last_step * 2 / 3]
    if int(one["buffer_len"].iloc[-1]) or int(late["n_enqueued"].sum()):
        return []
    since = int(one.loc[one["n_enqueued"] > 0, "step"].max())
    return [
        f"The buffer is empty and no demonstration was enqueued since step {since}: fine-tuning has nothing to use."
    ]


def _of_grading(found: dict[Any, Any]) -> list[tuple[Kind, str]]:
    n, rows = int(found["n_attempts"]), []
    kinds: Sequence[tuple[Kind, str, float, str]] = (
        ("grader", "n_undecided", WARN_UNDECIDED, "could not be judged: see which rules in attempts.verdict_rule"),
        (
            "truncation",
            "n_truncated",
            TRUNCATED_SHARE,
            "were cut off at max_tokens: accuracy is held down by the limit",
        ),
    )
    for kind, name, limit, what in kinds:
        count = int(found[name])
        if n and count / n > limit:
            rows.append((kind, f"{count:,} of {n:,} answers of the last probe ({count / n:.1%}) {what}."))
    return rows


def last_health(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Sum n_attempts, n_undecided, n_truncated of each run's last probe, all draws: one row per run."""
    last = trajectories.groupby("run_id", observed=True)["step"].transform("max")
    rows = trajectories[(trajectories["step"] == last).to_numpy()]
    names = ["n_attempts", "n_undecided", "n_truncated"]
    keys = [rows["run_id"].astype(object), rows["run"].astype(object), rows["step"]]
    return rows[names].astype(np.int64).groupby(keys, sort=False).sum().reset_index()


def _thirds(values: pd.Series) -> tuple[float, float]:
    """Return means of the first and of the last third."""
    width = max(1, len(values) // 3)
    return float(values.iloc[:width].mean()), float(values.iloc[-width:].mean())
