"""Small benchmarks and the files that hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relift.benchmarks.benchmark import Benchmark

ROWS = [{"problem": f"{n}+1?", "answer": str(n + 1)} for n in range(1, 4)]


def sums(**changes: Any) -> Benchmark:
    """Three sums; `content_hash` is not declared."""
    facts: dict[str, Any] = {
        "name": "sums", "title": "Sums", "answer_kind": "math", "rows": 3, "hub": "me/sums", "config": "default",
        "split": "test", "columns": {"problem": "problem", "answer": "answer"},
    }  # fmt: skip
    return Benchmark(**(facts | changes))


def lay(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
