"""Print the table of benchmarks (`relift eval --list`) and the lines that pin one of them (`--pin`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from relift.benchmarks.benchmark import Benchmark, LoadedBenchmark
from relift.benchmarks.load import find_benchmark, load_benchmark
from relift.benchmarks.table import BENCHMARKS, GROUPS
from relift.grading import Grader

LISTED_WIDTH = 100


def list_benchmarks() -> list[dict[str, Any]]:
    """Return a row for each benchmark.

    Its keys: name, title, rows, scorer, samples, licence, gated, hub, config, split, revision, content_hash (null where
    not known), pinned, out_of_distribution, notes, groups.
    """
    return [_row(benchmark) for benchmark in BENCHMARKS.values()]


def _row(benchmark: Benchmark) -> dict[str, Any]:
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "rows": benchmark.rows,
        "scorer": benchmark.answer_kind,
        "samples": benchmark.samples,
        "licence": benchmark.licence,
        "gated": benchmark.gated,
        "hub": benchmark.hub,
        "config": benchmark.config,
        "split": benchmark.split,
        "revision": benchmark.revision,
        "content_hash": benchmark.content_hash,
        "pinned": benchmark.pinned,
        "out_of_distribution": benchmark.out_of_distribution,
        "notes": list(benchmark.notes),
        "groups": [group for group, names in GROUPS.items() if benchmark.name in names],
    }


def render_list(rows: Sequence[dict[str, Any]]) -> str:
    """Draw the rows as a table of at most 100 columns, and explain its words."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("name", "rows", "scorer", "k", "ood", "licence", "hub"):
        table.add_column(name, justify="right" if name in ("rows", "k") else "left", no_wrap=True)
    table.add_column("revision", no_wrap=True)
    for row in rows:
        licence = (row["licence"] or "none") + (", gated" if row["gated"] else "")
        revision = "" if row["hub"] is None else "unpinned" if row["revision"] is None else row["revision"][:8]
        revision += "" if row["content_hash"] or row["revision"] is None else " *"
        table.add_row(
            row["name"], f"{row['rows']:,}", row["scorer"], str(row["samples"]),
            "yes" if row["out_of_distribution"] else "", licence, row["hub"] or "embedded", revision,
        )  # fmt: skip
    console = Console(width=LISTED_WIDTH, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table, highlight=False)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    notes = [
        "",
        "k: attempts at each question unless --samples says otherwise. ood: out of distribution for models",
        "trained on mathematics. *: the revision is known, the hash of its contents is not yet: scores say",
        "unpinned.",
        f"Groups of -b: {', '.join(GROUPS)}; paper: {', '.join(GROUPS['paper'])}",
    ]
    return "\n".join([*lines, *notes]) + "\n"


def pin(name: str, *, data: Path | None = None) -> str:
    """Load a benchmark once, as it is now, and return the lines that declare what was found.

    Of the hub the newest revision is read, not the declared one. Raises InputError where nothing can be loaded, and
    where the gold answers are whole solutions.
    """
    benchmark = find_benchmark(name)
    loaded = load_benchmark(replace(benchmark, revision=None), data=data, any_content=True)
    found = {"rows": len(loaded.questions), "revision": loaded.revision, "content_hash": loaded.content_hash}
    lines = [f"# {loaded.origin}", *(f"# {note}" for note in loaded.notes)]
    for field, value in found.items():
        declared = getattr(benchmark, field)
        if value is None:
            continue
        said = "" if declared is None else "  # as declared" if value == declared else f"  # declared: {declared}"
        lines.append(f"{field}={json.dumps(value)},{said}")
    unreadable = _unreadable(loaded)
    if unreadable:
        said = "as declared" if set(unreadable) == set(benchmark.unreadable_golds) else "to be repaired or declared"
        lines.append(f"unreadable_golds={json.dumps(unreadable)},  # {said}")
    if benchmark.hub is not None and data is None and loaded.revision is None:
        lines.append("# which revision this is the hub does not say")
    return "\n".join(lines) + "\n"


def _unreadable(loaded: LoadedBenchmark) -> tuple[str, ...]:
    """List the question_ids whose gold answer nothing but the same text can equal."""
    questions = loaded.questions if loaded.benchmark.answer_kind == "math" else ()
    with Grader() as grader:
        bad = grader.unreadable_golds([q.answer for q in questions]) if questions else []
    return tuple(q.question_id for q, is_bad in zip(questions, bad, strict=True) if is_bad)
