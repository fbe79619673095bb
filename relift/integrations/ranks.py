"""Bring the answers of several processes to the first one, in files: no collective, so that nothing can hang.

Every process writes its n-th batch as one file; the first one takes a batch when all files of it are there. Between
two batches of a trainer all processes wait for each other, so when the first is at batch n, batch n - 1 is whole.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from relift.errors import StoreError
from relift.integrations.answers import Answered, from_json, to_json

MOST_WAITING = 8  # batches that may wait for a process; more, and that process is taken for lost
LAST_SECONDS = 120.0  # how long the end of training waits for the last files
_POLL_SECONDS = 0.05

Heading = tuple[int, str, int]  # step, origin, draw


class Ranks:
    """Pass batches from all processes to the first. `folder` must be on a file system that all of them see."""

    def __init__(self, folder: Path, *, rank: int, world_size: int) -> None:
        self.folder = folder.with_name(f".{folder.name}.ranks")
        self.rank, self.world_size = rank, world_size
        self._written = 0
        self._taken = 0
        if self.folder.is_dir():  # of a launch that was killed
            for path in self.folder.glob(f"{self._name(rank)}.*"):
                path.unlink(missing_ok=True)

    def put(self, heading: Heading, answers: Sequence[Answered]) -> None:
        """Write this process's share of its next batch. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(self.rank, self._written)
        text = json.dumps({"heading": list(heading)})[:-1] + f', "answers": {to_json(answers)}}}'
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
        self._written += 1

    def take(self, *, last: bool) -> Iterator[tuple[Heading, list[Answered]]]:
        """Give the batches that are whole, in order, with the answers in order of process. For the first process.

        `last`: training is over, so all that was written is waited for. Raises StoreError where a process's share
        does not come, or is of another batch.
        """
        while self._taken < self._written:
            paths = [self._path(rank, self._taken) for rank in range(self.world_size)]
            deadline = time.monotonic() + LAST_SECONDS * last
            while missing := [path for path in paths if not path.exists()]:
                if last and time.monotonic() < deadline:
                    time.sleep(_POLL_SECONDS)
                    continue
                if last or self._written - self._taken > MOST_WAITING:
                    raise StoreError(f"{missing[0]}: a process's answers did not come; all need the same file system")
                return
            parts = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
            headings = {(int(step), str(origin), int(draw)) for step, origin, draw in (p["heading"] for p in parts)}
            if len(headings) > 1:
                raise StoreError(f"{paths[0]}: the processes are at different batches: {sorted(headings)}")
            self._taken += 1
            for path in paths:
                path.unlink(missing_ok=True)
            yield headings.pop(), [one for part in parts for one in from_json(part["answers"])]

    def remove(self) -> None:
        """Remove the folder if it is empty."""
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _path(self, rank: int, number: int) -> Path:
        return self.folder / f"{self._name(rank)}.{number:09d}.json"

    @staticmethod
    def _name(rank: int) -> str:
        return f"rank-{rank:05d}"
