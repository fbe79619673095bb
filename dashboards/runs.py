"""What the server knows of the runs named on the command line: their states, and their tables, read once and kept.

Everything is keyed by a fingerprint of the run folder, so a live run is read again when it has grown and a finished
one never. Nothing here opens attempts or responses.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from relift.analysis import Cube
from relift.analysis.report.loaded import Loaded
from relift.analysis.runs.read import label_of
from relift.errors import InputError, ReliftError, StoreError
from relift.run_record import RunRecord
from relift.schema import RunKind, RunStatus
from relift.store import RunReader

State = Literal["empty", "base only", "running", "interrupted", "done", "evaluation", "imported", "unreadable"]
STATES: dict[State, str] = {
    "empty": "nothing is committed yet; the first probe appears here by itself",
    "base only": "the base model was probed, nothing is trained",
    "running": "still running; this page follows it",
    "interrupted": "ended before its last step; start the same command again and it continues",
    "done": "finished",
    "evaluation": "benchmark answers of one model, made by relift eval or relift probe",
    "imported": "made elsewhere and imported",
    "unreadable": "cannot be read",
}
LARGE_ROWS = 1_000_000  # rows of trajectories that are read as a frame; of larger runs evenly spaced probes are
LIVE_SECONDS = 900  # a run called running whose folder did not change for so long may have been killed


@dataclass(frozen=True)
class RunInfo:
    """One run of the command line. `name` is unique among them and free of markup; null where it cannot be known."""

    name: str
    folder: Path
    state: State
    fingerprint: tuple[int, ...]
    problem: str | None = None  # why it cannot be read, in one line
    run_id: str = ""
    kind: str = ""  # eval, probe; "" is a training run
    recipe: str | None = None
    model: str | None = None
    data: str | None = None
    seed: int | None = None
    committed_step: int | None = None
    planned_steps: int | None = None
    origin: str = "probe"  # of its trajectories; benchmark where it was only evaluated
    probe_steps: tuple[int, ...] = ()
    base_draws: tuple[int, ...] = ()  # draws at step 0
    n_questions: int = 0
    n_rows: int = 0  # of trajectories of probes
    changed_seconds: float = 0.0  # of the clock, when the folder was last written in

    @property
    def readable(self) -> bool:
        return self.state != "unreadable"

    @property
    def final(self) -> bool:
        """Whether nothing more is expected of it."""
        return self.state not in ("running", "empty")


@dataclass(frozen=True)
class Choice:
    """What a page is about: runs, the run whose step 0 assigns bands (None: found as in analysis), splits."""

    runs: tuple[RunInfo, ...]
    base: str | None = None  # a run_id
    splits: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal exactly where every table and figure is."""
        return (tuple((run.run_id, run.fingerprint) for run in self.runs), self.base, self.splits)

    @property
    def names(self) -> dict[str, str]:
        """Name by run_id."""
        return {run.run_id: run.name for run in self.runs}

    def with_probes(self) -> Choice:
        """The same without runs that have no probe."""
        return replace(self, runs=tuple(run for run in self.runs if run.probe_steps))

    def find(self, name: str | None) -> RunInfo | None:
        """The run of this name or run_id, or None."""
        return next((run for run in self.runs if name in (run.name, run.run_id)), None)


def folders() -> tuple[Path, ...]:
    """Run folders of the command line: the only paths the dashboard ever opens."""
    return tuple(Path(argument) for argument in sys.argv[1:])


def survey() -> tuple[RunInfo, ...]:
    """Every run of the command line as it is now, in its order, with unique names.

    Of two folders with the same run the second is not read: rows are told apart by run_id.
    """
    found: list[RunInfo] = []
    for folder in folders():
        run = _described(str(folder), fingerprint(folder))
        same = next((other for other in found if other.run_id == run.run_id), None)
        if same is not None:
            problem = f"{run.folder}: the same run as {same.folder}"
            run = replace(run, state="unreadable", problem=problem, run_id=f"unreadable:{run.folder}")
        found.append(run)
    times = Counter(run.name for run in found)
    named: list[RunInfo] = []
    for run in found:
        name = f"{run.name} ({clean_name(run.folder.absolute().parent.name)})" if times[run.name] > 1 else run.name
        while any(other.name == name for other in named):
            name += "'"
        named.append(replace(run, name=name))
    return tuple(named)


def fingerprint(folder: Path) -> tuple[int, ...]:
    """Changes whenever something was committed in the folder or its run.json was written; empty if it is gone."""
    marks: list[int] = []
    for name in ("run.json", "commits", "checkpoints.parquet", "scores.parquet"):
        try:
            stat = os.stat(folder / name)
        except OSError:
            marks.append(0)
        else:
            marks += [stat.st_mtime_ns, stat.st_size]
    return tuple(marks)


def clean_name(text: str) -> str:
    """A name without anything that Markdown or an address would read as a sign."""
    return re.sub(r"[^\w .+=@,()-]", "·", text).strip()[:60] or "run"


@st.cache_resource(max_entries=256, show_spinner=False)
def _described(folder: str, marks: tuple[int, ...]) -> RunInfo:
    path = Path(folder)
    unread = RunInfo(clean_name(path.name), path, "unreadable", marks, run_id=f"unreadable:{folder}")
    try:
        return _describe(RunReader(path), marks)
    except ReliftError as error:
        return replace(unread, problem=" ".join(str(error).split()))
    except OSError as error:
        return replace(unread, problem=f"{path}: cannot read: {error.strerror}")


def _describe(reader: RunReader, marks: tuple[int, ...]) -> RunInfo:
    run = reader.run
    files = [f for f in reader.files("trajectories") if f.origin in ("probe", "benchmark")]
    probed = [f for f in files if f.origin == "probe"] or files
    n_questions = len(reader.read("questions", columns=["question_ix"]))
    model, data = _model_and_data(reader, run)
    written = [mark for mark in marks if mark > 10**12]  # times are nanoseconds, sizes are not
    return RunInfo(
        name=clean_name(label_of(reader)),
        folder=reader.folder,
        state=_state(reader, run, [f.step for f in probed]),
        fingerprint=marks,
        run_id=reader.run_id,
        kind=str(run.kind),
        recipe=run.recipe,
        model=model,
        data=data,
        seed=run.seed,
        committed_step=reader.committed_step,
        origin=str(probed[0].origin) if probed else "probe",
        planned_steps=run.tunable.get("steps"),
        probe_steps=tuple(sorted({f.step for f in probed})),
        base_draws=tuple(sorted({f.draw for f in probed if f.step == 0 and f.draw is not None})),
        n_questions=n_questions,
        n_rows=n_questions * len(probed),
        changed_seconds=max(written, default=0) / 1e9,
    )


def _model_and_data(reader: RunReader, run: RunRecord) -> tuple[str | None, str | None]:
    """What the run started from and was asked: of evaluations as run.json names them, else as its config.toml does."""
    if run.model is not None:
        return run.model.name, ", ".join(run.benchmarks) or None
    try:
        config = tomllib.loads(reader.config_toml)
    except (ReliftError, tomllib.TOMLDecodeError):  # a run can be looked at without it
        return None, None
    path, questions = (config.get("model") or {}).get("path"), (config.get("data") or {}).get("questions")
    return (Path(str(path)).name if path else None), (Path(str(questions)).name if questions else None)


def _state(reader: RunReader, run: RunRecord, probed: Sequence[int]) -> State:
    if reader.committed_step is None:
        return "empty"
    if run.imported_from is not None:
        return "imported"
    if run.status is RunStatus.running:
        return "running"
    if run.status is RunStatus.interrupted:
        return "interrupted"
    if run.kind is not RunKind.train:
        return "evaluation"
    return "base only" if not any(probed) and reader.committed_step == 0 else "done"


def silent(run: RunInfo) -> bool:
    """Whether a run that says it runs has written nothing for LIVE_SECONDS."""
    return run.state == "running" and time.time() - run.changed_seconds > LIVE_SECONDS


def loaded(choice: Choice) -> Loaded:
    """The tables of these runs (see `Loaded`), shared by all pages until one of the runs grows.

    Of large runs the trajectories are those of evenly spaced probes (see `shown_steps`). InputError where there is
    no run to read.
    """
    if not choice.runs:
        raise InputError("no run is chosen")
    paths = tuple(str(run.folder) for run in choice.runs)
    return _loaded(paths, choice.base, choice.splits, shown_steps(choice), choice.key)


@st.cache_resource(max_entries=4, show_spinner=False)
def _loaded(
    paths: tuple[str, ...],
    base: str | None,
    splits: tuple[str, ...],
    steps: tuple[int, ...] | None,
    key: tuple[Any, ...],  # noqa: ARG001  what the cache tells apart
) -> Loaded:
    return Loaded(tuple(Path(path) for path in paths), base, splits or None, resamples=200, steps=steps)


def shown_steps(choice: Choice) -> tuple[int, ...] | None:
    """None: every probe; else those that can be read and, evenly spaced, fit into memory, with each run's last."""
    steps = sorted({step for run in choice.runs for step in run.probe_steps})
    if not is_large(choice):
        unread = {step for run in choice.runs if run.probe_steps for step in damaged(run)}
        return tuple(step for step in steps if step not in unread) if unread else None
    n_rows = sum(run.n_rows for run in choice.runs)
    return spaced_steps(choice, LARGE_ROWS * len(steps) // n_rows)


def is_large(choice: Choice) -> bool:
    """Whether the trajectories are too many to be held as rows."""
    return sum(run.n_rows for run in choice.runs) > LARGE_ROWS


def spaced_steps(choice: Choice, n: int) -> tuple[int, ...]:
    """About `n` of the probed steps, evenly spaced, each run's first and last among them."""
    steps = sorted({step for run in choice.runs for step in run.probe_steps})
    ends = {step for run in choice.runs for step in (run.probe_steps[:1] + run.probe_steps[-1:])}
    return tuple(sorted({steps[round(i)] for i in np.linspace(0, len(steps) - 1, max(2, n))} | ends))


class _LiveCube:
    """Counts of one run, origin and draw, kept between looks: a new step costs one small file."""

    def __init__(self, folder: Path, origin: str, draw: int):
        self.reader, self.origin, self.draw = RunReader(folder), origin, draw
        self.lock = threading.Lock()
        questions = self.reader.read("questions", columns=["question_ix"])
        self.question_ix_Q = np.sort(questions["question_ix"].to_numpy(np.int64))
        self.columns: dict[int, tuple[tuple[Any, ...], NDArray[np.int16], NDArray[np.int16]]] = {}
        self.cube: Cube | None = None
        self.marks: tuple[int, ...] | None = None  # the run's fingerprint at the last look
        self.damaged: dict[int, str] = {}  # by step: what is wrong with its file, which is left out

    def now(self, marks_of_run: tuple[int, ...]) -> Cube:
        """The cube of what is committed now; the same object while nothing has changed. Of a run with the fingerprint
        of the last look the files are not looked at again."""
        with self.lock:
            if self.cube is not None and marks_of_run == self.marks:
                return self.cube
            files: dict[int, list[Any]] = {}
            for file in self.reader.files("trajectories", origin=self.origin, draws=[self.draw]):
                files.setdefault(file.step, []).append(file)
            marks = {step: tuple(_mark(file.path) for file in parts) for step, parts in files.items()}
            stale = [step for step, mark in marks.items() if step not in self.columns or self.columns[step][0] != mark]
            gone = (set(self.columns) | set(self.damaged)) - set(marks)
            if stale or gone or self.cube is None:
                for step in (*gone, *stale):
                    self.columns.pop(step, None)
                    self.damaged.pop(step, None)
                for step in stale:
                    self._read(step, marks[step])
                self.cube = self._stacked()
            self.marks = marks_of_run
            return self.cube

    def _read(self, step: int, mark: tuple[Any, ...]) -> None:
        correct_Q, decided_Q = (np.zeros(len(self.question_ix_Q), np.int16) for _ in range(2))
        wanted = ["question_ix", "n_correct", "n_attempts", "n_undecided"]
        try:
            for _, table in self.reader.iter_tables(
                "trajectories", columns=wanted, origin=self.origin, draws=[self.draw], steps=[step]
            ):
                ixs = table["question_ix"].to_numpy()
                whole = np.array_equal(ixs, self.question_ix_Q)  # every question was asked
                row = slice(None) if whole else np.searchsorted(self.question_ix_Q, ixs)
                correct_Q[row] = table["n_correct"].to_numpy()
                decided_Q[row] = table["n_attempts"].to_numpy() - table["n_undecided"].to_numpy()
        except StoreError as error:
            self.damaged[step] = " ".join(str(error).split())
            return
        self.columns[step] = (mark, correct_Q, decided_Q)

    def _stacked(self) -> Cube:
        steps = sorted(self.columns)
        shape = (len(steps), len(self.question_ix_Q))
        correct_TQ, decided_TQ = np.zeros(shape, np.int16), np.zeros(shape, np.int16)
        for t, step in enumerate(steps):
            _, correct_Q, decided_Q = self.columns[step]
            correct_TQ[t], decided_TQ[t] = correct_Q, decided_Q
            self.columns[step] = (self.columns[step][0], correct_TQ[t], decided_TQ[t])  # kept once, not twice
        for array in (correct_TQ, decided_TQ):
            array.flags.writeable = False  # shared by all sessions
        return Cube(correct_TQ.T, decided_TQ.T, np.array(steps, np.int64), self.question_ix_Q)


def _mark(path: Path) -> tuple[int, int, int]:
    stat = os.stat(path)
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)


@st.cache_resource(max_entries=64, show_spinner=False)
def _live_cube(folder: str, run_id: str, origin: str, draw: int) -> _LiveCube:  # noqa: ARG001  a new run is another
    return _LiveCube(Path(folder), origin, draw)


def cube(run: RunInfo, *, draw: int = 0) -> Cube:
    """Counts Q x T of a run's probes (of an evaluation: its answers), read-only, extended as the run grows.

    Rows are in order of question_ix, as those of `questions_of`. A damaged file is left out (see `damaged`).
    """
    return _live_cube(str(run.folder), run.run_id, run.origin, draw).now(run.fingerprint)


def damaged(run: RunInfo) -> dict[int, str]:
    """Steps whose probe cannot be read, and why; figures leave them out."""
    found: dict[int, str] = {}
    for draw in run.base_draws or (0,):
        live = _live_cube(str(run.folder), run.run_id, run.origin, draw)
        live.now(run.fingerprint)
        found |= live.damaged
    return found


@st.cache_resource(max_entries=16, show_spinner=False)
def _questions_of(folder: str, run_id: str, size: int) -> pd.DataFrame:  # noqa: ARG001
    rows = RunReader(Path(folder)).read("questions").sort_values("question_ix").reset_index(drop=True)
    return rows.astype({"question_id": object})  # they are walked through again and again


def questions_of(run: RunInfo) -> pd.DataFrame:
    """One row per question of the run, in order of question_ix, as the rows of `cube`. Not to be changed."""
    return _questions_of(str(run.folder), run.run_id, run.n_questions)


def questions(choice: Choice) -> pd.DataFrame:
    """One row per question of any of the runs, joined on question_id, with n_runs: how many of them hold it.

    Columns question_id, source, split, subject, level, answer, problem, has_demo (in any run), n_runs. Not to be
    changed.
    """
    return _joined(tuple((str(run.folder), run.run_id, run.n_questions) for run in choice.runs))


@st.cache_resource(max_entries=4, show_spinner=False)
def _joined(runs: tuple[tuple[str, str, int], ...]) -> pd.DataFrame:
    names = ["question_id", "source", "split", "subject", "level", "answer", "problem", "has_demo"]
    frames = [_questions_of(*run)[names] for run in runs]
    same = all(frame["question_id"].equals(frames[0]["question_id"]) for frame in frames[1:])
    if same:  # the usual case, and the only one that may be large: no join
        has_demo = np.logical_or.reduce([frame["has_demo"].to_numpy(bool) for frame in frames])
        return frames[0].assign(has_demo=has_demo, n_runs=len(frames))
    stacked = pd.concat([frame.astype({c: object for c in names if c != "has_demo"}) for frame in frames])
    grouped = stacked.groupby("question_id", sort=False)
    joined = grouped.first().assign(has_demo=grouped["has_demo"].any(), n_runs=grouped.size())
    return joined.reset_index()


def probed_splits(choice: Choice) -> tuple[str, ...]:
    """Splits of the questions that any of the runs was probed on."""
    return _probed_splits(choice.key, choice)


@st.cache_data(max_entries=16, show_spinner=False)
def _probed_splits(key: tuple[Any, ...], _choice: Choice) -> tuple[str, ...]:  # noqa: ARG001
    found: dict[str, None] = {}
    for run in _choice.runs:
        rows = questions_of(run)
        try:
            asked = RunReader(run.folder).read(
                "trajectories", columns=["question_ix"], origin=run.origin, draws=[0],
                steps=[*run.probe_steps[:1], *run.probe_steps[-1:]],
            )  # fmt: skip
        except StoreError:  # said where its numbers would stand
            continue
        probed_Q = np.isin(rows["question_ix"].to_numpy(), asked["question_ix"].unique())
        found |= dict.fromkeys(str(split) for split in rows["split"].astype(object).to_numpy()[probed_Q])
    return tuple(found)
