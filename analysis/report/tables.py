"""Make the tables of a report: a frame of the catalogue in, an escaped table out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from relift.analysis.questions.definitions import DEFINITIONS, define
from relift.analysis.report import html as h
from relift.analysis.report import words as words

LIMIT = 80  # characters of a cell


def difference_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    """Tabulate accuracy and its difference from the base by split and band."""
    rows = [
        [
            names[str(row["run_id"])], "all questions" if row["kind"] == "all" else str(row["group"]),
            f"{row['n_questions']:,}", f"{row['n_left_out']:,}", f"{100 * row['base_accuracy']:.1f}",
            f"{100 * row['accuracy']:.1f}",
            f"{words.signed(100 * row['difference'])} {words.interval(row['low'], row['high'], scale=100)}",
        ]
        for row in frame[frame["n_questions"] > 0].to_dict("records")
    ]  # fmt: skip
    caption = (
        "Accuracy in percent at the base's step 0 and at the last probe, difference in points with its 95 % interval, "
        "paired by question; left out: questions of the base's step 0 that the run was not asked at its last probe."
    )
    headers = ["run less base", "questions", "number", "left out", "base", "run", "difference"]
    return h.table(headers, rows, caption=caption, words=(0, 1))


def methods_table(frame: pd.DataFrame) -> h.Markup:
    """Tabulate each method over its seeds."""
    rows = [
        [
            row["method"], "all questions" if row["kind"] == "all" else str(row["group"]), row["seeds"],
            words.signed(100 * row["mean"]), words.interval(row["low"], row["high"], scale=100),
            row["values"].replace("-", "\N{MINUS SIGN}"),
        ]
        for row in frame[frame["kind"] != "band"].to_dict("records")
    ]  # fmt: skip
    caption = (
        "Each method less the base, in points: mean over its training seeds, 95 % interval between seeds (Student's "
        "t), the single seeds. One seed has no such interval: two single runs are two checkpoints, not two methods."
    )
    headers = ["method", "questions", "seeds", "mean", "between seeds", "single seeds"]
    return h.table(headers, rows, caption=caption, words=(0, 1, 2))


def copy_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    """Tabulate what a frozen copy would show."""
    rows = [
        [
            names[row["run_id"]], row["claim"], str(row["count"]), str(row["frozen"]),
            f"{row['excess']:+d} {words.interval(row['low'], row['high'])}",
        ]
        for row in frame.to_dict("records")
    ]  # fmt: skip
    caption = (
        f"Questions, beside what a frozen copy would show ({frame['n_questions'].max()} questions, draw 0 of each). "
        f"{define(['newly solved', 'no longer solved', 'frozen control'])}; without one, the base's second draw at "
        "step 0."
    )
    return h.table(["run", "claim", "found", "frozen copy", "excess"], rows, caption=caption, words=(0, 1))


def audit_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    """Tabulate the seven checks."""
    said = {True: "passes", False: "fails", None: "cannot be told"}
    rows = [
        [
            names[row["run_id"]], row["asks"], row["number"], said[row["passes"]],
            "" if row["passes"] else str(row["mend"]),
        ]
        for row in frame.to_dict("records")
    ]  # fmt: skip
    caption = "Seven checks, after the failures that arXiv 2608.20290 lists."
    return h.table(["run", "check", "found", "result", "what to do"], rows, caption=caption, words=range(5))


def class_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    """Tabulate the classes of trajectories, found and expected."""
    classes = list(dict.fromkeys(frame["class"]))
    rows = []
    for run_id, own in frame.groupby("run_id", sort=False):
        by_class = {row["class"]: row for row in own.to_dict("records")}
        cells = [f"{by_class[c]['found']} ({by_class[c]['expected']:.1f})" for c in classes]
        rows.append([names[str(run_id)], *cells])
    caption = (
        f"Questions by what became of them; in brackets {DEFINITIONS['expected without learning']}. {define(classes)}."
    )
    return h.table(["run", *classes], rows, caption=caption)


def support_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    """Tabulate the sets of solved questions."""
    sets = ["kept", "gained", "lost", "neither"]
    rows = [
        [names[row["run_id"]], *(f"{row[s]} ({cell(row[f'null_{s}'])})" for s in sets)]
        for row in frame.to_dict("records")
    ]
    meant = define(["newly solved", "no longer solved"])
    caption = f"Questions solved, base against run; in brackets the same for a model that did not change. {meant}."
    headers = ["run", "solved at both", "newly solved", "no longer solved", "solved at neither"]
    return h.table(headers, rows, caption=caption)


def gained_table(frame: pd.DataFrame) -> h.Markup:
    """Tabulate by which runs questions were newly solved or no longer solved."""
    counts = {
        which: frame.loc[frame[f"{which}_by"] != "", f"{which}_by"].value_counts() for which in ("gained", "lost")
    }
    rows = [[who, *(f"{counts[which].get(who, 0)}" for which in counts)] for who in by_size(counts)]
    caption = "Questions that the base model had not solved and these runs alone did, and the reverse; of few attempts."
    return h.table(["runs", "newly solved", "no longer solved"], rows or [["none", "0", "0"]], caption=caption)


def by_size(counts: Mapping[str, pd.Series]) -> list[str]:
    """Sort the groups of runs by how many questions they have."""
    together = counts["gained"].add(counts["lost"], fill_value=0)
    return [str(who) for who in sorted(together.index, key=lambda who: (-together[who], who))]


COSTS = {
    "rl_updates": "RL updates", "sft_updates": "SFT updates", "samples": "rollouts",
    "generated_tokens": "tokens sampled", "trained_tokens": "tokens trained on", "demonstrations": "demonstrations",
    "distinct_demonstrations": "different ones",
}  # fmt: skip


def cost_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    """Tabulate what the runs had used."""
    rows = [
        [names[str(row["run_id"])], str(row["step"]), *(f"{row[cost]:,}" for cost in COSTS)]
        for row in frame.to_dict("records")
    ]
    caption = "What the runs had used at their last checkpoint."
    return h.table(["run", "step", *COSTS.values()], rows, caption=caption)


def score_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    """Tabulate benchmark scores."""
    rows = [
        [
            names[str(row["run_id"])], str(row["benchmark"]), f"{row['metric']}@{row['parameter']:g}",
            f"{row['n_questions']:,}",
            f"{100 * row['value']:.1f} {words.interval(row['ci_low'], row['ci_high'], scale=100)}",
        ]
        for row in frame.to_dict("records")
    ]  # fmt: skip
    caption = "Scores in percent with 95 % intervals, for questions like these."
    return h.table(["run", "benchmark", "score", "questions", "value"], rows, caption=caption, words=(0, 1))


def health_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    """Tabulate what undecided and cut-off answers could move."""
    rows = [
        [
            names[str(row["run_id"])], str(row["benchmark"]), f"{row['n_attempts']:,}",
            words.percent(row["n_undecided"] / row["n_attempts"]),
            words.percent(row["n_truncated"] / row["n_attempts"]),
            f"{100 * row['bound_low']:.1f} to {100 * row['bound_high']:.1f}", f"{100 * row['bound_budget']:.1f}",
        ]
        for row in frame.to_dict("records")
        if row["n_attempts"]
    ]  # fmt: skip
    headers = ["run", "benchmark", "attempts", "undecided", "cut off", "were they judged", "had all been finished"]
    caption = "What undecided and cut-off answers could move the score to, in percent."
    return h.table(headers, rows, caption=caption, words=(0, 1))


def cell(value: object) -> str:
    """Write a value as text of a table, a dash for what is missing."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)[:LIMIT]
