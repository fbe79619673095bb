"""What a run did not record, said in one line."""

from __future__ import annotations

import pandas as pd

from relift.errors import InputError


class MissingColumn(InputError):
    """An optional column holds nothing: which, and the setting that would have recorded it (None: there is none)."""

    def __init__(self, table: str, column: str, setting: str | None):
        self.table, self.column, self.setting = table, column, setting
        mend = f"set {setting} and run again" if setting else "no setting of this version records it"
        super().__init__(f"{table}.{column} was not recorded: {mend}")


def require_column(frame: pd.DataFrame, column: str, *, table: str, setting: str | None = None) -> None:
    """MissingColumn if the frame has rows and no value of the column."""
    if column not in frame or (len(frame) and not frame[column].notna().any()):
        raise MissingColumn(table, column, setting)
