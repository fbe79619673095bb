"""Bridge to lighteval in both directions, and compare graders (docs/lighteval.md).

Ours in theirs: our benchmarks as its tasks (tasks, questions, metrics), our engines as its model (model, custom_model),
settings and command line (settings, __main__). Theirs in ours: its grader on recorded answers (cross_check here, peer
drives grade in its interpreter), its saved evaluations as runs (importer). The cost of an evaluation in it beside ours
is measured in relift.benchmarks.speed (overhead_lighteval).
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "TASKS_TABLE":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from relift.benchmarks.lighteval.tasks import make_tasks

    return make_tasks()
