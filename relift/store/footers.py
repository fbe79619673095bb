"""Footers of Parquet files, verified: their schema, and which row groups can hold a question.

They are kept, because whoever goes from question to question opens the same files again, and a footer is most of what
is read of them then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from relift.store.files import sha256_of

KEPT_BYTES = 4 * 2**20  # of footers as they stand in the files; parsed ones take five to ten times as much memory
_TAIL = 65_536  # bytes at the end of a file in which most footers fit


@dataclass(frozen=True)
class Footer:
    """A parsed footer; by row group the least and the greatest question_ix, as wide as can be where it is not known."""

    metadata: pq.FileMetaData
    least_G: NDArray[np.int64]
    greatest_G: NDArray[np.int64]

    def groups_with(self, question_ixs: Collection[int]) -> list[int]:
        """Row groups that can hold any of these questions."""
        ask = np.unique(np.asarray(list(question_ixs), np.int64))
        at = np.searchsorted(ask, self.least_G)  # of the first question that is not below the group
        held = np.append(ask, np.iinfo(np.int64).max)[at] <= self.greatest_G
        return [int(group) for group in np.flatnonzero(held & (at < len(ask)))]


class Footers:
    """The footers read last, by file and SHA-256; for threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, str], tuple[Footer, int]] = OrderedDict()
        self._lock = Lock()

    def of(self, path: Path, file: Any, sha256: str | None) -> Footer:
        """The footer of an open file. Raises ValueError where it is none, or not the one of `sha256`."""
        key = (path, sha256 or "")
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        data = read_footer(file)
        if sha256 is not None and sha256_of(data) != sha256:
            raise ValueError("the footer does not match its checksum")
        footer = parse_footer(data)
        if sha256 is not None and len(data) <= KEPT_BYTES // 4:  # else a few would drive out all others
            with self._lock:
                self._kept[key] = (footer, len(data))
                while sum(size for _, size in self._kept.values()) > KEPT_BYTES:
                    self._kept.popitem(last=False)
        return footer


def footer_of(data: bytes) -> bytes:
    """The Parquet footer with its length and magic: the schema, the offsets and the statistics.

    Page checksums do not cover it, so its SHA-256 is kept in the commit record.
    """
    size = int.from_bytes(data[-8:-4], "little")
    return data[-8 - size :]


def read_footer(file: Any) -> bytes:
    """`footer_of` an open file, read from its end. Raises ValueError if it has none."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if not 12 <= length <= size or tail[-4:] != b"PAR1":
        raise ValueError("no Parquet footer")
    if length > len(tail):
        file.seek(size - length)
        tail = file.read()
    return bytes(tail[-length:])


def parse_footer(data: bytes) -> Footer:
    """Parse the bytes that `footer_of` read."""
    metadata = pq.read_metadata(pa.BufferReader(data))
    names, groups = metadata.schema.names, range(metadata.num_row_groups)
    least_G = np.full(len(groups), np.iinfo(np.int64).min)
    greatest_G = np.full(len(groups), np.iinfo(np.int64).max)
    if "question_ix" in names:
        for group in groups:
            statistics = metadata.row_group(group).column(names.index("question_ix")).statistics
            if statistics is not None and statistics.has_min_max:
                least_G[group], greatest_G[group] = statistics.min, statistics.max
    return Footer(metadata, least_G, greatest_G)
