"""Describe the runs named on the command line: their states and their questions, read once and kept.

Everything is kept under a fingerprint of the run folder, so a live run is read again when it has grown and a finished
one never. Nothing here opens attempts or responses.
"""

from __future__ import annotations

import os
import re
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from relift.analysis.runs.read import label_of
from relift.analysis.style import run_styles, shorten
from relift.dashboards.kept import kept
from relift.errors import ReliftError, StoreError
from relift.run_record import RunRecord
from relift.schema import RunKind, RunStatus
from relift.store import RunReader, runs_below

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
LIVE_SECONDS = 900  # a run called running whose folder did not change for so long may have been killed


@dataclass(frozen=True)
class RunInfo:
    """Describe one run of the command line. `name` is unique among them and free of markup; null: not known."""

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
    seconds_per_step: float | None = None  # over the last commits
    changed_seconds: float = 0.0  # of the clock, when the folder was last written in

    @property
    def identity(self) -> tuple[Any, ...]:
        """Tell runs apart by what does not change while they grow."""
        return (str(self.folder), self.run_id, self.n_questions, self.origin)

    @property
    def key(self) -> tuple[Any, ...]:
        """Tell runs apart by all that their tables hold now."""
        return (*self.identity, self.fingerprint)

    @property
    def readable(self) -> bool:
        return self.state != "unreadable"

    @property
    def final(self) -> bool:
        """Tell whether nothing more is expected of the run."""
        return self.state not in ("running", "empty")


@dataclass(frozen=True)
class Choice:
    """Say what a page is about: runs, the run whose step 0 assigns bands (None: found as in analysis), splits."""

    runs: tuple[RunInfo, ...]
    base: str | None = None  # a run_id
    splits: tuple[str, ...] = ()
    left_out: tuple[tuple[str, int], ...] = ()  # (run_id, step) of probes that turned out to be damaged

    @property
    def key(self) -> tuple[Any, ...]:
        """Tell choices apart by all that their tables and figures are made of."""
        return (tuple(run.key for run in self.runs), self.base, self.splits, self.left_out)

    @property
    def identity(self) -> tuple[Any, ...]:
        """Tell choices apart by their runs, whatever the runs have grown to."""
        return tuple(run.identity for run in self.runs)

    @property
    def names(self) -> dict[str, str]:
        """Give names by run_id."""
        return {run.run_id: run.name for run in self.runs}

    def with_probes(self) -> Choice:
        """Drop the runs that have no probe."""
        return replace(self, runs=tuple(run for run in self.runs if run.probe_steps))

    def find(self, name: str | None) -> RunInfo | None:
        """Find the run of this name or run_id, or None."""
        return next((run for run in self.runs if name in (run.name, run.run_id)), None)


def folders() -> tuple[Path, ...]:
    """List the run folders named on the command line or below a folder named there, those that began since included.

    They are the only paths the dashboard ever opens. A folder that was named and is gone stays in the list.
    """
    found: dict[Path, None] = {}
    for argument in sys.argv[1:]:
        inside = tuple(runs_below(Path(argument)))
        found |= dict.fromkeys(inside or (() if Path(argument).is_dir() else (Path(argument),)))
    return tuple(found)


def survey() -> tuple[RunInfo, ...]:
    """Describe every run of the command line as it is now, in the order of legends, with unique names.

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
    order = list(run_styles(run.name for run in named))  # as in legends, on every page
    return tuple(sorted(named, key=lambda run: order.index(run.name)))


def fingerprint(folder: Path) -> tuple[int, ...]:
    """Compute what changes whenever the folder got a commit or its run.json was written; zeros if it is gone."""
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
    """Clean a name of anything that Markdown or an address would read as a sign."""
    return shorten(re.sub(r"[^\w .+=@,()-]", "·", text).strip(), longest=60) or "run"


@kept(256)
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
        seconds_per_step=_pace(reader.folder) if run.status is RunStatus.running else None,
        changed_seconds=max(written, default=0) / 1e9,
    )


def _pace(folder: Path, *, last: int = 10) -> float | None:
    """Measure the seconds of a step by when the last commit records were written; None with fewer than two."""
    found: dict[int, int] = {}
    for path in (folder / "commits").glob("step-*.json"):
        step = re.match(r"step-(\d+)", path.name)
        try:
            if step:
                found[int(step[1])] = max(found.get(int(step[1]), 0), path.stat().st_mtime_ns)
        except OSError:  # gone with a resume
            continue
    steps = sorted(found)[-last:]
    if len(steps) < 2 or steps[-1] == steps[0]:
        return None
    return max(0.0, (found[steps[-1]] - found[steps[0]]) / 1e9 / (steps[-1] - steps[0]))


def _model_and_data(reader: RunReader, run: RunRecord) -> tuple[str | None, str | None]:
    """Read what the run started from and was asked: of evaluations in run.json, else in config.toml."""
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
    """Tell whether a run that says it runs has written nothing for LIVE_SECONDS."""
    return run.state == "running" and time.time() - run.changed_seconds > LIVE_SECONDS


@kept(16, grows=False)
def questions_of(run: RunInfo) -> pd.DataFrame:
    """Read the questions of a run: a row each, in order of question_ix, as the rows of its cube."""
    rows = RunReader(run.folder).read("questions").sort_values("question_ix").reset_index(drop=True)
    return rows.astype({"question_id": object})  # they are walked through again and again


@kept(4, grows=False)
def questions(choice: Choice) -> pd.DataFrame:
    """Join the questions of all runs on question_id: a row each, with n_runs, the number of runs that hold it.

    Columns question_id, source, split, subject, level, answer, problem, has_demo (in any run), n_runs.
    """
    names = ["question_id", "source", "split", "subject", "level", "answer", "problem", "has_demo"]
    frames = [questions_of(run)[names] for run in choice.runs]
    same = all(frame["question_id"].equals(frames[0]["question_id"]) for frame in frames[1:])
    if same:  # the usual case, and the only one that may be large: no join
        has_demo = np.logical_or.reduce([frame["has_demo"].to_numpy(bool) for frame in frames])
        return frames[0].assign(has_demo=has_demo, n_runs=len(frames))
    stacked = pd.concat([frame.astype({c: object for c in names if c != "has_demo"}) for frame in frames])
    grouped = stacked.groupby("question_id", sort=False)
    joined = grouped.first().assign(has_demo=grouped["has_demo"].any(), n_runs=grouped.size())
    return joined.reset_index()


@kept(16)
def probed_splits(choice: Choice) -> tuple[str, ...]:
    """Find the splits of the questions that any of the runs was probed on."""
    found: dict[str, None] = {}
    for run in choice.runs:
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
