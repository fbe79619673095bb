"""Our benchmarks as tasks of lighteval, our engines as a model of it, and its grader beside ours (docs/lighteval.md).

lighteval finds the tasks here (`--custom-tasks relift.benchmarks.lighteval`): TASKS_TABLE is made when it is asked
for, so that importing this package needs no lighteval.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "TASKS_TABLE":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from relift.benchmarks.lighteval.tasks import make_tasks

    return make_tasks()
