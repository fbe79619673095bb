"""The run folder: one writer, one reader, and a check that does not trust either."""

from relift.store.check import CheckReport, check_run
from relift.store.checkpoints import SavedCheckpoint
from relift.store.reader import RunReader
from relift.store.resolve import FoundRuns, resolve_runs, runs_below
from relift.store.tables import TableFile, split_responses, unassisted
from relift.store.trajectories import trajectories_of
from relift.store.writer import RunWriter

__all__ = [
    "CheckReport",
    "FoundRuns",
    "RunReader",
    "RunWriter",
    "SavedCheckpoint",
    "TableFile",
    "check_run",
    "resolve_runs",
    "runs_below",
    "split_responses",
    "trajectories_of",
    "unassisted",
]
