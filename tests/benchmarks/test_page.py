"""docs/benchmarks.md is what the tables say."""

import importlib.util
from types import ModuleType

from relift.benchmarks import BENCHMARKS, PROTOCOLS
from tests.repository import ROOT


def make_benchmarks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_benchmarks", ROOT / "docs" / "make_benchmarks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert page == make_benchmarks().benchmarks_markdown(), "run `python docs/make_benchmarks.py`"


def test_every_fact_stands_on_the_page() -> None:
    page = make_benchmarks().benchmarks_markdown()
    for benchmark in BENCHMARKS.values():
        assert f"\n### {benchmark.name}\n" in page
        facts = (benchmark.revision, benchmark.content_hash, *benchmark.sources, *benchmark.notes)
        assert [fact for fact in facts if fact and fact not in page] == []
    for protocol in PROTOCOLS.values():
        said = [text.replace("<", "&lt;") for text in (*protocol.sources, *protocol.notes)]
        assert [text for text in said if text not in page] == [] and f"\n### {protocol.name}\n" in page
