"""Write a file of questions row by row, jsonl or Parquet, that appears whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from relift.errors import InputError, StoreError

ROWS = 512  # of a row group, held until they are written
_TEXTS = pa.list_(pa.string())
QUESTIONS = pa.schema([
    ("problem", pa.string()), ("answer", pa.string()), ("source", pa.string()), ("subject", pa.string()),
    ("level", pa.string()), ("options", _TEXTS), ("demonstration", _TEXTS), ("question_id", pa.string()),
])  # fmt: skip


class QuestionWriter:
    """Writes rows of questions, and rows that were left out with the reason, under temporary names until `finish`."""

    def __init__(self, out: Path, rejected: Path | None, schema: pa.Schema) -> None:
        self._out, self._rejected, self._schema = out, rejected, schema
        self._rows: list[Mapping[str, Any]] = []
        self._parquet: pq.ParquetWriter | None = None
        self._text: TextIO | None = None
        if out.suffix == ".parquet":
            self._parquet = pq.ParquetWriter(_unfinished(out), schema, compression="zstd", write_page_checksum=True)
        else:
            self._text = _unfinished(out).open("w", encoding="utf-8")
        self._left_out = None if rejected is None else _unfinished(rejected).open("w", encoding="utf-8")

    def write(self, row: Mapping[str, Any]) -> None:
        """Write one row of a question, values by column."""
        if self._text is not None:
            self._text.write(json.dumps({k: v for k, v in row.items() if v is not None}, ensure_ascii=False) + "\n")
            return
        self._rows.append(row)
        if len(self._rows) == ROWS:
            self._flush()

    def reject(self, where: str, reason: str, problem: str) -> None:
        """Write one row that was left out."""
        if self._left_out is not None:
            row = {"where": where, "reason": reason, "problem": problem}
            self._left_out.write(json.dumps(row, ensure_ascii=False) + "\n")

    def finish(self) -> None:
        """Make the files durable and give them their names."""
        self._flush()
        self.close()
        for path in (self._rejected, self._out):
            if path is not None:
                with _unfinished(path).open("rb") as file:
                    os.fsync(file.fileno())
                _unfinished(path).replace(path)

    def close(self) -> None:
        """Close the files as they are."""
        for file in (self._parquet, self._text, self._left_out):
            if file is not None:
                file.close()

    def _flush(self) -> None:
        if self._parquet is not None and self._rows:
            self._parquet.write_table(pa.Table.from_pylist(list(self._rows), schema=self._schema))
            self._rows = []


@contextmanager
def question_writer(
    out: Path, *, rejected: Path | None = None, schema: pa.Schema = QUESTIONS
) -> Iterator[QuestionWriter]:
    """Open a writer for `out` (.jsonl or .parquet); `rejected` gets the rows that were left out, as jsonl.

    `schema`: of a Parquet file.

    What is not finished is deleted. Raises InputError for a name of another kind and for a file that is there,
    StoreError where it cannot be written.
    """
    for path, suffixes in ((out, (".jsonl", ".parquet")), (rejected, (".jsonl",))):
        if path is None:
            continue
        if path.suffix not in suffixes:
            raise InputError(f"{path}: questions are written as {' or '.join(suffixes)}")
        if path.exists():
            raise InputError(f"{path}: is there already: choose another name, or delete it")
    writer: QuestionWriter | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        writer = QuestionWriter(out, rejected, schema)
        yield writer
    except OSError as error:
        raise StoreError(f"cannot write questions to {out}: {error.strerror or error}") from error
    finally:
        if writer is not None:
            writer.close()
        for path in (out, rejected):
            if path is not None:
                _unfinished(path).unlink(missing_ok=True)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")
