"""Describe a figure of the catalogue as one value, and what it may ask of the runs it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pandas as pd

from relift.errors import InputError

Section = Literal["What changed", "What is within reach", "Benchmarks", "Training", "Length of answers"]


class LoadedRuns(Protocol):
    """Offer the tables of the runs, each read when first asked for (`relift.analysis.report.loaded.Loaded`).

    A property raises InputError where the runs do not hold it. Loaded says what each of them is.
    """

    @property
    def paths(self) -> tuple[Path, ...]: ...
    @property
    def resamples(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def runs(self) -> pd.DataFrame: ...
    @property
    def trajectories(self) -> pd.DataFrame: ...
    @property
    def probes(self) -> pd.DataFrame: ...
    @property
    def base_id(self) -> str: ...
    @property
    def bands(self) -> pd.DataFrame: ...
    @property
    def measure_draw(self) -> int: ...
    @property
    def control_id(self) -> str | None: ...
    @property
    def methods(self) -> pd.DataFrame: ...
    @property
    def worlds(self) -> Sequence[LoadedRuns]: ...
    @property
    def classified(self) -> pd.DataFrame: ...
    @property
    def split_of(self) -> pd.Series: ...
    @property
    def compared_ends(self) -> pd.DataFrame: ...
    @property
    def compared(self) -> pd.DataFrame: ...
    @property
    def compared_base_id(self) -> str: ...
    @property
    def rollouts(self) -> pd.DataFrame: ...
    @property
    def updates(self) -> pd.DataFrame: ...
    @property
    def checkpoints(self) -> pd.DataFrame: ...
    @property
    def demo_events(self) -> pd.DataFrame: ...
    @property
    def buffer_events(self) -> pd.DataFrame: ...
    @property
    def scores(self) -> pd.DataFrame: ...
    def path_of(self, run_id: str) -> Path: ...
    def with_origin(self, origin: str) -> list[Path]: ...
    def last_attempts(self, columns: list[str]) -> pd.DataFrame: ...


@dataclass(frozen=True)
class Figure:
    """Name a figure and say how its frame is made of runs, drawn and captioned.

    name: of the files, and of `relift analyze --only`; section: of the report; data: the frame, InputError where the
    runs do not allow it; draw: the frame's Axes (one, or an array of one figure); caption: what stands below.
    """

    name: str
    title: str
    section: Section
    data: Callable[[LoadedRuns], pd.DataFrame]
    draw: Callable[[pd.DataFrame], Any]
    caption: Callable[[pd.DataFrame], str]

    def frame_of(self, loaded: LoadedRuns) -> pd.DataFrame:
        """Make the frame. Raises InputError where the runs allow none, or one without a row: nothing can be drawn."""
        frame = self.data(loaded)
        if frame.empty:
            raise InputError("these runs have no row for it")
        return frame


@dataclass(frozen=True)
class Table:
    """Name a table without a figure of its own and say how it is made of runs."""

    name: str
    title: str
    data: Callable[[LoadedRuns], pd.DataFrame]
