"""Find the run folders that a command line means: runs, folders of runs, and what a shell's * gives beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from relift.errors import InputError, ReliftError
from relift.store.reader import RunReader

LEVELS = 2  # below a folder that is named: a study has a level for seeds and one for methods


@dataclass(frozen=True)
class FoundRuns:
    """List the folders of runs that can be opened, those that cannot with the reason, and what was passed over."""

    runs: tuple[Path, ...]
    unreadable: dict[Path, ReliftError]
    notes: tuple[str, ...]  # a line for each path that holds no run

    def sound(self) -> list[Path]:
        """Give the runs that can be opened. InputError where two folders are the same run; where no run can be opened,
        the reason of the first."""
        if not self.runs:
            raise next(iter(self.unreadable.values()))
        seen: dict[str, Path] = {}
        for folder in self.runs:
            run_id = RunReader(folder).run_id
            if run_id in seen:
                raise InputError(f"{folder} and {seen[run_id]} are the same run {run_id}: give one")
            seen[run_id] = folder
        return list(self.runs)

    def lines(self) -> list[str]:
        """Say what is left out: a line each, to print where the sound runs alone are used."""
        return [*self.notes, *(f"left out: {' '.join(str(reason).split())}" for reason in self.unreadable.values())]


def resolve_runs(paths: Iterable[Path]) -> FoundRuns:
    """Find the runs that are meant: those named, and of a folder without a run.json those up to LEVELS below, by name.

    A path beside runs that holds none (say `logs` in `runs/*`) is passed over with a note. InputError where a path does
    not exist or no run is found at all.
    """
    found: list[Path] = []
    notes: list[str] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such folder")
        inside = list(runs_below(path)) if path.is_dir() else []
        found += inside
        if not inside:
            notes.append(f"passed over: {path}: no run.json there or up to {LEVELS} levels below")
    if not found and notes:
        raise InputError(f"{notes[0].removeprefix('passed over: ')}: no run folder")
    once: dict[Path, Path] = {}  # also where a folder was named twice
    for folder in found:
        once.setdefault(folder.resolve(), folder)
    readable: list[Path] = []
    unreadable: dict[Path, ReliftError] = {}
    for folder in once.values():
        try:
            RunReader(folder)
        except ReliftError as error:
            unreadable[folder] = error
        else:
            readable.append(folder)
    return FoundRuns(tuple(readable), unreadable, tuple(notes))


def runs_below(folder: Path, *, levels: int = LEVELS) -> Iterator[Path]:
    """Walk to the folders with a run.json: the folder itself, else those up to `levels` below, by name."""
    if (folder / "run.json").is_file():
        yield folder
    elif levels:
        try:
            inside = sorted(entry for entry in folder.iterdir() if entry.is_dir())
        except OSError:  # not ours to read, or gone meanwhile
            return
        for entry in inside:
            yield from runs_below(entry, levels=levels - 1)
