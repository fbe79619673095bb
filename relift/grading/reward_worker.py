"""Run a reward function of somebody else's making: `python -m relift.grading.reward_worker`, started by rewards.py.

Messages are lines of JSON, requests on stdin, replies on the file descriptor that is named beside the function. The
function's own prints go nowhere. The parent kills this process when a call takes too long; the kernel's timer does it
when the parent is gone.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import math
import os
import resource
import signal
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

MEMORY_BYTES = 2 * 1024**3  # beside what its imports take
GRACE_SECONDS = 5.0  # the kernel's timer behind the parent's clock


def main() -> None:
    """Import the function, say so, and answer calls until stdin closes."""
    name, replies, known = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    try:
        module, function = load(name)
        takes = columns_of(function, known)
        _say(replies, {"source": source_of(module, function), "takes": takes})
    except Exception as error:  # whatever a stranger's file raises when it is imported
        _say(replies, {"error": words_of(error)})
        return
    _limit_memory()
    for line in sys.stdin.buffer:
        task = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, task["limit_seconds"] + GRACE_SECONDS)  # SIGALRM at its default: death
        try:
            made = function(**{column: task["columns"][column] for column in takes})
            reply: dict[str, Any] = {"rewards": checked(made, n=len(task["columns"]["answers"]))}
        except Exception as error:  # a reward that fails is none, and its words go to the user
            reply = {"error": words_of(error)}
        signal.setitimer(signal.ITIMER_REAL, 0)
        _say(replies, reply)


def load(name: str) -> tuple[ModuleType, Callable[..., Any]]:
    """Import `module:function` or `file.py:function`. Raises ValueError with what is missing."""
    place, _, function_name = name.rpartition(":")
    if place.endswith(".py"):
        path = Path(place).resolve()
        if not path.is_file():
            raise ValueError(f"no file {place}")
        sys.path.insert(0, str(path.parent))  # files beside it
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ValueError(f"{place} has no function {function_name!r}")
    if inspect.iscoroutinefunction(function):
        raise ValueError(f"{function_name} is asynchronous; a plain function is called")
    return module, function


def columns_of(function: Callable[..., Any], known: Sequence[str]) -> list[str]:
    """List the columns that the function takes by name, all of them with **columns. Raises ValueError for others."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return list(known)
    unknown = [
        p.name
        for p in parameters
        if (p.default is p.empty and p.name not in known) or p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)
    ]
    if unknown:
        raise ValueError(f"it takes {', '.join(unknown)}; known: {', '.join(known)}")
    return [p.name for p in parameters if p.name in known]


def source_of(module: ModuleType, function: Callable[..., Any]) -> str:
    """Hash the file of the module, and that of the function if it comes from another."""
    files = {inspect.getsourcefile(module), inspect.getsourcefile(inspect.unwrap(function))}
    total = hashlib.blake2b(digest_size=16)
    for path in sorted(file for file in files if file):
        total.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return total.hexdigest()


def checked(made: Any, *, n: int) -> list[float | None]:
    """Require one finite number or None for each answer. Raises ValueError."""
    if isinstance(made, str | bytes | Mapping) or not hasattr(made, "__len__") or not hasattr(made, "__iter__"):
        raise ValueError(f"it returns a {type(made).__name__}, not a list of numbers or None")
    if len(made) != n:
        raise ValueError(f"it returns {len(made)} rewards for {n} answers")
    rewards = [None if value is None else float(value) for value in made]
    if odd := [value for value in rewards if value is not None and not math.isfinite(value)]:
        raise ValueError(f"it returns {odd[0]}; a reward is a finite number or None")
    return rewards


def words_of(error: BaseException) -> str:
    """Tell an exception in one line, with the last place in the user's own files."""
    said = " ".join(str(error).split())[:300]
    own = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_NOT_THEIRS)]
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    kind = "" if type(error) is ValueError and not own else f"{type(error).__name__}: "
    return f"{kind}{said}{where}"


_PATHS = sysconfig.get_paths()
_NOT_THEIRS = ("<", str(Path(__file__).parent), _PATHS["stdlib"], _PATHS["purelib"], _PATHS["platlib"])


def _limit_memory() -> None:
    try:
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # no Linux: time is limited
        return
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, now + MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _say(replies: int, message: object) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(replies, data) :]


if __name__ == "__main__":
    main()
