"""Read changed files of questions."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from relift.data.questions import read_questions
from relift.grading.gold_check import kind_of_golds
from tests.generated.makers import json_text, odd_bytes, odd_json

ROWS: tuple[dict[str, Any], ...] = (
    {"problem": "1+1?", "answer": "2", "level": 1, "demonstration": "\\boxed{2}"},
    {
        "problem": "2+2?",
        "answer": "4",
        "source": "x",
        "split": "train",
        "demonstration": ["\\boxed{4}", "It is \\boxed{4}"],
    },
    {"problem": "Which?", "answer": "A", "options": ["x", "y"], "answer_kind": "choice", "demonstration": None},
)


_STRUCT = pa.struct([("content", pa.string()), ("y", pa.int64())])


def read_data(rng: random.Random, folder: Path) -> None:
    """Change a file of questions and read it: questions, or one refusal."""
    suffix = rng.choice((".jsonl", ".jsonl", ".parquet"))
    path = folder / f"questions{suffix}"
    if suffix == ".jsonl":
        rows = odd_json(rng, list(ROWS))
        rows = rows if isinstance(rows, list) else [rows]
        text = rng.choice(("\n", "\n", "\r\n", "\n\n", "\x00")).join(json_text(row) for row in rows)
        data = (rng.choice(("", "", "\ufeff")) + text).encode("utf-8", "surrogatepass")
        path.write_bytes(odd_bytes(rng, data) if rng.random() < 0.4 else data)
    else:
        data = _parquet(rng)
        path.write_bytes(odd_bytes(rng, data) if rng.random() < 0.5 else data)
    try:
        found = read_questions(path, answer_kind=kind_of_golds)
        assert all(q.problem.strip() and isinstance(q.answer, str) for q in found.questions)
        json.dumps(found.fingerprint).encode()
        "".join(q.problem + q.answer for q in found.questions).encode()  # no lone surrogate
    finally:
        assert [each.name for each in folder.iterdir()] == [path.name]
        shutil.rmtree(folder)


def _parquet(rng: random.Random) -> bytes:
    """Write a parquet file with odd columns: other types, nulls, bombs of equal cells, cells in cells, two columns of a
    name."""
    n = rng.choice((0, 1, 3, 3, 1_000))
    wide = rng.choice((1, 10, 5_000_000 if n <= 3 else 1_000))
    made: dict[str, Callable[[], pa.Array]] = {
        "text": lambda: pa.array([f"{i}+1?" for i in range(n)], pa.string()),
        "long": lambda: pa.array(["a" * wide] * n, pa.string()),
        "number": lambda: pa.array([i % 9 for i in range(n)], rng.choice((pa.int8(), pa.float64(), pa.int64()))),
        "null": lambda: pa.nulls(n, rng.choice((pa.null(), pa.string()))),
        "list": lambda: pa.array([["x", None]] * n),
        "struct": lambda: pa.array([{"content": "x", "y": i} for i in range(n)], _STRUCT),
        "bytes": lambda: pa.array([b"\xff\x00" * 3] * n, pa.binary()),
        "time": lambda: pa.array([0] * n, pa.timestamp("ns")),
        "dictionary": lambda: pa.array(["a", "b", None][:n] if n <= 3 else ["a"] * n, pa.string()).dictionary_encode(),
        "map": lambda: pa.array([[("a", 1)]] * n, pa.map_(pa.string(), pa.int64())),
        "nested": lambda: _nested(rng, n),
        "nested again": lambda: _nested(rng, n),
        "date": lambda: pa.array([rng.choice((0, 2**31 - 1, -(2**31)))] * n, pa.date32()),
        "moment": lambda: pa.array([rng.choice((0, 2**62))] * n, _ZONED),
        "decimal": lambda: pa.array([None] * n, pa.decimal128(38, 37)),
        "zeros": lambda: _equal_cells(wide, n),
        "view": lambda: pa.array(["x"] * n, pa.string_view()),
        "large": lambda: pa.array(["x"] * n, pa.large_string()),
    }  # fmt: skip
    names = [*rng.sample(("problem", "answer", "answer_kind", "options", "level", "demonstration"), 4), "problem", "x"]
    names = names if rng.random() < 0.1 else list(dict.fromkeys(names))
    columns = [made[rng.choice(("text", "text", *made))]() for _ in names]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(columns, names=names), sink, compression=rng.choice(("zstd", "none", "gzip")))
    return bytes(sink.getvalue().to_pybytes())


_ZONED = pa.timestamp("us", "Nowhere/City")


def _nested(rng: random.Random, n: int) -> pa.Array:
    """Make lists of structs of lists, to a depth of up to 60, with the names that turns of a chat have, and others."""
    value: Any = rng.choice(("x", 1, None, 0.5, "\ud7ff"))
    kind: pa.DataType = pa.string() if value is None else pa.infer_type([value])
    for _ in range(rng.choice((1, 2, 3, 8, 60))):
        if rng.random() < 0.5:
            size = rng.choice((0, 1, 1, 3))
            value, kind = [value] * size, rng.choice((pa.list_, pa.large_list))(kind)
        else:
            name = rng.choice(("content", "role", "ground_truth", "0", "", "a.b", "\u202e", "problem", "x" * 500))
            value, kind = {name: value}, pa.struct([(name, kind)])
        if len(str(value)) > 20_000:
            break
    return pa.array([value] * n, kind)


def _equal_cells(wide: int, n: int) -> pa.Array:
    """Make lists of so many nulls or zeros: some bytes in the file, millions of cells."""
    values = pa.nulls(wide * n) if wide % 2 else pa.array(np.zeros(wide * n, np.int8))
    size = len(values) // n if n else 0
    return pa.ListArray.from_arrays(pa.array([i * size for i in range(n + 1)], pa.int32()), values)
