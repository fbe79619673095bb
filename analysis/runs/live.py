"""Keep the counts of one run over its steps up to date while the run goes on.

Axes: Q questions, T steps.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relift.analysis.runs.counts import COLUMNS, Cube, count_rows
from relift.analysis.runs.read import RunPath, open_runs, question_index
from relift.errors import StoreError

Mark = tuple[tuple[int, int, int], ...]


def read_cube(run: RunPath, *, origin: str = "probe", draw: int = 0) -> Cube:
    """Read the counts of `trajectories` file by file. StoreError if a file is damaged."""
    live = LiveCube(run, origin=origin, draw=draw)
    cube = live.refresh()
    for problem in live.damaged.values():
        raise StoreError(problem)
    return cube


class LiveCube:
    """Follow the cube of a run that may still be running: `refresh` reads only steps that are new or written again.

    Steps that a resume has taken back leave the cube; a step whose file is damaged is left out and stands in
    `damaged`. Several threads may share one.
    """

    def __init__(self, run: RunPath, *, origin: str = "probe", draw: int = 0):
        (self._reader,) = open_runs([run])
        self._origin, self._draw = origin, draw
        self._n = len(question_index(self._reader))
        self._lock = threading.Lock()
        self._marks: dict[int, Mark] = {}
        self._steps: list[int] = []  # of the rows below, in order
        # a row per step, with room to spare: a new step copies itself alone
        self._correct_TQ = np.zeros((0, self._n), np.int16)
        self._decided_TQ = np.zeros((0, self._n), np.int16)
        self._cube: Cube | None = None
        self.damaged: dict[int, str] = {}

    def refresh(self) -> Cube:
        """Return the cube as it is now, the same object while nothing has changed; earlier cubes stay as they were."""
        with self._lock:
            files: dict[int, list[Path]] = {}
            for file in self._reader.files("trajectories", origin=self._origin, draws=[self._draw]):
                files.setdefault(file.step, []).append(file.path)
            marks = {step: tuple(map(_identity, paths)) for step, paths in files.items()}
            stale = sorted(step for step, mark in marks.items() if self._marks.get(step) != mark)
            gone = self._marks.keys() - marks.keys()
            if self._cube is None or stale or gone:
                for step in (*stale, *gone):
                    self.damaged.pop(step, None)
                self._take_in(self._read(stale), gone=gone.union(stale))
                self._marks, self._cube = marks, self._now()
            return self._cube

    def _read(self, steps: Sequence[int]) -> dict[int, tuple[NDArray[np.int16], NDArray[np.int16]]]:
        """Read correct and decided attempts of each question at these steps; unreadable steps become damaged."""
        found: dict[int, tuple[NDArray[np.int16], NDArray[np.int16]]] = {}
        if not steps:
            return found
        try:
            tables = self._reader.iter_tables(
                "trajectories", columns=COLUMNS["trajectories"], origin=self._origin, draws=[self._draw], steps=steps
            )
            for file, table in tables:
                n_attempts, n_correct, n_undecided = count_rows(table, self._n, "trajectories")
                correct_Q, decided_Q = found.get(file.step, (np.int16(0), np.int16(0)))  # evaluations come in parts
                found[file.step] = (correct_Q + n_correct, decided_Q + (n_attempts - n_undecided))
        except StoreError as error:
            if len(steps) > 1:  # one by one, to see which
                return {step: counts for one in steps for step, counts in self._read([one]).items()}
            self.damaged[steps[0]] = " ".join(str(error).split())
            return {}
        return found

    def _take_in(self, read: dict[int, tuple[NDArray[np.int16], NDArray[np.int16]]], *, gone: set[int]) -> None:
        """Put the steps that were read into their rows, in order of step, without the rows of those in `gone`."""
        row_of = {step: row for row, step in enumerate(self._steps) if step not in gone}
        steps = sorted({*row_of, *read})
        if [*row_of] != steps[: len(row_of)] or len(row_of) < len(self._steps):
            begin, old = 0, (self._correct_TQ, self._decided_TQ)  # an earlier cube still shows the old rows
            self._correct_TQ, self._decided_TQ = (np.zeros((len(steps) + 8, self._n), np.int16) for _ in range(2))
            for new, step in enumerate(steps):
                if step in row_of:
                    self._correct_TQ[new], self._decided_TQ[new] = (rows[row_of[step]] for rows in old)
        else:
            begin = len(row_of)
            self._make_room(len(steps))
        for row in range(begin, len(steps)):
            if steps[row] in read:
                self._correct_TQ[row], self._decided_TQ[row] = read[steps[row]]
        self._steps = steps

    def _make_room(self, n_steps: int) -> None:
        if n_steps > len(self._correct_TQ):
            rows = max(n_steps, 2 * len(self._correct_TQ)) if self._steps else n_steps + 8
            for name in ("_correct_TQ", "_decided_TQ"):
                old: NDArray[np.int16] = getattr(self, name)
                grown = np.zeros((rows, self._n), np.int16)
                grown[: len(self._steps)] = old[: len(self._steps)]
                setattr(self, name, grown)

    def _now(self) -> Cube:
        n = len(self._steps)
        counts = [rows[:n] for rows in (self._correct_TQ, self._decided_TQ)]  # views, read-only: others hold them
        for view in counts:
            view.flags.writeable = False
        return Cube(counts[0].T, counts[1].T, np.array(self._steps, np.int64), np.arange(self._n))


def _identity(path: Path) -> tuple[int, int, int]:
    """Return what a file that was written again differs in; zeros where it has just gone."""
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return (0, 0, 0)
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)
