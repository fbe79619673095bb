"""Read run folders, one function per grain: several runs in one frame, joined on what is the same everywhere.

Every frame has run_id and `run`, the label of figures: run.json's "name", else the folder's name. Rows of a
question carry question_id; question_ix is dense inside one run and must never be joined on across runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.types import union_categoricals

from relift.errors import InputError, StoreError
from relift.schema import TABLES, Origin
from relift.store import RunReader, TableFile, runs_below, trajectories_of, unassisted
from relift.suggest import hint

RunPath = str | PathLike[str]
Runs = RunPath | Sequence[RunPath]


_BATCH_ROWS = 100_000
_KEPT = 32  # readers and indexes of questions kept open: a page that is drawn again must not read them again
_readers: dict[Path, RunReader] = {}
_indexes: dict[tuple[Path, str], pd.CategoricalDtype] = {}
_lock = Lock()


def open_runs(runs: Runs | Sequence[Runs]) -> list[RunReader]:
    """Open a reader per run folder; a folder of runs stands for the runs in it, up to two levels below.

    InputError if a folder holds no run, or two hold the same one. Readers are kept: they look at each file's state
    before they trust what they know of it.
    """
    paths = _paths(runs)
    readers = [_reader(folder) for path in paths for folder in _folders(Path(fspath(path)).absolute())]
    seen: dict[str, Path] = {}
    for reader in readers:
        if reader.run_id in seen:
            raise InputError(f"{reader.folder} and {seen[reader.run_id]} are the same run {reader.run_id}: give one")
        seen[reader.run_id] = reader.folder
    return readers


def _paths(runs: Runs | Sequence[Runs]) -> list[RunPath]:
    """List the paths of one run, of several, or of several such lists."""
    if isinstance(runs, str | PathLike):
        return [runs]
    return [path for part in runs for path in _paths(part)]


def require_known(
    readers: Sequence[RunReader],
    tables: Sequence[str],
    *,
    origin: str | None,
    steps: Collection[int] | None = None,
    draws: Collection[int] | None = None,
) -> None:
    """Raise InputError for an origin that is none, and for a step or draw that no run has in any of the tables.

    Runs without any row of this origin are not asked: there an empty frame is the answer.
    """
    if origin is not None and origin not in list(Origin):
        raise InputError(f"no origin {origin!r}; there are {', '.join(Origin)}{hint(origin, list(Origin))}")
    files = [file for reader in readers for table in tables for file in reader.files(table, origin=origin)]
    if not files:
        return
    for what, wanted, known in (
        ("step", steps, {file.step for file in files}),
        ("draw", draws, {file.draw or 0 for file in files}),
    ):
        unknown = sorted(set(wanted or ()) - known)
        if unknown:
            rows = f"{tables[0]} of origin {origin}" if origin else tables[0]
            raise InputError(f"no run has {rows} at {what} {_listed(unknown)}; there are {_listed(sorted(known))}")


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:12]))
    return shown if len(numbers) <= 12 else f"{shown}, ... {numbers[-1]}"


def _folders(path: Path) -> list[Path]:
    """List the run folder itself, or those below it; a path that holds none stays, for the reader to refuse it."""
    return [path] if path in _readers else (list(runs_below(path)) or [path])


def _reader(folder: Path) -> RunReader:
    known = _readers.get(folder)
    if known is not None and known.run.run_id == known.run_id:
        return known
    with _lock:
        _readers.pop(folder, None)
        reader = RunReader(folder)
        _readers[folder] = reader
        while len(_readers) > _KEPT:
            del _readers[next(iter(_readers))]
    return reader


def question_index(reader: RunReader) -> pd.Index:
    """Return the run's question_ids in order of question_ix, which counts from 0. Kept until the table changes."""
    return _question_dtype(reader).categories


def _question_dtype(reader: RunReader) -> pd.CategoricalDtype:
    key = (reader.folder, str(reader.run.files.get("questions.parquet")))
    with _lock:
        if key not in _indexes:
            questions = reader.read("questions", columns=["question_id", "question_ix"]).sort_values("question_ix")
            if not np.array_equal(questions["question_ix"], np.arange(len(questions))):
                raise StoreError(f"{reader.folder}: question_ix does not count from 0 to {len(questions) - 1}")
            _indexes[key] = pd.CategoricalDtype(pd.Index(questions["question_id"], dtype=object))
            while len(_indexes) > _KEPT:
                del _indexes[next(iter(_indexes))]
        return _indexes[key]


def label_of(reader: RunReader) -> str:
    """Return the name of the run in figures."""
    return reader.run.name or reader.folder.name


def read_runs(*runs: Runs) -> pd.DataFrame:
    """Read one row per run: run_id, run, folder, committed_step, method (the recipe and its configuration without the
    seed, so that runs of several seeds group), and every plain value of its record."""
    rows = []
    for reader in open_runs(runs):
        run = reader.run
        values = {name: value for name, value in vars(run).items() if name != "name"}
        plain = {k: str(v) if isinstance(v, str) else v for k, v in values.items() if v is None or _is_plain(v)}
        key = {"run_id": reader.run_id, "run": label_of(reader), "folder": str(reader.folder)}
        rows.append({**key, "committed_step": reader.committed_step, "method": run.method, **plain})
    return pd.DataFrame(rows)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float)


def read_questions(*runs: Runs) -> pd.DataFrame:
    """Read one row per run and question."""
    return _gather(runs, lambda reader: reader.read("questions"))


def read_trajectories(
    *runs: Runs,
    origin: str = "probe",
    steps: Collection[int] | None = None,
    draws: Collection[int] | None = None,
    splits: Collection[str] | None = None,
    columns: Sequence[str] | None = None,
    leave_out: Collection[tuple[str, int]] = (),
) -> pd.DataFrame:
    """Read one row per run, draw, step and question, with question_id. `splits` keeps questions of these splits only.

    With the rate of each row as `accuracy`, n_correct / (n_attempts - n_undecided), null where nothing was decided
    (also in `columns`). `leave_out`: (run_id, step) of probes that are not looked at, as damaged ones. Runs that keep
    attempts of this origin alone (evaluations) have their rows counted from these. InputError for an unknown origin,
    and for steps or draws that no run has.
    """
    readers = open_runs(runs)
    require_known(readers, ("trajectories", "attempts"), origin=origin, steps=steps, draws=draws)
    rate = columns is None or "accuracy" in columns
    if columns is not None:
        counts = ("n_correct", "n_attempts", "n_undecided") if rate else ()
        columns = [*(name for name in columns if name != "accuracy"), *counts]

    def read(reader: RunReader) -> pd.DataFrame:
        wanted = None if columns is None else _with_keys(columns, ("run_id", "origin", "draw", "step", "question_ix"))
        kept = None if splits is None else _ixs_of(reader, "split", splits)
        left, asked = {step for run_id, step in leave_out if run_id == reader.run_id}, steps
        if left:
            known = reader.steps("trajectories", origin=origin) or reader.steps("attempts", origin=origin)
            asked = [step for step in known if step not in left and (steps is None or step in steps)]
        if not reader.files("trajectories", origin=origin) and reader.files("attempts", origin=origin):
            frame = _counted(reader, origin=origin, steps=asked, draws=draws, question_ixs=kept)
            frame = frame if wanted is None else frame[wanted]
        else:
            frame = reader.read(
                "trajectories", columns=wanted, origin=origin, steps=asked, draws=draws, question_ixs=kept
            )
        frame = _with_question_id(reader, frame)
        return frame.assign(accuracy=accuracy_of(frame)) if rate else frame

    return _gather(runs, read)


def accuracy_of(rows: pd.DataFrame) -> pd.Series:
    """Compute the rate of each row: n_correct / (n_attempts - n_undecided), null where nothing was decided."""
    decided = rows["n_attempts"].astype("int64") - rows["n_undecided"].astype("int64")
    return rows["n_correct"].astype(float) / decided.where(decided > 0)


def _counted(
    reader: RunReader,
    *,
    origin: str,
    steps: Collection[int] | None,
    draws: Collection[int] | None,
    question_ixs: Collection[int] | None,
) -> pd.DataFrame:
    """Count rows of `trajectories` from attempts, a step and draw at a time; nothing of it was trained on."""
    names = ["origin", "draw", "step", "question_ix", "attempt", "verdict", "finish", "n_tokens", "answer"]
    names += ["assistance"]
    found: dict[tuple[int, int], list[pa.Table]] = {}
    tables = reader.iter_tables(
        "attempts",
        columns=[*names, "mean_entropy"],
        origin=origin,
        steps=steps,
        draws=draws,
        question_ixs=question_ixs,
    )
    for file, table in tables:  # an evaluation commits in parts, and a question's attempts may lie in several
        found.setdefault((file.step, file.draw or 0), []).append(table)
    unused: dict[int, int] = {}
    rows = [
        trajectories_of(pa.concat_tables(parts), rl_exposures=unused, sft_exposures=unused, in_buffer=unused)
        for _, parts in sorted(found.items())
    ]
    columns = [column.name for column in TABLES["trajectories"].columns]
    frame = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)
    return frame.assign(run_id=reader.run_id)[columns]


def read_attempts(
    *runs: Runs,
    origin: str,
    steps: Collection[int],
    questions: Collection[str] | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Read one row per attempt at the steps named; `questions` are question_ids. The table is too big to read whole.

    InputError for an unknown origin, and for steps that no run has.
    """

    require_known(open_runs(runs), ("attempts",), origin=origin, steps=steps)

    def read(reader: RunReader) -> pd.DataFrame:
        wanted = None if columns is None else _with_keys(columns, ("run_id", "draw", "step", "question_ix", "attempt"))
        kept = None if questions is None else _ixs_of(reader, "question_id", questions)
        frame = reader.read("attempts", columns=wanted, origin=origin, steps=steps, question_ixs=kept)
        return _with_question_id(reader, frame)

    return _gather(runs, read)


def read_responses(
    *runs: Runs,
    step: int,
    questions: Collection[str],
    attempts: Collection[int] | None = None,
    origin: str = "probe",
) -> pd.DataFrame:
    """Read the answer texts that were kept, of these question_ids at one step (and of these attempt numbers)."""

    def read(reader: RunReader) -> pd.DataFrame:
        kept = _ixs_of(reader, "question_id", questions)
        frame = reader.read("responses", origin=origin, steps=[step], question_ixs=kept)
        if attempts is not None:
            frame = frame[frame["attempt"].isin(list(attempts))]
        return _with_question_id(reader, frame)

    return _gather(runs, read)


def read_updates(*runs: Runs) -> pd.DataFrame:
    """Read one row per run and optimizer step."""
    return _gather(runs, lambda reader: reader.read("updates"))


def read_checkpoints(*runs: Runs) -> pd.DataFrame:
    """Read one row per run and checkpoint."""
    return _gather(runs, lambda reader: reader.read("checkpoints"))


def read_scores(*runs: Runs) -> pd.DataFrame:
    """Read one row per run and score."""
    return _gather(runs, lambda reader: reader.read("scores"))


def read_demonstrations(*runs: Runs) -> pd.DataFrame:
    """Read one row per run and demonstration, with question_id."""
    return _gather(runs, lambda reader: _with_question_id(reader, reader.read("demonstrations")))


def read_demo_events(*runs: Runs) -> pd.DataFrame:
    """Read one row per run and event of a demonstration, with question_id."""
    return _gather(runs, lambda reader: _with_question_id(reader, reader.read("demo_events")))


def iter_attempts(run: RunPath, *, origin: str, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Yield the columns asked for, one frame per file: for passes over a table that does not fit into memory."""
    (reader,) = open_runs([run])
    for _, table in reader.iter_tables("attempts", columns=list(columns), origin=origin):
        yield table.to_pandas()


def map_attempts(
    runs: Runs,
    function: Callable[[pd.DataFrame], pd.DataFrame],
    *,
    origin: str,
    columns: Sequence[str],
    steps: Collection[int] | None = None,
) -> pd.DataFrame:
    """Apply `function` to the attempts of each file, one below the other: the table is never held in memory.

    The function sees the columns asked for with run_id, run, draw, step, question_ix and question_id, and no assisted
    attempt.
    """
    keys = ("run_id", "draw", "step", "question_ix")
    parts = []
    for reader in open_runs(runs):
        wanted = _with_keys(columns, keys)
        read = [*wanted, *({"assistance"} - set(wanted))]
        tables = reader.iter_tables("attempts", columns=read, origin=origin, steps=steps)
        for table in _batches(tables):
            frame = _with_question_id(reader, unassisted(table).select(wanted).to_pandas())
            parts.append(function(frame.assign(run_id=reader.run_id, run=label_of(reader))))
    if not parts:
        raise InputError(f"no attempts of origin {origin}{'' if steps is None else ' at these steps'} in these runs")
    return pd.concat(parts, ignore_index=True)


def _batches(tables: Iterable[tuple[TableFile, pa.Table]]) -> Iterator[pa.Table]:
    """Join small files of different steps up to _BATCH_ROWS rows: a call for each file costs more than its rows."""
    batch: list[pa.Table] = []
    steps: set[int] = set()
    for file, table in tables:
        if batch and (file.step in steps or sum(map(len, batch)) + len(table) > _BATCH_ROWS):
            yield pa.concat_tables(batch).unify_dictionaries()
            batch, steps = [], set()
        batch.append(table)
        steps.add(file.step)
    if batch:
        yield pa.concat_tables(batch).unify_dictionaries()


def _gather(runs: Runs | Sequence[Runs], read: Callable[[RunReader], pd.DataFrame]) -> pd.DataFrame:
    frames = []
    for reader in open_runs(runs):
        frame = read(reader)
        frame = frame.drop(columns=[c for c in ("run_id", "run") if c in frame])
        for position, (name, value) in enumerate((("run_id", reader.run_id), ("run", label_of(reader)))):
            codes = np.zeros(len(frame), dtype=np.int8)
            constant = pd.Categorical.from_codes(codes, categories=pd.Index([value], dtype=object))
            frame.insert(position, name, pd.Series(constant, index=frame.index))
        frames.append(frame)
    return _stacked(frames)


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Stack the frames; categorical columns stay categorical, over all their values."""
    if len(frames) == 1:
        return frames[0]
    columns: dict[str, Any] = {}
    for name in frames[0].columns:
        parts = [frame[name] for frame in frames]
        if all(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
            # categories of an empty frame have a type of their own
            columns[name] = union_categoricals(
                [part.cat.set_categories(part.cat.categories.astype(object)) for part in parts]
            )
        else:
            columns[name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(columns)


def _with_keys(columns: Sequence[str], keys: Sequence[str]) -> list[str]:
    return list(dict.fromkeys((*keys, *(c for c in columns if c not in ("run", "question_id")))))


def _ixs_of(reader: RunReader, column: str, values: Collection[str]) -> list[int]:
    if column == "question_id":
        found = question_index(reader).get_indexer(pd.Index(list(dict.fromkeys(values)), dtype=object))
        return sorted(int(ix) for ix in found if ix >= 0)
    questions = reader.read("questions", columns=["question_ix", column])
    return [int(ix) for ix in questions.loc[questions[column].isin(list(values)), "question_ix"]]


def _with_question_id(reader: RunReader, frame: pd.DataFrame) -> pd.DataFrame:
    codes = frame["question_ix"].to_numpy()
    return frame.assign(question_id=pd.Categorical.from_codes(codes, dtype=_question_dtype(reader)))
