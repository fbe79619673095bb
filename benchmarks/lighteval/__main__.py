"""lighteval's command line with our tasks and none of its own: python -m relift.benchmarks.lighteval ARGUMENTS...

lighteval 0.13.0 imports every task it has before it looks at ours. Offline that fails (one of them fetches a file from
the web while it is imported, another asks the hub), and so it does with huggingface_hub 2. Here its two loaders find
nothing, and `--custom-tasks` is ours unless another is given.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from lighteval.tasks.registry import Registry

from relift.errors import ReliftError

OURS = "relift.benchmarks.lighteval"
WITH_TASKS = ("accelerate", "custom", "vllm", "sglang", "nanotron", "baseline")  # commands that take --custom-tasks


def leave_out_builtin_tasks() -> None:
    """Only custom tasks are loaded from now on."""
    Registry._load_from_files = staticmethod(_nothing)
    Registry._load_from_subdirs = staticmethod(_nothing)


def _nothing(*_: object) -> dict[str, object]:
    return {}


def with_our_tasks(arguments: Sequence[str]) -> list[str]:
    """The arguments, with ours as custom tasks if the command takes some and none are given."""
    given = any(argument.partition("=")[0] == "--custom-tasks" for argument in arguments)
    takes = bool(arguments) and arguments[0] in WITH_TASKS
    return [*arguments, *(["--custom-tasks", OURS] if takes and not given else [])]


def main() -> None:
    leave_out_builtin_tasks()
    from lighteval.__main__ import app

    sys.argv[1:] = with_our_tasks(sys.argv[1:])
    try:
        app()
    except ReliftError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
