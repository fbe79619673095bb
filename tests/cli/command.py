"""The command line in a forked process: what a shell would see of it, without another import of torch."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch  # noqa: F401  (before the fork: every command finds it imported)
import transformers  # noqa: F401

from relift.cli import main
from relift.config import Config, to_toml
from relift.grading import SCORERS, Scorer
from relift.grading.exact import ExactScorer
from relift.trainer import command, finish, loop, setup  # noqa: F401


@dataclass(frozen=True)
class Ended:
    """Exit status (negative: the signal that killed it) and what was printed."""

    status: int
    out: str
    err: str


class Command:
    """`relift ARGUMENTS` in a process of its own.

    `before` is called there first: a test may plant its accidents. Output goes through pipes, which no limit on file
    sizes touches.
    """

    def __init__(
        self,
        *arguments: object,
        grader: Callable[[], Scorer] = ExactScorer,
        before: Callable[[], object] = lambda: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        pipes = [os.pipe() for _ in range(2)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: the child uses none of them
            self.pid = os.fork()
        if self.pid == 0:
            for target, (reading, writing) in enumerate(pipes, start=1):
                os.close(reading)
                os.dup2(writing, target)
            status = 1
            try:
                sys.stdout, sys.stderr = (open(fd, "w", buffering=1, closefd=False) for fd in (1, 2))
                os.environ.update(environment or {})
                SCORERS["exact"] = grader
                sys.argv = ["relift", *map(str, arguments)]
                before()
                main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        for _, writing in pipes:
            os.close(writing)
        self._reading = [reading for reading, _ in pipes]

    def wait(self) -> Ended:
        texts = []
        for reading in self._reading:
            with open(reading, encoding="utf-8") as file:
                texts.append(file.read())
        return Ended(os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), *texts)


def relift(
    *arguments: object,
    grader: Callable[[], Scorer] = ExactScorer,
    before: Callable[[], object] = lambda: None,
) -> Ended:
    """Run the command to its end."""
    return Command(*arguments, grader=grader, before=before).wait()


def write_config(path: Path, config: Config) -> Path:
    path.write_text(to_toml(config))
    return path


def at_step(step: int, act: Callable[[], object]) -> Callable[[], None]:
    """A `before` that lets `act` happen in the midst of this step: its updates are done, nothing of it is written."""

    def plant() -> None:
        write_step = finish.write_step

        def planted(run: object, at: int, *rest: object) -> None:
            if at == step:
                act()
            write_step(run, at, *rest)  # type: ignore[arg-type]

        finish.write_step = planted  # type: ignore[assignment]

    return plant


def bytes_of(folder: Path) -> dict[str, str]:
    """Every file of a folder by its hash. The lock's file stays behind whatever happens, and says nothing."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def holds_nothing(folder: Path) -> bool:
    """No run was begun there."""
    with contextlib.suppress(FileNotFoundError):
        return {path.name for path in folder.iterdir()} <= {".lock"}
    return True


def assert_refused(ended: Ended, *parts: str, status: int = 2) -> None:
    """One line on standard error that holds these parts, and nothing else."""
    assert ended.status == status, ended.err
    assert ended.err.startswith("relift: ") and ended.err.count("\n") == 1 and ended.out == "", ended.err
    missing = [part for part in parts if part not in ended.err]
    assert not missing, f"{missing} not in {ended.err}"
