"""The gold answers of published benchmarks, where their files are at hand."""

from __future__ import annotations

import json

import pytest

from tests.repository import benchmark_data


def real_golds() -> list[str]:
    """Distinct gold answers, sorted; the test is skipped where the files are absent."""
    folder = benchmark_data()
    if folder is None:
        pytest.skip("no benchmark files: set RELIFT_BENCHMARK_DATA to a folder with aime24.jsonl, math500.jsonl, …")
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]
    golds = sorted({str(json.loads(line)["answer"]) for line in lines})
    assert len(golds) >= 300
    return golds
