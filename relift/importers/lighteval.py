"""Import lighteval's details through its bridge, with scores."""

from __future__ import annotations

from pathlib import Path

from relift.analysis.scores.score import score_run
from relift.benchmarks.lighteval.importer import import_details
from relift.grading import Grader
from relift.store import RunWriter


def import_lighteval(source: Path, into: Path, *, grader: Grader) -> Path:
    """Write a run folder from one evaluation of lighteval, and its scores; return it. Raises InputError."""
    import_details(source, into, grader=grader)
    scores = score_run(into)
    with RunWriter(into) as writer:
        writer.write_whole("scores", scores)
    return into
