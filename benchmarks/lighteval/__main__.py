"""Run lighteval's command line with our tasks and none of its own: python -m relift.benchmarks.lighteval ARGUMENTS...

lighteval 0.13.0 imports every task it has before it looks at ours. Offline that fails (one of them fetches a file from
the web while it is imported, another asks the hub), and so it does with huggingface_hub 2. Here its two loaders find
nothing, and `--custom-tasks` is ours unless another is given. `custom ENGINE:MODEL TASKS` is our engine: the file
that lighteval wants between the two is put there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from relift.errors import ReliftError

OURS = "relift.benchmarks.lighteval"
MODEL_FILE = Path(__file__).with_name("custom_model.py")
WITH_TASKS = ("accelerate", "custom", "vllm", "sglang", "nanotron", "baseline")  # commands that take --custom-tasks


def leave_out_builtin_tasks() -> None:
    """Make lighteval load custom tasks alone from now on."""
    from lighteval.tasks.registry import Registry

    Registry._load_from_files = staticmethod(_nothing)
    Registry._load_from_subdirs = staticmethod(_nothing)


def _nothing(*_: object) -> dict[str, object]:
    return {}


def with_ours(arguments: Sequence[str]) -> list[str]:
    """Add our tasks to a command that takes custom ones, and our model file, unless others are given."""
    if not arguments or arguments[0] not in WITH_TASKS:
        return list(arguments)
    out = list(arguments)
    if out[0] == "custom" and ":" in "".join(out[1:2]) and not any(a.endswith(".py") for a in out[2:3]):
        out.insert(2, str(MODEL_FILE))
    if not any(argument.partition("=")[0] == "--custom-tasks" for argument in out):
        out += ["--custom-tasks", OURS]
    return out


def main() -> None:
    """Run the command line."""
    leave_out_builtin_tasks()
    from lighteval.__main__ import app

    sys.argv[1:] = with_ours(sys.argv[1:])
    try:
        app()
    except ReliftError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
