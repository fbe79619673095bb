"""Files of rows from strangers: too large, no plain files, or made to unpack to far more than they are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relift.data import files
from relift.data.files import read_rows
from relift.errors import InputError


def read(path: Path) -> int:
    return len(read_rows(path, known=["problem"], columns={}, needed=["problem"]).rows)


def many_rows(path: Path) -> None:
    pq.write_table(
        pa.table({"problem": pa.DictionaryArray.from_arrays(pa.array([0] * 6_000_000, pa.int8()), ["x"])}), path
    )


def one_huge_cell(path: Path) -> None:
    pq.write_table(pa.table({"problem": ["a" * (64 * 2**20)]}), path, compression="zstd")


def two_of_one_name(path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["problem", "problem"]), path)


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("a.parquet", many_rows, "6,000,000 rows or more, more than 5,000,000: .* set RELIFT_MAX_DATA_ROWS higher"),
        ("a.parquet", one_huge_cell, "rows of .* bytes, more than 16,777,216: .* set RELIFT_MAX_ROW_BYTES higher"),
        ("a.parquet", two_of_one_name, "two columns are called 'problem'"),
        (
            "a.jsonl",
            lambda path: path.write_bytes(b"[" * (17 * 2**20)),
            "line 1 has .* set RELIFT_MAX_ROW_BYTES higher",
        ),
        ("a.jsonl", os.mkfifo, "a plain file is needed"),
        ("a.jsonl", Path.mkdir, "a plain file is needed"),
        ("a.jsonl", lambda path: path.symlink_to(path), "[Ss]ymbolic links"),
        ("a\0.jsonl", lambda path: None, "null byte"),
    ],
)
def test_a_hostile_file_is_refused_in_one_line(
    name: str, make: Callable[[Path], object], words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(InputError, match=words) as caught:
        read(path)
    assert "\n" not in str(caught.value) and "\0" not in str(caught.value)


def test_what_unpacks_to_more_than_the_limit_is_refused_and_a_higher_limit_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"problem": [f"{i:04}" + "a" * 1_000 for i in range(600)]}), path)
    monkeypatch.setenv("RELIFT_MAX_DATA_BYTES", "300000")  # the file has fewer; 600 * 1004 bytes unpacked
    assert path.stat().st_size < 300_000
    with pytest.raises(InputError, match="unpacks to"):
        read(path)
    monkeypatch.setenv("RELIFT_MAX_DATA_BYTES", "10000000")
    assert read(path) == 600
    monkeypatch.setenv("RELIFT_MAX_DATA_BYTES", "-1")
    with pytest.raises(InputError, match="RELIFT_MAX_DATA_BYTES: a positive number"):
        read(path)


def test_a_table_of_many_pieces_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Struct, list and missing cells over several batches, as one read would give them."""
    monkeypatch.setattr(files, "BATCH_ROWS", 2)
    rows = [{"problem": p, "gold": {"a": [i, None]}} for i, p in enumerate(["a", None, "b", "c", "d"])]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=3)
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tables = [
        read_rows(tmp_path / name, known=["problem", "gold"], columns={}, needed=[]).rows
        for name in ("a.parquet", "a.jsonl")
    ]
    assert tables[0] == tables[1]


def test_a_date_that_python_does_not_have_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"problem": pa.array([-(2**31)], pa.date32())}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: no parquet file: "):
        read(tmp_path / "a.parquet")
