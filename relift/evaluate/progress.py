"""Show how far an evaluation is, with running scores: bars on a terminal, a line each tenth of the way elsewhere.

All scores here are "so far": short answers finish first, so they may still move.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from relift.evaluate.tally import Standing, Tally
from relift.inert import for_terminal

REFRESH_SECONDS = 0.5  # the running means are computed this often at most
LINE_SECONDS = 60.0  # without a terminal: a line for all of it at least this often


def duration(seconds: float) -> str:
    """Write seconds in the unit that people say them in."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def standing_text(s: Standing) -> str:
    """The scores of a benchmark so far: mean with its standard error (of these questions), truncated, undecided."""
    parts = []
    if s.mean is not None:
        error = "" if s.standard_error is None else f" ± {100 * s.standard_error:.1f}"
        parts.append(f"{100 * s.mean:.1f}{error}{' so far' if s.done < s.total else ''}")
    if s.done:
        parts.append(f"truncated {s.n_truncated / s.done:.0%}")
        if s.n_refused:
            parts.append(f"refused by the server {s.n_refused}")
        if s.n_undecided:
            parts.append(f"undecided {s.n_undecided / s.done:.1%}")
    return "  ".join(parts)


class Display:
    """Call it whenever the tally has changed; from any thread."""

    def __init__(self, console: Console, bars: Progress, tally: Tally) -> None:
        self._console, self._bars, self._tally = console, bars, tally
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._answers, self._tokens = tally.answers, tally.tokens  # of earlier starts
        self._tasks: dict[str, TaskID] = {}
        self._tenths: dict[str, int] = {}
        self._shown, self._line = 0.0, self._began
        for s in tally.standings():
            self._tasks[s.name] = bars.add_task(
                for_terminal(s.name), total=s.total, completed=s.done, text=standing_text(s)
            )
            self._tenths[s.name] = _tenth(s)

    def __call__(self) -> None:
        if time.monotonic() - self._shown >= REFRESH_SECONDS and self._lock.acquire(blocking=False):
            try:
                self.show()
            finally:
                self._lock.release()

    def show(self) -> None:
        """Bring it up to date at once."""
        self._shown = time.monotonic()
        seconds = max(self._shown - self._began, 1e-9)
        speed = (
            f"{(self._tally.answers - self._answers) / seconds:.3g} answers/s, "
            f"{(self._tally.tokens - self._tokens) / seconds:,.0f} tokens/s"
        )
        standings = self._tally.standings()
        for s in standings:
            self._bars.update(self._tasks[s.name], completed=s.done, text=f"{standing_text(s)}  {speed}")
            if not self._console.is_terminal and _tenth(s) > self._tenths[s.name]:
                self._tenths[s.name] = _tenth(s)
                self._print(f"{s.name}: {s.done} of {s.total}  {standing_text(s)}  {speed}", s.total - s.done)
        if not self._console.is_terminal and time.monotonic() - self._line >= LINE_SECONDS:
            done, total = sum(s.done for s in standings), sum(s.total for s in standings)
            self._print(f"{done} of {total} answers  {speed}", total - done)

    def _print(self, line: str, n_left: int) -> None:
        """Print a line of progress with the time that is left, at the speed of this start so far."""
        self._line = time.monotonic()
        n_asked = self._tally.answers - self._answers
        ahead = ""
        if n_left and n_asked:
            ahead = f", about {duration(n_left * (self._line - self._began) / n_asked)} left"
        self._console.print(line + ahead, soft_wrap=True, markup=False, highlight=False)


def _tenth(s: Standing) -> int:
    return 10 * s.done // max(s.total, 1)


@contextmanager
def display(console: Console, tally: Tally) -> Iterator[Display]:
    """The display for as long as answers come."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=20), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), TextColumn("{task.fields[text]}"), console=console,
        disable=not console.is_terminal,
    ) as bars:  # fmt: skip
        shown = Display(console, bars, tally)
        yield shown
        shown.show()
