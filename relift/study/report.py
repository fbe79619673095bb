"""Write what a study found: table.md, csv files, a figure, report.md, and a report of one cell with its questions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relift import analysis
from relift.analysis import style
from relift.analysis.report.page import write_report as write_page
from relift.demo.methods import status_of
from relift.errors import InputError
from relift.inert import write_csv
from relift.study.grid import cell_folder
from relift.study.measure import (
    Measured,
    accuracies,
    against_reference,
    by_question,
    excess_over_control,
    measure,
    variances,
)
from relift.study.rates import RULE, chosen_factors, sweep_table
from relift.study.spec import CONTROL, Study

BASE = "base"  # the row of the base models themselves
SHOWN_OF_CELL = 6  # methods in the report of one cell: more make its figures unreadable


def write_report(study: Study, out: Path) -> list[str]:
    """Write everything that the runs which are done allow; return lines that name the files.

    InputError where not even one control is done.
    """
    measured = measure(study, out)
    if measured.rows.empty:
        raise InputError(f"{out}: no base and seed has its control done: there is nothing to tell yet")
    tables = {
        "accuracy": accuracies(measured), "excess": excess_over_control(measured), "costs": measured.costs,
        "cells": measured.rows, "sweep": sweep_table(study, out), "variance": variances(study, out),
    }  # fmt: skip
    if not measured.pairs.empty:
        tables |= {"differences": against_reference(measured), "questions": by_question(measured)}
    folder = out / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        write_csv(frame, folder / f"{name}.csv")
    (out / "table.md").write_text(table(study, measured, tables), encoding="utf-8")
    lines = [f"table: {out / 'table.md'}; numbers: {folder}"]
    if "differences" in tables:
        shown = tables["differences"].assign(label=tables["differences"]["method"].map(study.label))
        analysis.save_figure(plot_differences(shown, reference=study.label(study.reference)), out / "figures",
                             "differences", shown)  # fmt: skip
    page = _page_of_a_cell(study, out)
    (out / "report.md").write_text(report(study, measured, tables, page=page), encoding="utf-8")
    lines.append(f"report: {out / 'report.md'}")
    if page is not None:
        lines.append(f"questions of one cell: {page}")
    return lines


def _page_of_a_cell(study: Study, out: Path) -> Path | None:
    """Write the report of the first cell with the most runs: its figures question by question."""
    done = {
        cell: [m for m in study.methods if status_of(cell_folder(out, *cell) / m) == "done"] for cell in study.cells
    }
    cell = max(done, key=lambda c: len(done[c]))
    methods = [m for m in done[cell] if m != CONTROL][:SHOWN_OF_CELL]
    if CONTROL not in done[cell] or not methods:
        return None
    runs = [cell_folder(out, *cell) / m for m in (CONTROL, *methods)]
    title = f"{study.name}: base {cell[0]}, seed {cell[1]}"
    write_page(runs, out / "cell.html", base=CONTROL, control=CONTROL, title=title, resamples=500)
    return out / "cell.html"


def table(study: Study, measured: Measured, tables: Mapping[str, pd.DataFrame]) -> str:
    """Write the table in Markdown: accuracy by band and split, the difference from the reference, what it cost."""
    accuracy = tables["accuracy"]
    groups = [g for g in (*analysis.BANDS[::1], "all") if (accuracy["group"] == g).any()]
    groups += sorted(accuracy.loc[accuracy["kind"] == "group", "group"].unique())
    head = ["", "runs", *groups, f"all, less {study.label(study.reference)}"]
    head += ["demonstrations", "distinct", "generated", "trained on", "10^12 operations", "minutes"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    rows = {(row["method"], row["group"]): row for row in accuracy.to_dict("records")}
    differences = tables["differences"].to_dict("records") if "differences" in tables else []
    less = {row["method"]: row for row in differences if row["group"] == "all"}
    for method in [BASE, *study.methods]:
        if (method, "all") not in rows:
            continue
        label = BASE if method == BASE else study.label(method)
        cells = [label, str(rows[method, "all"]["n_cells"])]
        cells += [_share(rows[method, g]) if (method, g) in rows else "–" for g in groups]
        cells.append(_points(less[method]) if method in less else "–")
        lines.append("| " + " | ".join([*cells, *_cost_cells(measured.costs, method)]) + " |")
    return "\n".join(lines) + "\n\n" + _caption(study, measured) + "\n"


def _cost_cells(costs: pd.DataFrame, method: str) -> list[str]:
    own = costs[costs["method"] == method]
    if own.empty:
        return ["–"] * 6
    mean = own.mean(numeric_only=True)
    return [
        f"{mean['demonstrations']:,.0f}", f"{mean['distinct_demonstrations']:,.0f}",
        f"{mean['generated_tokens'] / 1e6:.2f} M", f"{mean['trained_tokens'] / 1e6:.2f} M",
        f"{mean['flops'] / 1e12:.2f}", f"{mean['seconds'] / 60:.1f}",
    ]  # fmt: skip


def _caption(study: Study, measured: Measured) -> str:
    cells = measured.rows[["base", "seed"]].drop_duplicates()
    per_base = ", ".join(f"{b}: {', '.join(map(str, own['seed']))}" for b, own in cells.groupby("base", sort=False))
    return (
        "Accuracy at the end of training, bands by the base's draw 0 in each cell, the base measured on draw 1. Bases "
        f"and seeds with a control: {per_base}; the column `runs` says how many of these a method has. ± and [ ]: "
        "95 %, Student's t between seeds within these bases (spread pooled over bases), none where no base has two "
        "seeds. Differences are paired by question, base and seed, where both are done. Operations: of a parameter 2 a "
        "token generated and 6 a token trained on; probes are not counted."
    )


def _share(row: Mapping[Any, Any]) -> str:
    value, half = (f"{number:.3f}".removeprefix("0") for number in (row["mean"], row["mean"] - row["low"]))
    return value if np.isnan(row["low"]) else f"{value} ±{half}"


def _points(row: Mapping[Any, Any]) -> str:
    point = f"{100 * row['mean']:+.1f}"
    return point if np.isnan(row["low"]) else f"{point} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"


def report(study: Study, measured: Measured, tables: Mapping[str, pd.DataFrame], *, page: Path | None) -> str:
    """Write the report in Markdown: design, rates, table, differences of each cell, what no run is there for."""
    lines = [f"# Study {study.name}", "", _design(study, measured), "", "## Learning rates", ""]
    lines += _rates(study, tables["sweep"])
    lines += ["", "## Table", "", table(study, measured, tables)]
    if "differences" in tables:
        lines += [f"## Differences from {study.label(study.reference)}, in points", ""]
        lines += ["![differences](figures/differences.png)", ""]
        lines += _difference_lines(study, tables["differences"])
    lines += ["", "## Beyond the frozen control, all questions, in points", ""]
    excess = tables["excess"]
    for row in excess[excess["kind"] == "all"].to_dict("records"):
        lines.append(f"- {study.label(row['method'])}: {_points(row)} (cells: {row['values']})")
    lines += ["", "## What varies, in points of a run's difference from the base (standard deviations)", ""]
    for row in tables["variance"].to_dict("records"):
        spreads = {n: row[f"sd_{n}"] for n in ("question", "draw", "seed")}
        parts = ", ".join(f"{n} {100 * sd:.1f}" for n, sd in spreads.items() if not np.isnan(sd))
        lines.append(f"- {row['base']}, {study.label(row['method'])}, seeds {row['n_seeds']}: {parts}")
    if page is not None:
        lines += ["", f"Question by question, one cell: [{page.name}]({page.name})"]
    return "\n".join(lines) + "\n"


def _design(study: Study, measured: Measured) -> str:
    wanted = len(study.cells) * len(study.methods)
    there = len(measured.costs)
    return (
        f"{len(study.methods)} methods x {len(study.bases)} bases x {len(study.seeds)} seeds: {there} of {wanted} runs "
        f"are done. The control, {CONTROL}, is sampled, stepped and probed and never changes. Reference: "
        f"{study.label(study.reference)}."
    )


def _rates(study: Study, swept: pd.DataFrame) -> list[str]:
    if study.sweep is None:
        return ["No sweep: every method has the learning rates of its configuration."]
    lines = [f"Rule, fixed before: {RULE}.", ""]
    for method, factor in chosen_factors(study, swept).items():
        own = swept[swept["method"] == method].groupby("factor")["accuracy"].mean()
        seen = ", ".join(f"x{f:g} {a:.3f}" for f, a in own.items())
        lines.append(
            f"- {study.label(method)}: {'none yet' if factor is None else f'x{factor:g}'} ({seen or 'no run yet'})"
        )
    for name, own_method in study.methods.items():
        if own_method.rates_of is not None:
            of = ", ".join(sorted(set(own_method.rates(name).values())))
            lines.append(f"- {study.label(name)}: those of {of}")
    return lines


def _difference_lines(study: Study, differences: pd.DataFrame) -> list[str]:
    lines = []
    for method, own in differences.groupby("method", sort=False):
        rows: list[dict[str, Any]] = own.to_dict("records")  # type: ignore[assignment]
        order = {g: i for i, g in enumerate(("all", *analysis.BANDS))}
        rows.sort(key=lambda r: order.get(str(r["group"]), 9))
        parts = [f"{r['group']} {_points(r)} ({r['values']})" for r in rows]
        lines.append(f"- {study.label(str(method))}: " + "; ".join(parts))
    return lines


def plot_differences(frame: pd.DataFrame, *, reference: str) -> Any:
    """Draw each method's difference from the reference, overall and on the Hardest: cells as dots, interval as bar."""
    groups = [g for g in ("all", "Hardest") if (frame["group"] == g).any()]
    labels = list(dict.fromkeys(frame["label"]))[::-1]
    axes = np.asarray(
        style.new_axes(1, len(groups), height=0.22 * len(labels) + 0.7, sharey=True), dtype=object
    ).ravel()
    with style.context():
        for one, group in zip(axes, groups, strict=True):
            for row in frame[frame["group"] == group].to_dict("records"):
                y = labels.index(row["label"])
                cells = [float(v) for v in str(row["values"]).split(", ")]
                one.plot(cells, [y] * len(cells), "o", color="#9A9A9A", markersize=3, zorder=1)
                if not np.isnan(row["low"]):
                    one.plot([100 * row["low"], 100 * row["high"]], [y, y], "-", color="#333333", zorder=2)
                one.plot([100 * row["mean"]], [y], "o", color="#333333", markersize=4, zorder=3)
            one.axvline(0, color="#888888", linewidth=0.6, zorder=0)
            one.set_xlabel(f"{group}: points over {reference}")
            one.set_yticks(range(len(labels)), labels)
    return axes[0].figure
