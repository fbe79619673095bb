"""Write the first sentences of a report, made from its numbers: what was compared, gained, lost, new, and how sure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from relift.analysis.questions.compare import ALL
from relift.analysis.report.words import Frames, Names, interval, many, signed

_MOST = 3  # places that a sentence names; the table below has all


def letter(frames: Frames, names: Names) -> list[str]:
    """Write at most five sentences; those whose numbers are missing are left out."""
    if "difference_from_base" not in frames:
        return []
    changes = frames["difference_from_base"]
    changes = changes[changes["n_questions"] > 0]
    copy = _is_control(changes)
    changes, copied = changes[~copy], changes[copy]
    said = [_compared(changes, names), _up_and_down(changes, names, sign=1), _up_and_down(changes, names, sign=-1)]
    if "frozen_copy" in frames:
        said.append(_new(frames["frozen_copy"], names) + _of_the_copy(copied))
    said.append(_how_sure(frames))
    return [sentence for sentence in said if sentence]


def _is_control(changes: pd.DataFrame) -> pd.Series:
    """Find the rows of the frozen control: it exceeds itself nowhere."""
    if "excess" not in changes:
        return pd.Series(np.zeros(len(changes), bool), index=changes.index)
    of_itself = (changes["difference"] - changes["control_difference"]).abs() < 1e-12
    return of_itself.groupby(changes["run_id"]).transform("all")


def _of_the_copy(changes: pd.DataFrame) -> str:
    """Say where the frozen copy looks changed: so much is chance."""
    apart = changes[((changes["low"] > 0) | (changes["high"] < 0)).to_numpy()]
    if apart.empty:
        return ""
    places = ", ".join(
        f"{_place(row)} by {signed(100 * row['difference'])} {_points(row)}" for row in apart.to_dict("records")[:_MOST]
    )
    return f" The frozen copy itself differs from the base on {places}: by chance."


def _compared(changes: pd.DataFrame, names: Names) -> str:
    every = changes[changes["kind"] == ALL].to_dict("records")
    splits = changes[changes["kind"] == "group"].drop_duplicates("group")
    places = ", ".join(f"{group} {n}" for group, n in zip(splits["group"], splits["n_questions"], strict=True))
    base = " to ".join(sorted({f"{100 * row['base_accuracy']:.1f}" for row in every}))
    left = sum(int(row["n_left_out"]) for row in every)
    who = ", ".join(str(names[row["run_id"]]) for row in every)
    n = " to ".join(f"{n:,}" for n in sorted({int(row["n_questions"]) for row in every}))
    rest = f"; {many(left, 'question')} not asked again and left out" if left else ", none left out"
    return (
        f"{who} {'is' if len(every) == 1 else 'are'} compared at the last probe with the base, which answers {base} % "
        f"of {n} questions{f' ({places})' if places else ''} correctly{rest}."
    )


def _up_and_down(changes: pd.DataFrame, names: Names, *, sign: int) -> str:
    """Name the splits (all questions, if there are none) and bands where a run is better, or worse, beyond chance."""
    sure = changes[(changes["low"] > 0) if sign > 0 else (changes["high"] < 0)]
    split = (changes["kind"] == "group").any()
    kinds = ("group" if split else ALL, "band")
    places = sure[sure["kind"].isin(kinds).to_numpy()]
    looked_at = int((changes["kind"].isin(kinds) & (changes["n_questions"] > 0)).sum())
    word = "better" if sign > 0 else "worse"
    if places.empty:
        return f"No run is {word} than the base beyond chance on any split or band."
    parts = []
    for run_id, own in places.groupby("run_id", sort=False):
        ordered = own.assign(size=own["difference"].abs()).sort_values(["kind", "size"], ascending=[False, False])
        rows: list[dict[Any, Any]] = ordered.to_dict("records")
        ends = [f"{_place(row)} by {signed(100 * row['difference'])} {_points(row)}" for row in rows[:_MOST]]
        more = f" and {len(rows) - _MOST} more" if len(rows) > _MOST else ""
        parts.append(f"{names[str(run_id)]} on {', '.join(ends)}{more}")
    return (
        f"{word.capitalize()} than the base beyond chance, in points (each of {looked_at} intervals at 95 %): "
        f"{'; '.join(parts)}."
    )


def _place(row: Mapping[Any, Any]) -> str:
    return "all questions" if row["kind"] == ALL else str(row["group"])


def _points(row: Mapping[Any, Any]) -> str:
    return interval(row["low"], row["high"], scale=100)


def _new(copies: pd.DataFrame, names: Names) -> str:
    new = copies[copies["claim"] == "newly solved"].to_dict("records")
    parts = [f"{names[row['run_id']]} {row['count']} (excess {interval(row['low'], row['high'])})" for row in new]
    frozen = " to ".join(sorted({str(row["frozen"]) for row in new}))
    return f"Questions solved that the base had not solved: {', '.join(parts)}; a frozen copy shows {frozen}."


def _how_sure(frames: Frames) -> str:
    parts = []
    if "methods" in frames:
        of_all = frames["methods"][frames["methods"]["kind"] == ALL]
        counts = sorted(set(of_all["n_seeds"]))
        if counts == [1]:
            parts.append("One training run of each: what is said is about these checkpoints, not about their methods")
        else:
            seeds = ", ".join(f"{row['method']} {row['n_seeds']} ({row['seeds']})" for row in of_all.to_dict("records"))
            parts.append(f"Seeds: {seeds}")
    if "audit" in frames:
        checks = frames["audit"]
        failed = list(dict.fromkeys(row["check"] for row in checks.to_dict("records") if row["passes"] is False))
        passed = sum(passes is True for passes in checks["passes"])
        text = f"{passed} of {len(checks)} checks pass" + (f" (failed by a run: {', '.join(failed)})" if failed else "")
        parts.append(text)
    if "alerts" in frames:
        n = len(frames["alerts"])
        parts.append(f"{many(n, 'alert')} about the training" if n else "nothing in the training asks for a look")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""
