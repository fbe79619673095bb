"""Write scores as a table: a row per benchmark, a column per run, and below it what the numbers rest on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from relift import stats
from relift.analysis.scores.counts import Run, open_run
from relift.analysis.scores.score import LIKE_THESE, TAUS, THESE, score_health, score_run
from relift.analysis.scores.text_table import Format, TextTable, draw
from relift.errors import InputError
from relift.schema import WARN_UNDECIDED, Origin
from relift.store import RunReader

SHOWN_FROM = 0.01  # truncated and undecided shares above this are printed with their bounds
SMALL = 100  # questions: with one attempt each, what a comparison could detect is said


@dataclass(frozen=True)
class ScoredRun:
    """Hold one run with its scores and what they rest on: protocol, graders, engine, seed, status, unpinned."""

    run_id: str
    run: str
    scores: pd.DataFrame
    health: pd.DataFrame
    about: Mapping[str, Any]


def scored_run(
    run: Run,
    *,
    ks: Sequence[int] | None = None,
    taus: Sequence[float] = TAUS,
    origin: str = Origin.benchmark,
) -> ScoredRun:
    """Score a run and gather what its table says beside the numbers. Errors as `score_run`."""
    reader = open_run(run)
    scores = score_run(reader, ks=ks, taus=taus, origin=origin)
    return ScoredRun(reader.run_id, label_of_model(reader), scores, score_health(reader, origin=origin), about(reader))


def label_of_model(reader: RunReader) -> str:
    """Name the run in a table: the model that was evaluated, else the run's name, else its folder."""
    run = reader.run
    return (run.model and run.model.name) or run.name or reader.folder.name


def about(reader: RunReader) -> dict[str, Any]:
    """Read what run.json says of how the answers came about; null where it does not."""
    run = reader.run
    return {
        "protocol": run.protocol.get("name"),
        "sampling": run.decodings.get("benchmark"),
        "graders": run.graders or None,
        "second_grader": run.second_grader,
        "engine": run.identity.get("engine") or run.engine or None,
        "seed": run.identity.get("seed", run.seed),
        "status": run.status,
        "unpinned": [name for name, of in run.benchmarks.items() if not of.pinned],
    }


def render_scores(
    runs: Sequence[ScoredRun],
    *,
    format: Format = "terminal",
    metrics: Sequence[str] = ("avg",),
    these: bool = False,
) -> str:
    """Write the scores of one or several runs side by side, in percent with their 95 % intervals.

    `metrics`: of avg, pass, maj, cover. `these`: beside the interval for questions like these also the one for these
    questions. json holds every score and every count, whatever `metrics` says. Raises InputError without a run.
    """
    if not runs:
        raise InputError("no scores to show")
    if format == "json":
        return json.dumps(as_json(runs), indent=2, allow_nan=False)
    names = distinct_names([(run.run, run.run_id) for run in runs])
    columns = [(run, step) for run in runs for step in sorted(run.scores["step"].unique())]
    several = len(columns) > len(runs)
    name_of = dict(zip((run.run_id for run in runs), names, strict=True))
    titles = [name_of[run.run_id] + (f" step {step}" if several else "") for run, step in columns]
    cells = [_cells(run.scores[run.scores["step"] == step], metrics, these=these) for run, step in columns]
    keys = list(dict.fromkeys(key for column in cells for key in column))
    keys.sort(key=lambda key: is_macro(key[0]))  # stable: macro averages last
    rows = []
    for key in keys:
        found = [column.get(key) for column in cells]
        counts = [one.n_questions for one in found if one]
        k = max(one.parameter for one in found if one)
        rows.append([key[0], _metric_name(*key[:2], k), _range(counts), *(one.text(k) if one else "" for one in found)])
    first_macro = next((i for i, key in enumerate(keys) if is_macro(key[0])), len(keys))
    table = TextTable(["benchmark", "score", "questions", *titles], rows, left=(0, 1), rules={first_macro} - {0})
    return draw(table, format=format, notes=[*_explanation(these=these), *_notes(runs, name_of)])


@dataclass(frozen=True)
class _Cell:
    value: float
    intervals: tuple[tuple[float, float], ...]
    parameter: float
    n_questions: int
    says_k: bool  # where it differs from the row's

    def text(self, k: float) -> str:
        shown = " ".join(f"[{100 * low:.1f}, {100 * high:.1f}]" for low, high in self.intervals)
        other = f" (k = {self.parameter:g})" if self.says_k and self.parameter != k else ""
        return f"{100 * self.value:.1f} {shown}".rstrip() + other


def _cells(scores: pd.DataFrame, metrics: Sequence[str], *, these: bool) -> dict[tuple[str, str, float], _Cell]:
    """Group by benchmark, metric and parameter; runs with other numbers of attempts share the row of avg."""
    cells: dict[tuple[str, str, float], _Cell] = {}
    by_key: dict[tuple[str, str, float], dict[str, dict[str, Any]]] = {}
    for row in records(scores[scores["metric"].isin(list(metrics))]):
        parameter = 0.0 if row["metric"] == "avg" else row["parameter"]
        by_key.setdefault((row["benchmark"], row["metric"], parameter), {})[row["estimand"]] = row
    for key, of in by_key.items():
        wanted = [of[LIKE_THESE], *([of[THESE]] if these and THESE in of else [])]
        intervals = tuple((row["ci_low"], row["ci_high"]) for row in wanted if row["ci_low"] is not None)
        main = of[LIKE_THESE]
        own_k = key[1] == "avg" and not is_macro(key[0])
        cells[key] = _Cell(main["value"], intervals, main["parameter"], main["n_questions"], says_k=own_k)
    return cells


def is_macro(benchmark: str) -> bool:
    return benchmark.startswith("macro_")


def _metric_name(benchmark: str, metric: str, parameter: float) -> str:
    if metric == "avg" and is_macro(benchmark):
        return "avg"  # its benchmarks may have different numbers of attempts
    return f"cover_{parameter:.2f}" if metric == "cover" else f"{metric}@{parameter:g}"


def _range(counts: Sequence[int]) -> str:
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def distinct_names(names: Sequence[tuple[str, str]]) -> list[str]:
    """Return the labels of (label, run_id): the label, with the run_id where several runs have it."""
    labels = [label for label, _ in names]
    return [label if labels.count(label) == 1 else f"{label} ({run_id})" for label, run_id in names]


def _explanation(*, these: bool) -> list[str]:
    second = "; after it the one for these questions, sampling noise alone" if these else ""
    return [f"In percent, with the 95 % interval for questions like these{second}."]


def _notes(runs: Sequence[ScoredRun], name_of: Mapping[str, str]) -> list[str]:
    """Say shares and bounds, what is missing, what could be detected, and how the answers came about."""
    notes = []
    for run in runs:
        several = run.health["step"].nunique() > 1
        for row in records(run.health):
            where = f"{row['benchmark']}, {name_of[run.run_id]}" + (f" step {row['step']}" if several else "")
            notes += [f"{where}: {text}" for text in _health_notes(row)]
        if run.about.get("status") not in (None, "done"):
            notes.append(f"{name_of[run.run_id]}: so far; the run is {run.about['status']}")
    small = {
        row["benchmark"]: row["n_measured"]
        for run in runs
        for row in records(run.health)
        if row["samples"] == 1 and 0 < row["n_measured"] <= SMALL
    }
    for name, n in small.items():
        points = 100 * float(stats.minimum_detectable_difference(n, 1))
        notes.append(f"{name}: one attempt at {n} questions detects a difference of {points:.0f} points between models")
    return notes + provenance({name_of[run.run_id]: run.about for run in runs})


def _health_notes(row: Mapping[str, Any]) -> list[str]:
    notes = []
    if row["n_measured"] < row["n_declared"]:
        notes.append(f"{row['n_measured']} of {row['n_declared']} questions have a decided attempt")
    undecided, truncated = (row[name] / row["n_attempts"] for name in ("n_undecided", "n_truncated"))
    low, high, budget = (f"{100 * row[name]:.1f}" for name in ("bound_low", "bound_high", "bound_budget"))
    if undecided > SHOWN_FROM:
        warning = "WARNING: " if undecided > WARN_UNDECIDED else ""
        notes.append(f"{warning}{100 * undecided:.1f} % undecided, which leaves {low} to {high}")
    if truncated > SHOWN_FROM:
        notes.append(f"{100 * truncated:.1f} % truncated; a larger budget could reach {budget}")
    if row["n_refused"]:
        notes.append(f"{row['n_refused']} answers were withheld or broken off by the server")
    return notes


def provenance(about_by_name: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Write a line of protocol and grader for each way the answers came about, naming its runs unless all share it."""
    lines: dict[str, list[str]] = {}
    for name, facts in about_by_name.items():
        lines.setdefault(_provenance(facts), []).append(name)
    return [text if len(lines) == 1 else f"{', '.join(names)}: {text}" for text, names in lines.items()]


def _provenance(facts: Mapping[str, Any]) -> str:
    sampling = facts.get("sampling") or {}
    drawn = ", ".join(
        f"{name.replace('_', ' ')} {sampling[name]}"
        for name in ("temperature", "top_p", "max_tokens")
        if name in sampling
    )
    parts = [f"protocol {facts.get('protocol') or 'not recorded'}" + (f" ({drawn})" if drawn else "")]
    parts.append(f"graded by {describe_graders(facts.get('graders'))}")
    engine = facts.get("engine")
    if isinstance(engine, Mapping) and engine.get("name"):
        parts.append(f"engine {engine['name']} {engine.get('version', '')}".rstrip())
    if facts.get("unpinned"):
        parts.append(f"unpinned: {', '.join(facts['unpinned'])}")
    return "; ".join(parts)


def describe_graders(graders: Any) -> str:
    """Describe run.json's `graders` in a few words: names with their versions, by kind where they differ."""
    if not isinstance(graders, Mapping) or not graders:
        return "a grader that is not recorded"
    described: dict[str, list[str]] = {}
    for kind, of in graders.items():
        if isinstance(of, Mapping):
            plain = {
                k: v for k, v in of.items() if k != "name" and ("version" in k or k in ("math-verify", "math_verify"))
            }
            versions = ", ".join(str(v) if k == "version" else f"{k} {v}" for k, v in plain.items())
            described.setdefault(f"{of.get('name', kind)} {versions}".rstrip(), []).append(str(kind))
        else:
            described.setdefault(str(of), []).append(str(kind))
    return ", ".join(f"{text} ({'/'.join(kinds)})" for text, kinds in described.items())


def as_json(runs: Sequence[ScoredRun]) -> dict[str, Any]:
    """Return everything the table could show, for programs; null is "not defined" or "not recorded"."""
    return {
        "version": 1,
        "level": 0.95,
        "runs": [
            {
                "run": run.run,
                "run_id": run.run_id,
                **run.about,
                "scores": records(run.scores.drop(columns="run_id")),
                "health": records(run.health.drop(columns="run_id")),
            }
            for run in runs
        ],
    }


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as plain values, null for nan."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(k): v.item() if hasattr(v, "item") else v for k, v in row.items()} for row in rows]
