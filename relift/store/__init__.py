"""The run folder: one writer, one reader, and a check that does not trust either."""

from relift.store.checkpoints import SavedCheckpoint
from relift.store.reader import RunReader
from relift.store.tables import TableFile, split_responses
from relift.store.trajectories import trajectories_of
from relift.store.writer import RunWriter

__all__ = ["RunReader", "RunWriter", "SavedCheckpoint", "TableFile", "split_responses", "trajectories_of"]
