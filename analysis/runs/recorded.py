"""List which optional columns of a run hold values, and say what records the others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from relift.analysis.runs.read import RunPath, label_of, open_runs
from relift.errors import InputError
from relift.schema import TABLES
from relift.store import RunReader
from relift.store.tables import PER_STEP

_NO_SETTING = "no setting of this version records it"
# What records a column that is null otherwise. Columns that are null in some rows only (the cost of a demonstration
# that was free) are told apart by their share.
HOW = {
    ("questions", "options"): "only multiple-choice questions have them",
    ("questions", "subject"): "name the column of your data in data.columns",
    ("questions", "level"): "name the column of your data in data.columns",
    ("questions", "dup_group"): _NO_SETTING,
    ("questions", "prompt_tokens"): "null where the source of an imported run does not say",
    ("attempts", "reward"): "null where the grader could not decide",
    ("attempts", "rewards"): "only runs of other trainers, recorded with several reward functions",
    ("attempts", "answer"): "null where an answer names no result",
    ("attempts", "n_tokens"): "null where the source of an imported run does not say",
    ("attempts", "sum_logprob"): "the torch engine records it; servers may not tell",
    ("attempts", "sum_logprob_base"): "training with probe.score_base, probe answers alone",
    ("attempts", "mean_entropy"): "the torch engine records it; vLLM and servers do not tell",
    ("attempts", "advantage"): "only rollouts of RL have one",
    ("attempts", "used_in_update"): "only training rollouts have it",
    ("attempts", "grader_agrees"): "relift eval --second-grader, or relift regrade --second-grader",
    ("attempts", "response_id"): "null where the text was not kept",
    ("demonstrations", "cost"): "only teachers that charge",
    ("demonstrations", "step"): "only demonstrations that came while training went on (teacher.online)",
    ("demonstrations", "sum_logprob_base"): "training with data.score_base",
    ("demonstrations", "reject_reason"): "null where it was accepted",
    ("demo_events", "reason"): "only evictions and refusals have one",
    ("updates", "clip_fraction"): "only RL updates that clip",
    ("updates", "n_sampled_tokens"): "only RL updates, with an engine that tells log-probabilities",
    ("updates", "sampler_gap"): "only RL updates, with an engine that tells log-probabilities",
    ("updates", "sampler_gap_p99"): "only RL updates, with an engine that tells log-probabilities",
    ("updates", "effective_tokens"): "only RL updates, with an engine that tells log-probabilities",
    ("updates", "sampler_kl"): "only RL updates, with an engine that tells log-probabilities",
    ("checkpoints", "kl_to_base"): "training with probe.score_base, at steps with a probe",
    ("checkpoints", "path"): "null once the weights were retired",
    ("trajectories", "mean_entropy"): "the torch engine records it; vLLM and servers do not tell",
    ("trajectories", "mean_tokens"): "null where the source of an imported run does not say",
    ("trajectories", "mean_tokens_correct"): "null where no answer was correct",
}
COLUMNS = ["run_id", "run", "table", "column", "meaning", "n_rows", "n_recorded", "how"]


class MissingColumn(InputError):
    """Report an optional column without a value: `table`, `column`, and `how`, what records it (HOW)."""

    def __init__(self, table: str, column: str):
        self.table, self.column, self.how = table, column, HOW.get((table, column), _NO_SETTING)
        super().__init__(f"{table}.{column} was not recorded: {self.how}")


def require_column(frame: pd.DataFrame, column: str, *, table: str) -> None:
    """Raise MissingColumn if the frame has rows and no value of the column."""
    if column not in frame or (len(frame) and not frame[column].notna().any()):
        raise MissingColumn(table, column)


def recorded_columns(run: RunPath) -> pd.DataFrame:
    """Count the values of each optional column of the run's tables: n_rows looked at, n_recorded not null, how.

    Of tables with a file per step the newest file of each origin is looked at. `how`: what records it.
    StoreError if a file is damaged.
    """
    (reader,) = open_runs([run])
    rows = []
    for name, table in TABLES.items():
        optional = [column.name for column in table.columns if column.nullable]
        if not optional:
            continue
        counts = _counts(reader, name, optional)
        if counts is None:
            continue
        n_rows, recorded = counts
        for column in optional:
            how, meaning = HOW.get((name, column), ""), table.column(column).meaning
            rows.append((reader.run_id, label_of(reader), name, column, meaning, n_rows, recorded[column], how))
    return pd.DataFrame(rows, columns=COLUMNS)


def _counts(reader: RunReader, table: str, columns: list[str]) -> tuple[int, dict[str, int]] | None:
    """Return rows looked at and values by column; None where the run has no row of the table."""
    if table not in PER_STEP:
        frame = reader.read(table, columns=columns)
        return None if frame.empty else (len(frame), {c: int(frame[c].notna().sum()) for c in columns})
    newest: dict[str | None, int] = {file.origin: file.step for file in reader.files(table)}
    n_rows, recorded = 0, dict.fromkeys(columns, 0)
    for origin, step in newest.items():
        for _, rows in reader.iter_tables(table, columns=columns, origin=origin, steps=[step]):
            n_rows += len(rows)
            for column in columns:
                recorded[column] += len(rows) - rows[column].null_count
    return (n_rows, recorded) if n_rows else None


def table_sizes(run: RunPath) -> pd.DataFrame:
    """List the tables the run has: table, one_row_per, files, bytes. Nothing is read but the names of files."""
    (reader,) = open_runs([run])
    rows = []
    for name, table in TABLES.items():
        paths = [f.path for f in reader.files(name)] if name in PER_STEP else [reader.folder / f"{name}.parquet"]
        sizes = [_size(path) for path in paths]
        if any(sizes):
            rows.append((name, table.one_row_per, sum(size > 0 for size in sizes), sum(sizes)))
    return pd.DataFrame(rows, columns=["table", "one_row_per", "files", "bytes"])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
